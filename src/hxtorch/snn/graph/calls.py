"""Calls of modules between two runs, and the graph that they form."""

from __future__ import annotations

from collections.abc import Iterable

from hxtorch.snn.graph.contract import Member, Node, Wrapper
from hxtorch.snn.graph.forward_passes import Call, ForwardPasses, not_called, two_handles
from hxtorch.snn.graph.graph import Graph
from hxtorch.snn.graph.order import arrange
from hxtorch.snn.handles.handle import Handle


class GraphBuilder(ForwardPasses):
    """Collects calls until `build`.

    * The same call again, with the same handles, counts once.
    * Neurons sum what they read: another handle is added, unless the call is from an earlier pass.
    * Any other module reads what its last call gave it. Its earlier output is no longer filled, and reading it is a
      ValueError.
    """

    def __len__(self) -> int:
        return sum(not call.named for call in self._calls.values())

    def take(self, other: GraphBuilder) -> None:
        """Take over the calls of `other`, which then has none."""
        vars(self).update(vars(other))
        other.clear()

    def output_of(self, module: Member) -> Handle:
        """The handle that calls of `module` in this pass return, also before its first call."""
        self._now += 1
        self._ask_at = self._ask_at or self._now
        call = self._calls.get(id(module))
        if call is not None and (not self._is_old(call) or call.asked >= self._start):
            call.asked = self._now
            return call.output
        return self._asked.setdefault(id(module), (module, module.output_type()))[1]

    def connect(self, module: Member, inputs: Iterable[Handle], output: Handle | None = None) -> Handle:
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
                raise two_handles(source.module, module)
        self._now += 1
        call = self._calls.get(id(module))
        if call is None:
            self._take_over(given)
            handle = self._start_call(module, given, output, None)
        else:
            handle = self._call_again(call, given, output)
        self._ask_at = 0
        return handle

    def connect_wrapper(self, wrapper: Wrapper) -> None:
        """Note that the modules of `wrapper` are computed by it; ValueError if another wrapper has one of them."""
        self._now += 1
        for key, (other, time) in list(self._wrappers.items()):
            shared = [
                name for name, module in wrapper.wrapped.items() if other is not wrapper and other.contains(module)
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

    def outputs_of(self, modules: Iterable[Member]) -> tuple[Handle, ...]:
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
        return Graph(arrange(nodes.values(), wrappers))

    def left_out(self) -> tuple[Member, ...]:
        """Modules whose calls are from an earlier pass and not in the graph."""
        return self._settled()[1] if self._start else ()

    def _call_again(self, call: Call, given: tuple[Handle, ...], output: Handle | None) -> Handle:
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
        if not fresh and call.last >= self._start:
            self._repeats.append(self._ask_at or self._now)
        self._touch(call)
        return call.output

    def _start_call(
        self,
        module: Member,
        given: tuple[Handle, ...],
        output: Handle | None,
        earlier: Call | None,
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
            earlier.named = False
        else:
            call = Call(module, output, reads, now, now)
            self._source[id(output)] = call
            self._calls[key] = call
        if asked is not None:
            self._asked.pop(key, None)
        return output

    @staticmethod
    def _check_output(call: Call, output: Handle | None) -> None:
        if output is not None and output is not call.output:
            raise ValueError(f"{call.module} was called before and has another output handle already.")

    def _settled(
        self,
    ) -> tuple[dict[int, Call], tuple[Member, ...], list[Wrapper]]:
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
                    raise two_handles(source.module, call.module)
                if self._is_ahead(source):
                    raise not_called(source.module)
                chosen[id(source.module)] = source
                todo.append(source)
        left = [call for key, call in self._calls.items() if key not in chosen and not call.named]
        self._check_split(chosen, left)
        wrappers: list[Wrapper] = []
        gone: list[Wrapper] = []
        for wrapper, time in self._wrappers.values():
            complete = all(id(module) in chosen for module in wrapper.wrapped.values())
            belongs = time >= self._noticed or (time >= self._start and complete)
            (wrappers if belongs else gone).append(wrapper)
        order = sorted(chosen.items(), key=lambda item: self._place(item[1]))
        return dict(order), (*[call.module for call in left], *gone), wrappers

    def _place(self, call: Call) -> int:
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

    def _check_split(self, chosen: dict[int, Call], left: list[Call]) -> None:
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
                    raise two_handles(source.module, call.module)

    def _check_asked(self, calls: dict[int, Call]) -> None:
        for module, handle in self._asked.values():
            if any(item is handle for call in calls.values() for item in self._inputs(call)):
                raise not_called(module)
