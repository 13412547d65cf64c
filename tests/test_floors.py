"""The house keeps its floors: nothing imports upwards, nothing in a circle, files stay small."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import hxtorch

ROOT = Path(hxtorch.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
FLOORS = {
    "_html": -1,
    "_kernels": -1,
    "_moved": -1,
    "twin": 0,
    "calibration": 1,
    "mapping": 1,
    "connection": 2,
    "logger": 2,
    "spikes": 2,
    "_alias": 2,
    "": 3,  # the package itself, the door to everything below it
    "perceptron": 4,
    "snn": 4,
    "plots": 5,
    "fidelity": 6,
    "demo": 6,
    "examples": 6,
    "testing": 6,
    "study": 7,
    "reproduce": 8,
    "cli": 9,
}
WITHOUT_TORCH = (
    "_html",
    "_kernels",
    "_moved",
    "twin",
    "calibration",
    "mapping",
    "connection",
    "logger",
    "spikes",
    "_alias",
    "",
)


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def room(module):
    return module.split(".")[1] if "." in module else ""


def runs_at_import(tree):
    """All statements that run when a module is imported."""
    todo = list(tree.body)
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
            continue
        todo += ast.iter_child_nodes(node)


def imported(nodes, module):
    """Full names of everything that the import statements among `nodes` name."""
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def own_modules(names):
    """The modules of this package among imported names; a name inside of a module counts as the module."""
    for name in names:
        if name.split(".")[0] != "hxtorch":
            continue
        while name not in MODULES:
            name = name.rpartition(".")[0]
        yield name


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports_anywhere(module):
    return list(imported(ast.walk(tree_of(MODULES[module])), module))


@pytest.mark.parametrize("module", MODULES)
def test_imports_nothing_from_a_higher_floor(module):
    assert room(module) in FLOORS, f"Give {module} a floor."
    for other in own_modules(imports_anywhere(module)):
        assert room(other) == room(module) or FLOORS[room(other)] < FLOORS[room(module)], (
            f"{module} imports {other}"
        )


def test_the_floors_see_what_they_should():
    """Guards the test itself: the imports of a known module are found."""
    found = set(own_modules(imports_anywhere("hxtorch.connection")))
    assert found == {"hxtorch.twin"}
    assert any(room(other) == "twin" for other in own_modules(imports_anywhere("hxtorch.snn.chip.run")))


def test_no_circles_at_import_time():
    graph = {
        module: {other for other in own_modules(imported(runs_at_import(tree_of(path)), module)) if other != module}
        for module, path in MODULES.items()
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"Imports in a circle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("module", [m for m in MODULES if room(m) in WITHOUT_TORCH])
def test_the_lower_floors_need_no_torch(module):
    roots = {name.split(".")[0] for name in imports_anywhere(module)}
    assert not roots & {"torch", "matplotlib", "IPython", "ipywidgets"}


@pytest.mark.parametrize("module", MODULES)
def test_files_are_small(module):
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("module", MODULES)
def test_no_code_from_text_and_no_pickles(module):
    roots = {name.split(".")[0] for name in imports_anywhere(module)}
    assert not roots & {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal"}
    for node in ast.walk(tree_of(MODULES[module])):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("exec", "eval", "compile", "__import__"), f"line {node.lineno}"
