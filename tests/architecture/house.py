"""The house as its source files show it: modules, the rooms they are in, the floor of each, and who imports whom.

A room is a folder, or a file beside folders. Imports at run time, inside of functions and for types count alike.
"""

import ast
from functools import cache
from pathlib import Path

import hxtorch

ROOT = Path(hxtorch.__file__).parent

# Of every room its floor, of rooms within rooms the floors of all around them first. A module imports from its own
# room and from lower floors alone.
FLOORS = {
    "_moved": (0,),
    "_ranges": (0,),
    "_vendor": (0,),
    "_alias": (1,),
    "_html": (1,),
    "_files": (1,),
    "_kernels": (1,),
    "shapes": (1,),
    "twin.frozen": (2, 0),
    "twin.places": (2, 1),
    "twin.engine": (2, 2),
    "twin.program": (2, 3),
    "twin.pattern": (2, 4),
    "twin.circuits": (2, 5),
    "twin.emulation": (2, 6),
    "twin.fitting": (2, 7),
    "twin.die": (2, 8),
    "twin.chip": (2, 9),
    "twin.conformance": (2, 10),
    "twin": (2, 12),
    "calibration": (3,),
    "mapping": (3,),
    "connection": (4,),
    "logger": (4,),
    "spikes": (4,),
    "": (5,),  # the package itself, the door to everything below it
    "perceptron": (6,),
    "snn.refusals": (6, 0),
    "snn.shapes": (6, 0),
    "snn.copies": (6, 1),
    "snn.transforms": (6, 2),
    "snn.parameters": (6, 3),
    "snn.functional.kernels": (6, 4, 0),
    "snn.functional.contexts": (6, 4, 1),
    "snn.functional.memory": (6, 4, 2),
    "snn.functional.gradients": (6, 4, 3),
    "snn.functional.products": (6, 4, 4),
    "snn.functional.model": (6, 4, 5),
    "snn.functional.integrators": (6, 4, 6),
    "snn.functional": (6, 4, 8),
    "snn.targets": (6, 5),
    "snn.handles": (6, 6),
    "snn.recording": (6, 7),
    "snn.morphology": (6, 8),
    "snn.occupancy": (6, 9),
    "snn.execution_instance": (6, 10),
    "snn.graph": (6, 11),
    "snn.modules": (6, 12),
    "snn.compute": (6, 13),
    "snn.chip": (6, 14),
    "snn.legacy": (6, 15),
    "snn.report": (6, 16),
    "snn.experiment": (6, 17),
    "snn.datasets": (6, 18),
    "snn.alignment": (6, 19),
    "snn.training": (6, 20),
    "snn.cost": (6, 21),
    "snn.nir": (6, 22),
    "snn": (6, 24),
    "plots": (7,),
    "demo": (8,),
    "examples": (8,),
    "fidelity": (8,),
    "testing": (8,),
    "study": (9,),
    "reproduce": (10,),
    "cli": (11,),
}

# Old paths that are files still, as what they held is in several places by now. They re-export, and nothing else.
OLD_PATHS = {
    (2, 11): ("coupling", "die_file", "fit", "inference", "membranes", "plasticity"),
    (6, 4, 7): ("carried", "linear"),
    (6, 23): ("backend", "checks", "utils"),
}
_IN = {(2, 11): "twin", (6, 4, 7): "snn.functional", (6, 23): "snn"}
FLOORS |= {f"{_IN[floor]}.{name}": floor for floor, names in OLD_PATHS.items() for name in names}


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def room(module):
    """The innermost room of a module: "snn.graph" of "hxtorch.snn.graph.calls"."""
    name = module.removeprefix("hxtorch").removeprefix(".")
    while name and name not in FLOORS:
        name = name.rpartition(".")[0]
    return name


def is_below(lower, upper):
    """Whether a room is on a lower floor than another; rooms on one floor, and rooms within rooms, are not."""
    for a, b in zip(FLOORS[lower], FLOORS[upper]):
        if a != b:
            return a < b
    return False


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


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


def imports_anywhere(module):
    return list(imported(ast.walk(tree_of(MODULES[module])), module))


def imported_modules(module):
    """Other modules of the package that a module imports, at run time, inside of functions or for types."""
    return {other for other in own_modules(imports_anywhere(module)) if other != module}


def functions(module):
    """All functions of a module with their lines, deepest level of blocks, and number of parameters."""
    for node in ast.walk(tree_of(MODULES[module])):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            parameters = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs)
            yield node.name, node.end_lineno - node.lineno + 1, _depth(node), parameters


# As levels count; comprehensions and lambdas do not.
_BLOCKS = (ast.For, ast.While, ast.If, ast.With, ast.Try, ast.Match, ast.FunctionDef, ast.AsyncFunctionDef)


def _depth(node):
    deepest = 0
    for child in ast.iter_child_nodes(node):
        elif_of = isinstance(child, ast.If) and isinstance(node, ast.If) and node.orelse == [child]
        deepest = max(deepest, _depth(child) + (isinstance(child, _BLOCKS) and not elif_of))
    return deepest


def drawing():
    """The floors from top to bottom, rooms within rooms indented; what a room is for is what its door says."""
    lines = []
    for name, floor in sorted(FLOORS.items(), key=lambda item: (_from_top(item[1]), item[0])):
        own = [module for module in MODULES if room(module) == name]
        if floor in OLD_PATHS:
            continue
        label = "  " * (len(floor) - 1) + (name.rpartition(".")[2] or "hxtorch")
        lines.append(f"{'.'.join(map(str, floor)):<7} {label:<26}{len(own):>3}  {_purpose(name, own)}".rstrip())
    return "\n".join(lines)


def _purpose(name, own):
    door = f"hxtorch.{name}".rstrip(".")
    first = door if door in own else own[0]
    text = ast.get_docstring(tree_of(MODULES[first])) or ""
    return text.split("\n")[0].rstrip(".")


def _from_top(floor):
    return tuple(-part for part in floor)
