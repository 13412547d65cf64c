"""Writes down every importable path of the package with its public names and their signatures.

Its output on commit 6c2d581, before the files of the package moved to rooms of their own, is `snapshot.json`;
`test_snapshot.py` holds it.
"""

import ast
import importlib
import inspect
import json
import pkgutil
import sys
from enum import Enum
from pathlib import Path

import hxtorch


def paths():
    """Full names of all modules of the package."""
    found = ["hxtorch"]
    found += [item.name for item in pkgutil.walk_packages(hxtorch.__path__, "hxtorch.")]
    return sorted(name for name in found if not any(part.startswith("_") for part in name.split(".")))


def public_names(module):
    """What a module lists in `__all__`, or else what it defines itself without an underscore before the name."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(listed)
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return sorted(name for name in names if not name.startswith("_"))


def default(value):
    """A default as text without the addresses of objects."""
    if callable(value) and hasattr(value, "__qualname__"):
        return value.__qualname__
    text = repr(value)
    return text if " at 0x" not in text else type(value).__qualname__


def signature(thing):
    """Parameters of a callable as [name, kind, default or null]; None if it tells none."""
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return None
    return [[p.name, p.kind.name, None if p.default is p.empty else default(p.default)] for p in parameters]


def described(thing):
    """Kind and signature of a public object; of a class also its public methods and properties."""
    if inspect.isclass(thing):
        members = {}
        for name in dir(thing):
            if name.startswith("_"):
                continue
            member = inspect.getattr_static(thing, name)
            owner = next((c for c in thing.__mro__ if name in vars(c)), None)
            if owner is None or not owner.__module__.startswith("hxtorch"):
                continue
            function = member.__func__ if isinstance(member, staticmethod | classmethod) else member
            members[name] = signature(function) if inspect.isfunction(function) else type(member).__name__
        own_init = not issubclass(thing, Enum)
        return {"class": signature(thing) if own_init else None, "members": members}
    if inspect.ismodule(thing):
        return {"module": thing.__name__}
    if callable(thing):
        return {"callable": signature(thing)}
    return {"value": type(thing).__name__}


def snapshot():
    """Everything, as plain data."""
    result = {}
    for path in paths():
        if path.endswith("__main__"):
            continue
        module = importlib.import_module(path)
        result[path] = {name: described(getattr(module, name)) for name in public_names(module)}
    return result


if __name__ == "__main__":
    lines = [
        f"{json.dumps(path)}: {json.dumps(names, sort_keys=True, separators=(',', ':'))}"
        for path, names in sorted(snapshot().items())
    ]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
