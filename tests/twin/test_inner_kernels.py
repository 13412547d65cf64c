"""Inner kernels have no door for Python: a call from there would end the process."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("src", "tests", "benchmarks", "docs") for path in (ROOT / folder).rglob("*.py")]


def kinds(function: ast.FunctionDef) -> set[str]:
    calls = [d.func for d in function.decorator_list if isinstance(d, ast.Call)]
    return {call.id for call in calls if isinstance(call, ast.Name)} & {"kernel", "inner_kernel"}


def functions(tree: ast.AST) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def python_names(tree: ast.AST) -> set[str]:
    """Names that are read outside of kernels, and attributes of what is imported."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef) and kinds(node):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
        found |= python_names(node)
    return found


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}


def test_python_calls_no_inner_kernel(trees: dict[Path, ast.Module]) -> None:
    inner = {
        (path.stem, function.name)
        for path, tree in trees.items()
        for function in functions(tree)
        if "inner_kernel" in kinds(function)
    }
    assert len(inner) > 50
    for path, tree in trees.items():
        imported = {
            alias.asname or alias.name: (node.module.split(".")[-1], alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        own = {function.name: (path.stem, function.name) for function in functions(tree) if kinds(function)}
        for name in python_names(tree):
            module, _, attribute = name.rpartition(".")
            called = (module, attribute) if module else {**imported, **own}.get(name)
            assert called not in inner, f"{path} uses {name}, an inner kernel, outside of a kernel"
