"""Calls of modules between two runs: which belong together, and the graph that they form.

Nobody says where a forward pass begins. A pass that was not run, because of an exception, an interrupt or a cell
of a notebook that is run again, leaves its calls behind; then the next one calls the same modules. What tells is a
module with one input that is called with another handle than before: an earlier pass ends after its last call, and
a new one has begun. The calls of the earlier pass are replaced one by one; those that the new one reads belong to
it, the rest is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hxtorch.snn.graph import Graph, Node, arrange, structure_key
from hxtorch.snn.handle import Handle

if TYPE_CHECKING:
    from hxtorch.snn.modules.base import HXBaseExperimentModule
    from hxtorch.snn.modules.wrapper import HXModuleWrapper


@dataclass(eq=False, slots=True)
class _Call:
    """A module with what it reads, every input with the time of the last call that gave it.

    Times count calls. `first`, `last`: of the calls of the module; `asked`: when its output was asked for before a
    call; `taken`: since the last call it was taken over into a later pass; `named`: since then an error has told the
    user that it is in the way.
    """

    module: HXBaseExperimentModule
    output: Handle
    reads: tuple[tuple[Handle, int], ...]
    first: int
    last: int
    asked: int = 0
    taken: bool = False
    named: bool = False


class GraphBuilder:
    """Collects calls until `build`.

    * The same call again, with the same handles, counts once.
    * Neurons sum what they read: another handle is added, unless the call is from an earlier pass.
    * Any other module reads what its last call gave it. Its earlier output is no longer filled, and reading it is a
      ValueError.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all calls."""
        self._calls: dict[int, _Call] = {}  # by id of the module
        self._source: dict[int, _Call] = {}  # by id of the output, with calls that were replaced
        self._asked: dict[int, tuple[HXBaseExperimentModule, Handle]] = {}  # outputs asked for before the call
        self._wrappers: dict[int, tuple[HXModuleWrapper, int]] = {}  # with the time of the call
        self._now = 0
        self._ask_at = 0  # the first question for an output since the last call
        self._start = 0  # of the pass: calls before belong to an earlier one
        self._noticed = 0  # when the start was noticed
        self._repeats: list[int] = []  # when a call was made again, with which a pass may have begun

    def __len__(self) -> int:
        return sum(not call.named for call in self._calls.values())

    def take(self, other: GraphBuilder) -> None:
        """Take over the calls of `other`, which then has none."""
        vars(self).update(vars(other))
        other.clear()

    def output_of(self, module: HXBaseExperimentModule) -> Handle:
        """The handle that calls of `module` in this pass return, also before its first call."""
        self._now += 1
        self._ask_at = self._ask_at or self._now
        call = self._calls.get(id(module))
        if call is not None and (not self._is_old(call) or call.asked >= self._start):
            call.asked = self._now
            return call.output
        return self._asked.setdefault(id(module), (module, module.output_type()))[1]

    def connect(
        self, module: HXBaseExperimentModule, inputs: Iterable[Handle], output: Handle | None = None
    ) -> Handle:
        """Note that `module` reads `inputs`; return its output handle, `output` if given.

        An input that a later call has replaced, or another output for the same call: ValueError.
        """
        given = tuple(inputs)
        if module.remembers and len(given) > 1:
            given = tuple({id(handle): handle for handle in given}.values())
        for handle in given:
            source = self._source.get(id(handle))
            if source is not None and self._is_stale(source):
                self._calls[id(source.module)].named = not source.module.remembers
                raise _two_handles(source.module, module)
        self._now += 1
        call = self._calls.get(id(module))
        if call is None:
            self._take_over(given)
            handle = self._start_call(module, given, output, None)
        else:
            handle = self._call_again(call, given, output)
        self._ask_at = 0
        return handle

    def connect_wrapper(self, wrapper: HXModuleWrapper) -> None:
        """Note that the modules of `wrapper` are computed by it; ValueError if another wrapper has one of them."""
        self._now += 1
        for key, (other, time) in list(self._wrappers.items()):
            shared = [
                name for name, module in wrapper.modules.items() if other is not wrapper and other.contains(module)
            ]
            if shared and time >= self._noticed:
                raise ValueError(
                    f"Module {shared[0]!r} is already in another wrapper. A module belongs to one wrapper at most."
                )
            if shared:
                del self._wrappers[key]
        if id(wrapper) in self._wrappers and self._wrappers[id(wrapper)][1] >= self._start:
            self._repeats.append(self._ask_at or self._now)
        self._wrappers[id(wrapper)] = wrapper, self._now
        self._ask_at = 0

    def outputs_of(self, modules: Iterable[HXBaseExperimentModule]) -> tuple[Handle, ...]:
        """The output handles of modules that were called."""
        return tuple(
            self._calls[id(module)].output if id(module) in self._calls else self.output_of(module)
            for module in modules
        )

    def build(self) -> Graph:
        """Order the calls of this pass.

        ValueError: circles without neurons, handles of modules that were not called, and outputs of one module for
        two different inputs.
        """
        calls, _, wrappers = self._settled()
        self._check_asked(calls)
        nodes = {key: Node(call.module, tuple(self._inputs(call)), call.output) for key, call in calls.items()}
        node_of = {id(call.output): nodes[key] for key, call in calls.items()}
        for node in nodes.values():
            node.predecessors = tuple([node_of.get(id(handle)) for handle in node.inputs])
        steps = arrange(nodes.values(), wrappers)
        return Graph(steps, structure_key(steps))

    def left_out(self) -> tuple[HXBaseExperimentModule, ...]:
        """Modules whose calls are from an earlier pass and not in the graph."""
        return self._settled()[1] if self._start else ()

    # --- Calls ---------------------------------------------------------------------------------------------

    def _call_again(self, call: _Call, given: tuple[Handle, ...], output: Handle | None) -> Handle:
        known = {id(handle) for handle, _ in call.reads}
        fresh = [handle for handle in given if id(handle) not in known]
        if call.module.remembers:
            if fresh and self._replaces_users_handle(call, fresh, given):
                self._notice(call, given)
            self._take_over(given)
            if self._is_old(call):
                if fresh or len(given) < len(known):
                    return self._start_call(call.module, given, output, call)
                call.reads = tuple([(handle, self._now) for handle, _ in call.reads])
            else:
                self._check_output(call, output)
                again = {id(handle) for handle in given}
                reads = [(h, self._now if id(h) in again else t) for h, t in self._live_reads(call)]
                known = {id(handle) for handle, _ in reads}
                call.reads = (*reads, *[(handle, self._now) for handle in given if id(handle) not in known])
        elif [id(handle) for handle, _ in call.reads] != [id(handle) for handle in given]:
            self._notice(call, given)
            self._take_over(given)
            return self._start_call(call.module, given, output, call)
        else:
            self._check_output(call, output)
            self._take_over(given)
        if not fresh and call.last >= self._start and not call.taken:
            self._repeats.append(self._ask_at or self._now)
        self._touch(call)
        return call.output

    def _start_call(
        self,
        module: HXBaseExperimentModule,
        given: tuple[Handle, ...],
        output: Handle | None,
        earlier: _Call | None,
    ) -> Handle:
        key = id(module)
        asked = self._asked.get(key)
        if output is None and asked is not None:
            output = asked[1]
        elif output is None and earlier is not None and self._closes_loop(earlier):
            output = earlier.output
        elif output is None:
            output = module.output_type()
        now = self._now
        reads = tuple([(handle, now) for handle in given])
        if earlier is not None and output is earlier.output:
            earlier.reads = reads
            earlier.first = earlier.last = now
            earlier.taken = earlier.named = False
        else:
            call = _Call(module, output, reads, now, now)
            self._source[id(output)] = call
            self._calls[key] = call
        if asked is not None:
            self._asked.pop(key, None)
        return output

    def _touch(self, call: _Call) -> None:
        if call.first < self._start:
            call.first = self._now
        call.last = self._now
        call.taken = call.named = False

    @staticmethod
    def _check_output(call: _Call, output: Handle | None) -> None:
        if output is not None and output is not call.output:
            raise ValueError(f"{call.module} was called before and has another output handle already.")

    # --- Passes --------------------------------------------------------------------------------------------

    def _notice(self, call: _Call, given: tuple[Handle, ...]) -> None:
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
            other.last
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
        found: dict[int, _Call] = {}
        wrappers: list[HXModuleWrapper] = []
        while todo:
            call = todo.pop()
            if call is None or call.last >= self._noticed or id(call) in found or self._is_ahead(call):
                continue
            found[id(call)] = call
            for handle in self._inputs(call):
                source = self._source.get(id(handle))
                if source is not None and self._is_stale(source):
                    raise _two_handles(source.module, call.module)
                todo.append(source)
            for wrapper, time in self._wrappers.values():
                if max(time, call.last) < self._start and wrapper.contains(call.module):
                    wrappers.append(wrapper)
                    todo += [self._calls.get(id(module)) for module in wrapper.modules.values()]
        for call in found.values():
            call.reads = tuple([(handle, self._now) for handle in self._inputs(call)])
            taken = call.taken or call.last < self._start
            self._touch(call)
            call.taken = taken
        for wrapper in wrappers:
            self._wrappers[id(wrapper)] = wrapper, self._now

    def _is_stale(self, call: _Call) -> bool:
        """Whether a later call of the module has replaced this one."""
        return self._calls.get(id(call.module)) is not call

    def _is_old(self, call: _Call) -> bool:
        """Whether a call is from an earlier pass."""
        return call.last < self._start or (call.module.remembers and not self._live_reads(call))

    def _is_ahead(self, call: _Call) -> bool:
        """Whether the output of an old call was asked for in this pass: the module will be called."""
        return call.last < self._noticed and call.asked >= self._start and call.asked > call.last

    def _closes_loop(self, call: _Call) -> bool:
        """Whether the output of an old call was asked for in this pass, and is read in it."""
        return call.asked >= self._start and any(
            handle is call.output
            for other in self._calls.values()
            if other.last >= self._start
            for handle, _ in other.reads
        )

    def _live_reads(self, call: _Call) -> list[tuple[Handle, int]]:
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

    def _replaces_users_handle(self, call: _Call, fresh: list[Handle], given: tuple[Handle, ...]) -> bool:
        """Whether neurons get another handle made by the user, instead of the output of one more synapse."""
        again = {id(handle) for handle in given}
        return any(self._is_users(handle) for handle in fresh) and any(
            id(handle) not in again and self._is_users(handle) for handle, _ in self._live_reads(call)
        )

    # --- The graph -----------------------------------------------------------------------------------------

    def _inputs(self, call: _Call) -> list[Handle]:
        since = self._start if call.module.remembers and call.last >= self._start else 0
        return [handle for handle, time in call.reads if time >= since]

    def _settled(
        self,
    ) -> tuple[dict[int, _Call], tuple[HXBaseExperimentModule, ...], list[HXModuleWrapper]]:
        """The calls of this pass in their order, modules and wrappers that are left out, and the wrappers."""
        if not self._start and len(self) == len(self._calls):
            return self._calls, (), [wrapper for wrapper, _ in self._wrappers.values()]
        broken = self._broken()
        chosen = {
            key: call
            for key, call in self._calls.items()
            if call.last >= self._start and not call.named and key not in broken
        }
        todo = list(chosen.values())
        while todo:
            call = todo.pop()
            for handle in self._inputs(call):
                source = self._source.get(id(handle))
                if source is None or chosen.get(id(source.module)) is source:
                    continue
                if self._is_stale(source):
                    raise _two_handles(source.module, call.module)
                if self._is_ahead(source):
                    raise _not_called(source.module)
                chosen[id(source.module)] = source
                todo.append(source)
        left = [call for key, call in self._calls.items() if key not in chosen and not call.named]
        self._check_split(chosen, left)
        wrappers: list[HXModuleWrapper] = []
        gone: list[HXModuleWrapper] = []
        for wrapper, time in self._wrappers.values():
            complete = all(id(module) in chosen for module in wrapper.modules.values())
            belongs = time >= self._noticed or (time >= self._start and complete)
            (wrappers if belongs else gone).append(wrapper)
        order = sorted(chosen.items(), key=lambda item: self._place(item[1]))
        return dict(order), (*[call.module for call in left], *gone), wrappers

    def _place(self, call: _Call) -> int:
        return call.first if call.first >= self._start else call.last

    def _broken(self) -> set[int]:
        """Calls that were taken for ones of this pass, but read what it has replaced."""
        broken: set[int] = set()
        before = -1
        while before < len(broken):
            before = len(broken)
            for key, call in self._calls.items():
                if not self._start <= call.last < self._noticed:
                    continue
                sources = [self._source.get(id(handle)) for handle in self._inputs(call)]
                if any(s is not None and (self._is_stale(s) or id(s.module) in broken) for s in sources):
                    broken.add(key)
        return broken

    def _check_split(self, chosen: dict[int, _Call], left: list[_Call]) -> None:
        """ValueError if outputs of one module for two handles are read, one of them by a call that is left out."""
        for call in left:
            for handle, _ in call.reads:
                source = self._source.get(id(handle))
                if source is None or source.module.remembers or not self._is_stale(source):
                    continue
                before = [self._source.get(id(item)) for item, _ in source.reads]
                if any(item is not None and self._is_stale(item) for item in before):
                    continue  # it was called again because all before it was
                now = chosen.get(id(source.module))
                if now is not None and any(
                    item is now.output for other in chosen.values() for item in self._inputs(other)
                ):
                    raise _two_handles(source.module, call.module)

    def _check_asked(self, calls: dict[int, _Call]) -> None:
        for module, handle in self._asked.values():
            if any(item is handle for call in calls.values() for item in self._inputs(call)):
                raise _not_called(module)


def _two_handles(module: HXBaseExperimentModule, reader: HXBaseExperimentModule) -> ValueError:
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


def _not_called(module: HXBaseExperimentModule) -> ValueError:
    return ValueError(f"The output of {module} was given to another module, but {module} was not called. Call it.")
