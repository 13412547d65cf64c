"""The modules of an experiment by number, and the networks that they form, as graphs of networkx."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from hxtorch.snn.graph.calls import GraphBuilder
from hxtorch.snn.graph.checks import check_graph
from hxtorch.snn.graph.contract import Host, Member, Node, Wrapper
from hxtorch.snn.graph.graph import Graph
from hxtorch.snn.graph.inputs import take_inputs
from hxtorch.snn.graph.thread_calls import CallsOfThreads
from hxtorch.snn.handles.handle import Handle


class ModuleManager:
    """Modules are numbered 0, 1, 2, ... in the order of their first calls, and keep their number.

    * `nodes`: module -> number. `wrappers`: wrapper -> name, "w_0", "w_1", ...
    * `graph`: the network as called since the last run, `prev_graph`: that of the last run (None before it), as
      ``networkx.DiGraph``. Nodes are numbers; inputs of the user are ``"s_{number}_{place}"``, outputs that nobody
      reads ``"t_{number}"``. Every edge carries its `handle`.
    """

    def __init__(self) -> None:
        self.nodes: dict[Member, int] = {}
        self.wrappers: dict[Wrapper, str] = {}
        self._calls = CallsOfThreads()
        self._lock = threading.Lock()
        self._last: Graph | None = None

    def __getstate__(self) -> dict[str, Any]:
        # calls, and data with gradients, stay in this process
        return {name: value for name, value in vars(self).items() if name not in ("_calls", "_lock", "_last")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _calls=CallsOfThreads(), _lock=threading.Lock(), _last=None)

    @property
    def calls(self) -> GraphBuilder:
        """The calls since the last run: of this thread, or of the only other one that has some."""
        return self._calls.current

    def claim_calls(self) -> GraphBuilder:
        """`calls`, which belong to this thread from now on."""
        return self._calls.claim()

    def add(self, module: Member) -> int:
        """Number of a module, a new one if it has none."""
        number = self.nodes.get(module)
        if number is None:
            with self._lock:
                number = self.nodes.setdefault(module, len(self.nodes))
        return number

    def add_node(self, module: Member, sources: Iterable[Handle], target: Handle | None = None) -> Handle:
        """Note that `module` reads the handles `sources` and fills `target`; returns its output handle.

        A module that is added twice keeps its number. Neurons collect further inputs, and another target is a
        ValueError; other modules then read the new inputs alone, and fill another handle.
        """
        self.add(module)
        return self._calls.own.connect(module, sources, target)

    def output_of(self, module: Member) -> Handle:
        """The handle that calls of `module` return, also before its first call."""
        return self._calls.own.output_of(module)

    def add_wrapper(self, wrapper: Wrapper) -> None:
        """Note that `wrapper` computes its modules; ValueError if one of them is in another wrapper."""
        self._calls.own.connect_wrapper(wrapper)
        with self._lock:
            self.wrappers.setdefault(wrapper, f"w_{len(self.wrappers)}")

    def outputs_of(self, wrapper: Wrapper) -> tuple[Handle, ...]:
        """The handles that the modules of `wrapper` fill."""
        return self._calls.own.outputs_of(wrapper.wrapped.values())

    def clear(self) -> None:
        """Forget the calls of this thread; modules keep their numbers."""
        self._calls.own.clear()

    def remember(self, graph: Graph) -> None:
        """Keep the network that has run."""
        last, self._last = self._last, graph
        if last is not None:
            last.release()

    def pre_process(self, experiment: Host) -> None:
        """Check the network as called, and prepare its modules for a run; `run` does it."""
        graph = self.calls.build()
        take_inputs(graph)
        check_graph(graph)
        for node in graph.modules_in_order:
            node.module.prepare(node)

    def has_module(self, module: Member) -> bool:
        """Whether a module was ever called in the experiment."""
        return module in self.nodes

    def get_id_by_module(self, module: Member) -> int | None:
        """Number of a module; None if it was never called."""
        return self.nodes.get(module)

    def get_module_by_id(self, number: int) -> Member | None:
        """Module of a number; None if there is none."""
        return next((module for module, known in self.nodes.items() if known == number), None)

    def done(self) -> list[tuple[Member, tuple[Handle, ...], Handle]]:
        """Modules in the order of execution, with their input handles and the output handle.

        Those called since the last run, else those of the last run.
        """
        return [(node.module, node.given, node.output) for node in self._nodes_in_order()]

    def find_edges(self, handle: Handle) -> list[tuple[Any, Any]]:
        """Edges of the network, called or run last, that carry this handle."""
        graph = self.graph if len(self.calls) else self.prev_graph
        if graph is None:
            return []
        return [(a, b) for a, b, carried in graph.edges(data="handle") if carried is handle]

    def input_data(self, module: Member) -> list[Handle]:
        """The handles that a module reads in the network, called or run last."""
        return [handle for node in self._nodes_in_order() if node.module is module for handle in node.given]

    def source_populations(self, module: Member) -> list[Member]:
        """Populations whose spikes reach a module, over modules that are none (synapses, dropout)."""
        before = {
            id(node.module): [source.module for source in node.predecessors if source is not None]
            for node in self._nodes_in_order()
        }
        return _populations(module, before)

    def target_populations(self, module: Member) -> list[Member]:
        """Populations that the output of a module reaches, over modules that are none."""
        after: dict[int, list[Member]] = {}
        for node in self._nodes_in_order():
            for source in node.predecessors:
                if source is not None:
                    after.setdefault(id(source.module), []).append(node.module)
        return _populations(module, after)

    @property
    def graph(self) -> Any:
        """The network as called since the last run."""
        return self._drawn(self.calls.build() if len(self.calls) else None)

    @property
    def prev_graph(self) -> Any:
        """The network of the last run; None before it."""
        return None if self._last is None else self._drawn(self._last)

    def _nodes_in_order(self) -> tuple[Node, ...]:
        graph = self.calls.build() if len(self.calls) else self._last
        return () if graph is None else graph.modules_in_order

    def _drawn(self, network: Graph | None) -> Any:
        import networkx  # comes with torch; not needed to run anything

        graph = networkx.DiGraph()
        nodes = () if network is None else network.modules_in_order
        read: set[int] = set()
        for node in nodes:
            number = self.nodes[node.module]
            graph.add_node(number)
            for place, (handle, source) in enumerate(zip(node.given, node.predecessors, strict=True)):
                origin = f"s_{number}_{place}" if source is None else self.nodes[source.module]
                graph.add_edge(origin, number, handle=handle)
                if source is not None:
                    read.add(id(source))
        for node in nodes:
            if id(node) not in read:
                number = self.nodes[node.module]
                graph.add_edge(number, f"t_{number}", handle=node.output)
        return graph


def _populations(start: Member, neighbours: dict[int, list[Member]]) -> list[Member]:
    found: dict[int, Member] = {}
    seen: set[int] = set()
    todo = list(neighbours.get(id(start), []))
    while todo:
        module = todo.pop(0)
        if id(module) in seen:
            continue
        seen.add(id(module))
        if module.is_population:
            found[id(module)] = module
        else:
            todo += neighbours.get(id(module), [])
    return list(found.values())
