"""Calls of modules between two runs, and which of them belong to the forward pass at hand.

Nobody says where a forward pass begins. A pass that was not run, because of an exception, an interrupt or a cell
of a notebook that is run again, leaves its calls behind; then the next one calls the same modules. What tells is a
module with one input that is called with another handle than before: an earlier pass ends after its last call, and
a new one has begun. The calls of the earlier pass are replaced one by one; those that the new one reads belong to
it, the rest is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hxtorch.snn.graph.contract import Member, Wrapper
from hxtorch.snn.handles.handle import Handle


@dataclass(eq=False, slots=True)
class Call:
    """A module with what it reads, every input with the time of the last call that gave it.

    Times count calls. `first`, `last`: of the calls of the module; `asked`: when its output was asked for before a
    call; `named`: an error has told the user that this call is in the way, and nobody has called it since.
    """

    module: Member
    output: Handle
    reads: tuple[tuple[Handle, int], ...]
    first: int
    last: int
    asked: int = 0
    named: bool = False


class ForwardPasses:
    """The calls since the last run, of the forward pass at hand and of earlier ones."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all calls."""
        self._calls: dict[int, Call] = {}  # by id of the module
        self._source: dict[int, Call] = {}  # by id of the output, with calls that were replaced
        self._asked: dict[int, tuple[Member, Handle]] = {}  # outputs asked for before the call
        self._wrappers: dict[int, tuple[Wrapper, int]] = {}  # with the time of the call
        self._now = 0
        self._ask_at = 0  # the first question for an output since the last call
        self._start = 0  # of the pass: calls before belong to an earlier one
        self._noticed = 0  # when the start was noticed
        self._repeats: list[int] = []  # when a call was made again, with which a pass may have begun

    def _notice(self, call: Call, given: tuple[Handle, ...]) -> None:
        """`call` is about to be replaced: unless it is old, a new pass has begun since.

        It began with a call that was made again or that reads the same handle of the user, else now.
        """
        if call.last < self._start:
            return
        late = call.last < self._noticed  # it was taken for one of this pass, which has begun later then
        bounds = [self._noticed if late else self._ask_at or self._now]
        bounds += [time for time in self._repeats if time > call.last]
        users = {id(handle) for handle in given if self._is_users(handle)}
        bounds += [
            other.first if other.first > call.last else other.last
            for other in self._calls.values()
            if other.last > call.last and any(id(handle) in users for handle, _ in other.reads)
        ]
        previous, self._start = self._start, max(self._start, min(bounds))
        if not late:
            self._noticed = self._now
            self._source = {
                key: item for key, item in self._source.items() if item.last >= previous or not self._is_stale(item)
            }
        self._repeats = [time for time in self._repeats if time >= self._start]

    def _take_over(self, given: Iterable[Handle]) -> None:
        """Calls of an earlier pass whose outputs are read belong to this one, as does what they read."""
        if not self._noticed:
            return
        todo = [self._source.get(id(handle)) for handle in given]
        found: dict[int, Call] = {}
        wrappers: list[Wrapper] = []
        while todo:
            call = todo.pop()
            if call is None or call.last >= self._noticed or id(call) in found or self._is_ahead(call):
                continue
            found[id(call)] = call
            for handle in self._inputs(call):
                source = self._source.get(id(handle))
                if source is not None and self._is_stale(source):
                    raise two_handles(source.module, call.module)
                todo.append(source)
            for wrapper, time in self._wrappers.values():
                if call.last < time < self._start and wrapper.contains(call.module):
                    wrappers.append(wrapper)
                    todo += [self._calls.get(id(module)) for module in wrapper.wrapped.values()]
        for call in found.values():
            call.reads = tuple([(handle, self._now) for handle in self._inputs(call)])
            self._touch(call)
        for wrapper in wrappers:
            self._wrappers[id(wrapper)] = wrapper, self._now

    def _touch(self, call: Call) -> None:
        if call.first < self._start:
            call.first = self._now
        call.last = self._now
        call.named = False

    def _is_stale(self, call: Call) -> bool:
        """Whether a later call of the module has replaced this one."""
        return self._calls.get(id(call.module)) is not call

    def _is_old(self, call: Call) -> bool:
        """Whether a call is from an earlier pass."""
        return call.last < self._start or (call.module.remembers and not self._live_reads(call))

    def _is_ahead(self, call: Call) -> bool:
        """Whether the output of an old call was asked for in this pass: the module will be called."""
        return call.last < self._noticed and call.asked >= self._start and call.asked > call.last

    def _closes_loop(self, call: Call) -> bool:
        """Whether the output of an old call was asked for in this pass, and is read in it."""
        return call.asked >= self._start and any(
            handle is call.output
            for other in self._calls.values()
            if other.last >= self._start
            for handle, _ in other.reads
        )

    def _live_reads(self, call: Call) -> list[tuple[Handle, int]]:
        """What neurons read in this pass."""
        if not self._start:
            return list(call.reads)
        return [
            (handle, time)
            for handle, time in call.reads
            if time >= self._start
            and ((source := self._source.get(id(handle))) is None or not self._is_stale(source))
        ]

    def _is_users(self, handle: Handle) -> bool:
        return id(handle) not in self._source and all(handle is not asked for _, asked in self._asked.values())

    def _replaces_users_handle(self, call: Call, fresh: list[Handle], given: tuple[Handle, ...]) -> bool:
        """Whether neurons get another handle made by the user, instead of the output of one more synapse."""
        again = {id(handle) for handle in given}
        return any(self._is_users(handle) for handle in fresh) and any(
            id(handle) not in again and self._is_users(handle) for handle, _ in self._live_reads(call)
        )

    def _inputs(self, call: Call) -> list[Handle]:
        since = self._start if call.module.remembers and call.last >= self._start else 0
        return [handle for handle, time in call.reads if time >= since]


def two_handles(module: Member, reader: Member) -> ValueError:
    """The error if `reader` reads an output of `module` that a later call has replaced."""
    if module.remembers:
        return ValueError(
            f"{module} was called anew, and its earlier output, which {reader} reads, is no longer filled. Give "
            "the output of the last call."
        )
    return ValueError(
        f"{module} was called with two different handles in one forward pass, and {reader} reads its output for "
        "the first. A module reads one input: use two modules, which may share a weight, or join the inputs along "
        "the batch. If the first is left from a forward pass that was not run, call all modules again."
    )


def not_called(module: Member) -> ValueError:
    """The error if the output of `module` is read, but nothing fills it."""
    return ValueError(f"The output of {module} was given to another module, but {module} was not called. Call it.")
