"""The calls of an experiment by thread."""

from __future__ import annotations

import threading
import weakref
from typing import Any

from hxtorch.snn.graph.calls import GraphBuilder


class CallsOfThreads:
    """The calls of an experiment, apart for every thread: networks in several threads do not mix."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._local = threading.local()
        self._all: list[tuple[weakref.ref[_Owner], GraphBuilder]] = []

    def __getstate__(self) -> dict[str, Any]:
        return {}  # they belong to this process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]

    @property
    def own(self) -> GraphBuilder:
        """Those of this thread."""
        try:
            return self._local.calls  # type: ignore[no-any-return]
        except AttributeError:
            return self._of_new_thread()

    @property
    def current(self) -> GraphBuilder:
        """Those of this thread; if it has none, those of the only other one that has some."""
        own = self.own
        if len(self._all) == 1 or len(own):
            return own
        others = [calls for _, calls in list(self._all) if len(calls)]
        return others[0] if len(others) == 1 else own

    def claim(self) -> GraphBuilder:
        """`current`, which are those of this thread from now on."""
        own, current = self.own, self.current
        if current is not own:
            own.take(current)
        return own

    def _of_new_thread(self) -> GraphBuilder:
        owner, calls = _Owner(), GraphBuilder()
        with self._lock:
            # Of threads that have ended, the last calls may still be run by another one.
            ended = [item for item in self._all if item[0]() is None and len(item[1])]
            self._all = [item for item in self._all if item[0]() is not None] + ended[-1:]
            self._all.append((weakref.ref(owner), calls))
        self._local.owner, self._local.calls = owner, calls
        return calls


class _Owner:
    """Lives as long as its thread."""
