"""One package under two names: `hxtorch.spiking` is `hxtorch.snn`.

An alias must not load a second copy of anything, otherwise classes imported under the two names would
differ. A finder in front of all others therefore answers every import below the alias with the module
object of the target, also for submodules that are imported later.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _AliasLoader(Loader):
    """Hands out the already existing module `target`."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._target)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just overwritten the spec with that of the alias; the module keeps its own,
        # which `importlib.reload`, `pickle` and relative imports rely on.
        module.__spec__ = self._spec


class _AliasFinder(MetaPathFinder):
    """Finds `alias` and everything below it at `target`."""

    def __init__(self, alias: str, target: str) -> None:
        self.alias = alias
        self.target = target

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.alias and not fullname.startswith(self.alias + "."):
            return None
        real_name = self.target + fullname[len(self.alias) :]
        found = sys.modules.get(real_name) or importlib.util.find_spec(real_name)
        if found is None:
            return None
        return ModuleSpec(fullname, _AliasLoader(real_name))


class _MovedFinder(MetaPathFinder):
    """Finds modules that moved, `moved[old path]` being the new one; asked last of all finders."""

    def __init__(self, moved: Mapping[str, str]) -> None:
        self.moved = moved

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        real_name = self.moved.get(fullname)
        return None if real_name is None else ModuleSpec(fullname, _AliasLoader(real_name))


class _StandInFinder(MetaPathFinder):
    """Finds modules of packages that are not installed at others, `names[module]` being ours; asked last of all."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        around = sys.modules.get(fullname.rpartition(".")[0])
        if getattr(around, "__file__", None):  # the real package is there, but has no such module
            return None
        if fullname in self.names:
            return ModuleSpec(fullname, _AliasLoader(self.names[fullname]))
        if any(name.startswith(fullname + ".") for name in self.names):  # the package around it: empty
            return ModuleSpec(fullname, None, is_package=True)
        return None


def install_alias(alias: str, target: str) -> None:
    """Make the package `target` importable as `alias`, with all its submodules, as the same module objects.

    Both are full dotted names, for example ``install_alias("hxtorch.spiking", "hxtorch.snn")``. Installing
    the same alias again changes nothing.
    """
    for finder in sys.meta_path:
        if isinstance(finder, _AliasFinder) and (finder.alias, finder.target) == (alias, target):
            return
    sys.meta_path.insert(0, _AliasFinder(alias, target))


def install_moved(moved: Mapping[str, str]) -> None:
    """Make every module of `moved` importable by its old path, the key, as the same module object.

    Installing the same again changes nothing.
    """
    for finder in sys.meta_path:
        if isinstance(finder, _MovedFinder) and finder.moved == moved:
            return
    sys.meta_path.append(_MovedFinder(moved))


def moved_modules_of(package: str, moved: Mapping[str, str]) -> Callable[[str], ModuleType]:
    """A `__getattr__` for `package` that imports its modules of `moved`, and packages of such, at first use."""

    def find(name: str) -> ModuleType:
        path = f"{package}.{name}"
        if any(old == path or old.startswith(path + ".") for old in moved):
            return importlib.import_module(path)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find


def install_stand_ins(names: Mapping[str, str]) -> None:
    """Make every module of `names`, the key, importable as ours, the value, unless its package is installed.

    Installed packages win, also those that are installed later.
    """
    for finder in sys.meta_path:
        if isinstance(finder, _StandInFinder) and finder.names == names:
            return
    sys.meta_path.append(_StandInFinder(names))
