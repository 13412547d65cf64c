"""Handing over from a stand-in to the vendor's package, or to ours; see `hxtorch._vendor`.

Nothing of hxtorch is imported where the vendor's package is there.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

_HERE = Path(__file__).resolve().parent.parent


def hand_over(name: str) -> None:
    """Let the vendor's module take the place of the stand-in `name`, or, where there is none, that of hxtorch."""
    spec = _found_elsewhere(name)
    if spec is None:
        importlib.import_module("hxtorch")  # whose finder comes last and knows the name
        spec = _found_elsewhere(name)
    if spec is None:
        raise ModuleNotFoundError(f"hxtorch has nothing that stands in for {name}.", name=name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if spec.loader is not None:
        spec.loader.exec_module(module)


def _found_elsewhere(name: str) -> ModuleSpec | None:
    """What the finders of this process say of a module when they do not look into this folder."""
    elsewhere = [entry for entry in sys.path if Path(entry).resolve() != _HERE]
    for finder in sys.meta_path:
        spec = finder.find_spec(name, elsewhere)
        if spec is None or (spec.origin is not None and _HERE in Path(spec.origin).resolve().parents):
            continue
        if spec.origin is None and finder is PathFinder:  # a folder of this name, without modules
            continue
        return spec
    return None
