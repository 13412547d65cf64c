"""The house keeps its floors: nothing imports upwards, nothing in a circle, files and functions stay small.

`tests/architecture/house.py` says which rooms there are and on which floor each is.
"""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "architecture"))
from house import (
    FLOORS,
    MODULES,
    OLD_PATHS,
    drawing,
    functions,
    imported_modules,
    imports_anywhere,
    is_below,
    own_modules,
    room,
    tree_of,
)
from page import block, drawn

FIRST_WITH_TORCH = 6
MOST_LINES, MOST_LEVELS, MOST_PARAMETERS = 80, 5, 12

# Functions of the public interface, whose parameters it fixes (docs/reference).
FIXED_SIGNATURES = {"cuba_aelif_integration"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_nothing_from_a_higher_floor(module):
    assert room(module) in FLOORS, f"Give {module} a floor."
    for other in imported_modules(module):
        assert room(other) == room(module) or is_below(room(other), room(module)), f"{module} imports {other}"


def test_the_floors_see_what_they_should():
    """Guards the test itself: the imports of known modules are found, those for types and in functions as well."""
    assert set(own_modules(imports_anywhere("hxtorch.connection"))) == {"hxtorch.twin"}
    experiment = imported_modules("hxtorch.snn.experiment")
    at_run_time, in_functions, for_types = "hxtorch.snn.graph.graph", "hxtorch.snn.chip.run", "hxtorch.mapping"
    assert {at_run_time, in_functions, for_types} <= experiment
    assert room("hxtorch.snn.graph.graph") == "snn.graph" and room("hxtorch.twin") == "twin"
    assert is_below("snn.graph", "snn.modules") and not is_below("snn.modules", "snn.graph")
    assert is_below("twin", "snn.parameters") and not is_below("snn.chip", "snn.compute")
    assert not is_below("perceptron", "snn.graph") and not is_below("snn.graph", "perceptron")


def test_the_page_shows_these_floors():
    """`python tests/architecture/draw.py` writes them anew."""
    assert drawn("floors") == block(drawing())


def test_every_floor_has_a_room():
    empty = [name for name in FLOORS if not any(room(module) == name for module in MODULES)]
    assert empty == []


def test_old_paths_are_doors_alone():
    names = [name for name, floor in FLOORS.items() if floor in OLD_PATHS]
    for module in (m for m in MODULES if room(m) in names):
        for node in tree_of(MODULES[module]).body:
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            listed = isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
            others = isinstance(node, ast.If) and "__getattr__ = moved_modules_of" in ast.unparse(node)
            imports = isinstance(node, ast.Import | ast.ImportFrom)
            passes_on = isinstance(node, ast.FunctionDef) and isinstance(node.body[1], ast.Return)
            assert docstring or listed or others or imports or passes_on, f"{module}: line {node.lineno}"


def test_no_circles_at_import_time():
    """Nor in functions, nor for types."""
    try:
        tuple(TopologicalSorter({module: imported_modules(module) for module in MODULES}).static_order())
    except CycleError as error:
        pytest.fail(f"Imports in a circle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("module", [m for m in MODULES if FLOORS[room(m)][0] < FIRST_WITH_TORCH])
def test_the_lower_floors_need_no_torch(module):
    roots = {name.split(".")[0] for name in imports_anywhere(module)}
    assert not roots & {"torch", "matplotlib", "IPython", "ipywidgets"}


@pytest.mark.parametrize("module", MODULES)
def test_files_are_small(module):
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("module", MODULES)
def test_functions_are_small(module):
    """Public constructors may have many parameters: users give them by name."""
    for name, lines, levels, parameters in functions(module):
        assert lines <= MOST_LINES, f"{name} has {lines} lines."
        assert levels <= MOST_LEVELS, f"{name} is {levels} levels deep."
        if name != "__init__" and name not in FIXED_SIGNATURES:
            assert parameters <= MOST_PARAMETERS, f"{name} has {parameters} parameters."


@pytest.mark.parametrize("module", MODULES)
def test_no_code_from_text_and_no_pickles(module):
    roots = {name.split(".")[0] for name in imports_anywhere(module)}
    assert not roots & {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal"}
    for node in ast.walk(tree_of(MODULES[module])):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("exec", "eval", "compile", "__import__"), f"line {node.lineno}"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_imported_by_name(module):
    """But for the doors of the package, its aliases, and the command line: an import by name shows in no floor."""
    if MODULES[module].name == "__init__.py" or room(module) in ("_alias", "cli"):
        return
    versions = "importlib.metadata"  # which reads about packages, and imports none
    names = [name for name in imports_anywhere(module) if not name.startswith(versions)]
    assert not [name for name in names if name.split(".")[0] == "importlib"]
