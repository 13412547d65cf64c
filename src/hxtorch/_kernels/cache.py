"""Machine code of kernels on disk: numba's own store, in folders that follow all sources of a kernel.

Numba keeps code for the one source file that a kernel stands in. Here the folder carries the hash of `sources`: a
change of anything that the code could depend on leads to a new folder, never to stale code, and copies of hxtorch
with the same contents share one.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from numba.core import caching
from numba.core.types.containers import BaseNamedTuple, BaseTuple
from platformdirs import user_cache_dir

from hxtorch._kernels.sources import name_of_state

KEEP_UNUSED = 30 * 24 * 3600.0  # s, of machine code that nobody has loaded

Function = Callable[..., Any]


def kernels_folder() -> Path:
    """The folder with the machine code of all kernels."""
    return Path(os.environ.get("NUMBA_CACHE_DIR") or Path(user_cache_dir("hxtorch")) / "kernels")


class KernelCache(caching.NullCache):  # type: ignore[misc]  # numba has no types
    """The machine code of one kernel, looked for at its first use: an import makes no folders.

    Where no folder can be used, or nobody knows which sources were loaded, the kernel is compiled in every process.
    Numba holds its lock during all calls.
    """

    def __init__(self, function: Function) -> None:
        self._function = function

    def load_overload(self, signature: Any, context: Any) -> Any:
        """The compiled kernel for the types of its arguments; None if there is none."""
        store = self._store(signature)
        with contextlib.suppress(OSError):
            return store and store.load_overload(signature, context)
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep the compiled kernel."""
        store = self._store(signature)
        with contextlib.suppress(OSError):
            if store:
                store.save_overload(signature, compiled)

    def _store(self, signature: Any) -> _Store | None:
        """Where code lies for arguments of these types; the fields of named tuples are compiled into it."""
        classes = _named_tuples(getattr(signature, "args", signature))
        try:
            sources = {Path(inspect.getfile(item)) for item in classes}
        except (OSError, TypeError):  # made in a shell
            return None
        folder = _folder_of((Path(inspect.getfile(self._function)), *sorted(sources)))
        return _Store(self._function, folder) if folder else None


def _named_tuples(kinds: Iterable[Any]) -> Iterator[type]:
    """The classes of all named tuples among types of numba, also inside of others."""
    for kind in kinds:
        if isinstance(kind, BaseNamedTuple):
            yield kind.instance_class
        if isinstance(kind, BaseTuple):
            yield from _named_tuples(kind)


@cache
def _folder_of(sources: tuple[Path, ...]) -> Path | None:
    """Where the machine code of sources in their present state lies; None where their state is not known."""
    state = name_of_state(sources) if all(source.is_file() for source in sources) else None
    if state is None:
        return None
    folder = kernels_folder() / state
    with contextlib.suppress(OSError):  # nothing can be written
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        _forget_unused(folder.parent, state.partition(".")[0])
    return folder


@cache
def _forget_unused(folder: Path, package: str) -> None:
    """Remove the code of states of a package that nobody has used for a month.

    Other installations may use them, so a younger one is left alone.
    """
    oldest = time.time() - KEEP_UNUSED
    for state in folder.glob(f"{package}.*-{'[0-9a-f]' * 16}"):
        if state.stat().st_mtime < oldest:
            shutil.rmtree(state, ignore_errors=True)


class _Store(caching.FunctionCache):  # type: ignore[misc]
    """Numba's store for the code of one function, in a folder that is given."""

    def __init__(self, function: Function, folder: Path) -> None:
        self._impl_class = lambda function: _Files(function, folder)
        super().__init__(function)


class _Files(caching.CompileResultCacheImpl):  # type: ignore[misc]
    def __init__(self, function: Function, folder: Path) -> None:
        self._locator_classes = [_Place(function, folder)]  # numba takes the first that suits the function
        super().__init__(function)


class _Place:
    """Where numba finds the code of a function: what its class of locators would answer."""

    def __init__(self, function: Function, folder: Path) -> None:
        self._py_file = inspect.getfile(function)  # numba names it where code cannot be kept
        self._line = function.__code__.co_firstlineno
        self._folder = folder

    def from_function(self, function: Function, file: str) -> _Place:
        return self

    def ensure_cache_path(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return self._folder.name

    def get_disambiguator(self) -> str:
        return str(self._line)
