"""The modules of an experiment by number, and the networks that they form, as graphs of networkx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hxtorch.snn.graph import Graph, Node
from hxtorch.snn.handle import Handle

if TYPE_CHECKING:
    from hxtorch.snn.modules.base import HXBaseExperimentModule


class ModuleManager:
    """Modules are numbered 0, 1, 2, ... in the order of their first calls, and keep their number.

    * `nodes`: module -> number.
    * `prev_graph`: the network of the last run as a ``networkx.DiGraph``; None before it. Nodes are numbers;
      inputs of the user are ``"s_{number}_{place}"``, outputs that nobody reads ``"t_{number}"``. Every edge
      carries its `handle`.
    """

    def __init__(self) -> None:
        self.nodes: dict[HXBaseExperimentModule, int] = {}
        self._last: Graph | None = None

    def add(self, module: HXBaseExperimentModule) -> int:
        """Number of a module, a new one if it has none."""
        return self.nodes.setdefault(module, len(self.nodes))

    def remember(self, graph: Graph) -> None:
        """Keep the network that has run."""
        if self._last is not None:
            self._last.release()
        self._last = graph

    def has_module(self, module: HXBaseExperimentModule) -> bool:
        """Whether a module was ever called in the experiment."""
        return module in self.nodes

    def get_id_by_module(self, module: HXBaseExperimentModule) -> int | None:
        """Number of a module; None if it was never called."""
        return self.nodes.get(module)

    def get_module_by_id(self, number: int) -> HXBaseExperimentModule | None:
        """Module of a number; None if there is none."""
        return next((module for module, known in self.nodes.items() if known == number), None)

    def done(self) -> list[tuple[HXBaseExperimentModule, tuple[Handle, ...], Handle]]:
        """Modules of the last run in the order of execution, with their input handles and the output handle."""
        nodes: tuple[Node, ...] = () if self._last is None else self._last.modules_in_order
        return [(node.module, node.inputs, node.output) for node in nodes]

    @property
    def prev_graph(self) -> Any:
        """The network of the last run as a ``networkx.DiGraph``; None before it."""
        if self._last is None:
            return None
        import networkx  # comes with torch; not needed to run anything

        graph = networkx.DiGraph()
        nodes = self._last.modules_in_order
        read: set[int] = set()
        for node in nodes:
            number = self.nodes[node.module]
            graph.add_node(number)
            for place, (handle, source) in enumerate(zip(node.inputs, node.predecessors, strict=True)):
                origin = f"s_{number}_{place}" if source is None else self.nodes[source.module]
                graph.add_edge(origin, number, handle=handle)
                if source is not None:
                    read.add(id(source))
        for node in nodes:
            if id(node) not in read:
                number = self.nodes[node.module]
                graph.add_edge(number, f"t_{number}", handle=node.output)
        return graph
