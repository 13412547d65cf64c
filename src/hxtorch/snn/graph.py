"""The network as it is built by calling modules: nodes, edges and their topological order."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from hxtorch.snn.handle import Handle

if TYPE_CHECKING:
    from hxtorch.snn.modules.base import HXBaseExperimentModule


@dataclass(frozen=True, eq=False)
class Node:
    """A called module with everything that flows in and the handle that takes its result.

    `predecessors` runs parallel to `inputs`: the node that fills this input, or None if the user gave it.
    """

    module: HXBaseExperimentModule
    inputs: tuple[Handle, ...]
    output: Handle
    predecessors: tuple[Node | None, ...]

    @property
    def open_inputs(self) -> tuple[Handle, ...]:
        """The inputs that the user gave."""
        return tuple(h for h, source in zip(self.inputs, self.predecessors) if source is None)


@dataclass(frozen=True, eq=False)
class Graph:
    """All calls of one run.

    * `modules_in_order`: nodes, each after its predecessors; otherwise in the order of the calls.
    * `structure_key`: equal for graphs in which the same module objects are connected in the same way
      (one user input feeding several modules included). Holding a key keeps its modules alive.
    """

    modules_in_order: tuple[Node, ...]
    structure_key: Hashable

    @property
    def open_inputs(self) -> tuple[tuple[Node, Handle], ...]:
        """Every handle given by the user, with the node that reads it."""
        return tuple((node, handle) for node in self.modules_in_order for handle in node.open_inputs)


@dataclass(eq=False)
class _Call:
    module: HXBaseExperimentModule
    output: Handle
    inputs: list[Handle] = field(default_factory=list)


class GraphBuilder:
    """Collects calls until `build`."""

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}  # by id of the module, in the order of the first calls

    def __len__(self) -> int:
        return len(self._calls)

    def connect(self, module: HXBaseExperimentModule, inputs: tuple[Handle, ...]) -> Handle:
        """Note that `module` reads `inputs`; return its output handle, one per module and graph.

        The inputs of repeated calls are collected.
        """
        call = self._calls.get(id(module))
        if call is None:
            call = self._calls[id(module)] = _Call(module, module.output_type())
        call.inputs.extend(inputs)
        return call.output

    def clear(self) -> None:
        """Forget all calls."""
        self._calls.clear()

    def build(self) -> Graph:
        """Order the calls. Cycles: ValueError."""
        source_of = {id(call.output): key for key, call in self._calls.items()}
        sorter: TopologicalSorter[int] = TopologicalSorter()
        for key, call in self._calls.items():
            sorter.add(key, *(source_of[id(h)] for h in call.inputs if id(h) in source_of))
        try:
            order = tuple(sorter.static_order())
        except CycleError as error:
            names = " -> ".join(type(self._calls[key].module).__name__ for key in error.args[1])
            raise ValueError(
                "Encountered cyclic dependencies in the network. At the moment, cyclic dependencies are "
                f"expected to be wrapped manually. The cycle is {names}."
            ) from error

        nodes: dict[int, Node] = {}
        place: dict[int, int] = {}  # of a node by id of its module
        open_place: dict[int, int] = {}  # of a user's handle, by its id
        key_parts: list[tuple[HXBaseExperimentModule, tuple[tuple[str, int], ...]]] = []
        for key in order:
            call = self._calls[key]
            edges: list[tuple[str, int]] = []
            predecessors: list[Node | None] = []
            for handle in call.inputs:
                source = source_of.get(id(handle))
                predecessors.append(None if source is None else nodes[source])
                if source is None:
                    edges.append(("open", open_place.setdefault(id(handle), len(open_place))))
                else:
                    edges.append(("node", place[source]))
            place[key] = len(place)
            nodes[key] = Node(call.module, tuple(call.inputs), call.output, tuple(predecessors))
            key_parts.append((call.module, tuple(edges)))
        return Graph(tuple(nodes.values()), tuple(key_parts))
