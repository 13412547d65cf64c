"""Shows that every test of an older commit is there still, or its successor, with no fewer cases and assertions.

    python tests/tools/compare_tests.py               # compares with tests_of_6c2d581.txt; exits with 1 on a loss
    python tests/tools/compare_tests.py --write FILE  # writes down the tests of the tree that lies here

A line of the list is ``place::function cases assertions``: cases are the parameter sets that pytest collects ("-"
for a helper), assertions are `assert` statements, `pytest.raises` and its like, and calls of functions that begin
with `assert_`. A test that has another file but the same name is found by itself; other successors stand in
`successors.txt` as ``old -> new``, or ``old -> new + new`` where one became several.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = HERE.parent
OLD = HERE / "tests_of_6c2d581.txt"
SUCCESSORS = HERE / "successors.txt"
EXPECTS = ("raises", "warns", "deprecated_call", "fail")  # of pytest


@dataclass(frozen=True)
class Function:
    """A function of the tests: how many cases of it are collected (None for a helper), and its assertions."""

    cases: int | None
    assertions: int

    def __str__(self) -> str:
        return f"{'-' if self.cases is None else self.cases} {self.assertions}"


Functions = Mapping[str, Function]


class Collected:
    """Counts the cases of each function as pytest collects them."""

    def __init__(self) -> None:
        self.cases: Counter[str] = Counter()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.cases.update(item.nodeid.split("[")[0] for item in session.items)


def is_assertion(node: ast.AST) -> bool:
    """Whether a node of a syntax tree can fail a test by itself."""
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    if isinstance(called, ast.Name):
        return called.id.startswith("assert_")
    if not isinstance(called, ast.Attribute):
        return False
    of_pytest = isinstance(called.value, ast.Name) and called.value.id == "pytest" and called.attr in EXPECTS
    return of_pytest or called.attr.startswith("assert_")


def functions_in(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Functions and methods with their names; a function inside another belongs to the outer one."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from functions_in(node.body, f"{prefix}{node.name}::")


def assertions_of(folder: Path) -> dict[str, int]:
    """Assertions of all functions below a folder; functions of one name in one file count together."""
    found: Counter[str] = Counter()
    for path in sorted(folder.rglob("*.py")):
        if HERE in path.parents:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        place = path.relative_to(folder.parent).as_posix()
        for name, function in functions_in(tree.body):
            found[f"{place}::{name}"] += sum(map(is_assertion, ast.walk(function)))
    return dict(found)


def functions_now(folder: Path) -> Functions:
    """All test functions below a folder, and helpers that assert."""
    collected = Collected()
    arguments = ["--collect-only", "-qqq", "-p", "no:cacheprovider", "--rootdir", str(folder.parent), str(folder)]
    if pytest.main(arguments, plugins=[collected]) != pytest.ExitCode.OK:
        sys.exit("The tests cannot be collected.")
    assertions = assertions_of(folder)
    tests = {name: Function(cases, assertions.get(name, 0)) for name, cases in collected.cases.items()}
    helpers = {name: Function(None, n) for name, n in assertions.items() if n and name not in tests}
    return tests | helpers


def read(path: Path) -> Functions:
    """The list that `write` has written."""
    functions = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, cases, assertions = line.split()
        functions[name] = Function(None if cases == "-" else int(cases), int(assertions))
    return functions


def write(functions: Functions, path: Path) -> None:
    """One line for each function, in the order of their places."""
    path.write_text("".join(f"{name} {functions[name]}\n" for name in sorted(functions)), encoding="utf-8")


def read_successors(path: Path) -> dict[str, list[str]]:
    """Successors of tests that have another name now; a line that begins with # is a remark."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    pairs = (line.split(" -> ") for line in lines if line.strip() and not line.startswith("#"))
    return {old.strip(): [name.strip() for name in new.split(" + ")] for old, new in pairs}


def successors(name: str, named: Mapping[str, list[str]], now: Functions) -> list[str]:
    """Where a test of old is today: as written down, in its place, or under its name in another file."""
    if name in named:
        return named[name]
    if name in now:
        return [name]
    function = name.split("::", 1)[1]
    elsewhere = [other for other in now if other.split("::", 1)[1] == function]
    return elsewhere if len(elsewhere) == 1 else []


def losses(old: Functions, now: Functions, named: Mapping[str, list[str]]) -> list[str]:
    """What is missing today, in words."""
    found = []
    for name, function in old.items():
        names = successors(name, named, now)
        there = [now[new] for new in names if new in now]
        if not names or len(there) < len(names):
            found.append(f"{name} is gone" + (f", and so is {', '.join(names)}" if names else ""))
            continue
        cases = sum(new.cases or 0 for new in there)
        assertions = sum(new.assertions for new in there)
        if cases < (function.cases or 0):
            found.append(f"{name} had {function.cases} cases, {' + '.join(names)} {cases}")
        if assertions < function.assertions:
            found.append(f"{name} had {function.assertions} assertions, {' + '.join(names)} {assertions}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=Path, default=TESTS, help="folder of the tests of today")
    parser.add_argument("--old", type=Path, default=OLD, help="list of the older tests")
    parser.add_argument("--write", type=Path, help="write a list of today's tests and compare nothing")
    options = parser.parse_args()
    now = functions_now(options.tests.resolve())
    if options.write:
        write(now, options.write)
        return 0
    old = read(options.old)
    lost = losses(old, now, read_successors(SUCCESSORS))
    for loss in lost:
        print(loss)
    for word, functions in (("before", old), ("now", now)):
        tests = [f for f in functions.values() if f.cases is not None]
        cases, assertions = sum(f.cases or 0 for f in tests), sum(f.assertions for f in functions.values())
        print(f"{word}: {len(tests)} test functions, {cases} cases, {assertions} assertions")
    print(f"{len(lost)} lost")
    return bool(lost)


if __name__ == "__main__":
    sys.exit(main())
