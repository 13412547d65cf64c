"""Imports this package so that jaxtyping and beartype look at every call of what names shapes."""

import ast
import importlib.util
import re
import sys
from pathlib import Path

from beartype import BeartypeConf, beartype
from jaxtyping import TypeCheckError, install_import_hook

ROOT = Path(importlib.util.find_spec("hxtorch").origin).parent

look = beartype(conf=BeartypeConf(is_pep484_tower=True))  # whole numbers are floats, as everywhere in Python


def check(function):
    """`function` with a look at its arguments, but for protocols: to look at one would read all that it has."""
    named = vars(sys.modules[function.__module__])
    for name, hint in list(function.__annotations__.items()):
        words = [named.get(word) for word in re.findall(r"\w+", str(hint))]
        if any(getattr(word, "_is_protocol", False) for word in words):
            del function.__annotations__[name]
    return look(function)


def names_shapes(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    named = bool(imported & {"hxtorch.shapes", "hxtorch.snn.shapes"})
    return named and "hxtorch._kernels.compilation" not in imported  # numba compiles no function that others wrap


MODULES = [
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    for path in sorted(ROOT.rglob("*.py"))
    if names_shapes(path)
]
assert len(MODULES) > 15, MODULES
install_import_hook(MODULES, "checked.check")


def refused(call):
    """Whether a call is refused for a shape or a type."""
    try:
        call()
    except TypeCheckError:
        return True
    return False
