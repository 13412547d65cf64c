"""What a chip keeps of what it derived from parts of a program."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")


class Cache:
    """Results by the identity of the objects they came from (which it keeps alive), the last few of them.

    The objects are such that nobody can change them (`hxtorch.twin.frozen`). Several threads may use it at once.
    """

    def __init__(self, size: int = 16) -> None:
        self._entries: OrderedDict[tuple[object, ...], tuple[object, object]] = OrderedDict()
        self._size = size
        self._lock = Lock()

    def get(self, objects: tuple[object, ...], values: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what `make` gave for these very `objects` and equal hashable `values`."""
        key = (*(id(item) for item in objects), *values)
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key][1]  # type: ignore[return-value]
        result = make()  # without the lock: it takes long, and asks for other entries
        with self._lock:
            first = self._entries.setdefault(key, (objects, result))  # another thread may have been faster
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)
        return first[1]  # type: ignore[return-value]

    def __reduce__(self) -> tuple[Any, ...]:
        return Cache, (self._size,)  # empty: identities mean nothing in a copy or another process
