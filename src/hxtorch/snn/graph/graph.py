"""The network of one run: its nodes in the order in which they are computed."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from hxtorch.snn.graph.contract import Node, Step
from hxtorch.snn.handles.handle import Handle


@dataclass(frozen=True, eq=False)
class Graph:
    """All calls of one run, in `steps`: each after what it needs, otherwise in the order of the calls."""

    steps: tuple[Step, ...]

    @property
    def structure_key(self) -> Hashable:
        """Equal for graphs in which the same module objects are connected in the same way.

        One input of the user that feeds several modules counts as well. Holding a key keeps its modules alive.
        """
        return _structure_key(self.steps)

    @property
    def modules_in_order(self) -> tuple[Node, ...]:
        """Nodes, each after its predecessors unless they form a circle."""
        return tuple(node for step in self.steps for node in step.nodes)

    @property
    def open_inputs(self) -> tuple[tuple[Node, Handle], ...]:
        """Every handle given by the user, with the node that reads it."""
        return tuple((node, handle) for step in self.steps for node in step.nodes for handle in node.open_inputs)

    def forget_inputs(self) -> None:
        """Let go of what was taken down of the user's inputs: the handles are those of the calls again."""
        for node in self.modules_in_order:
            node.inputs = node.given

    def release(self) -> None:
        """Cut the edges of a graph that is no longer used.

        Otherwise the nodes of a loop would hold each other, and their tensors, until Python looks for such circles.
        """
        for step in self.steps:
            for node in step.nodes:
                node.predecessors = ()


def _structure_key(steps: tuple[Step, ...]) -> Hashable:
    place: dict[int, int] = {}  # of an output handle, by its id
    for step in steps:
        for node in step.nodes:
            place[id(node.output)] = len(place)
    open_place: dict[int, int] = {}  # of a user's handle, by its id
    parts = []
    for step in steps:
        for node in step.nodes:
            edges = tuple(
                place[id(handle)]
                if id(handle) in place
                else -1 - open_place.setdefault(id(handle), len(open_place))
                for handle in node.given
            )
            parts.append((node.module, edges))
    return tuple(parts)
