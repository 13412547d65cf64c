"""What an experiment remembers of its last run, without holding on to the gradients of its tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from hxtorch.snn.execution_info import ExecutionInfo
from hxtorch.snn.functional.later import Later
from hxtorch.snn.graph import Graph

if TYPE_CHECKING:
    from hxtorch.snn.modules.base import HXBaseExperimentModule


@dataclass(frozen=True, eq=False)
class RanModule:
    """A module of the last run.

    * `sources`: for every input the index of the module that filled it, or None if the user gave it.
    * `given`: tensors of the handles that the user gave, by name, one entry per such input.
    * `recorded`: tensors of the output, by name, detached from the gradient.
    """

    module: HXBaseExperimentModule
    sources: tuple[int | None, ...]
    given: tuple[dict[str, Tensor], ...]
    recorded: Mapping[str, Tensor]


class _Recorded(Mapping[str, Tensor]):
    """Detached tensors; what nobody has read yet is computed when it is asked for."""

    def __init__(self, held: dict[str, Tensor | Later]) -> None:
        self._held = {name: value if isinstance(value, Later) else value.detach() for name, value in held.items()}

    def __getitem__(self, name: str) -> Tensor:
        value = self._held[name]
        return value.detached() if isinstance(value, Later) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


@dataclass(frozen=True, eq=False)
class LastRun:
    """Modules in the order of their computation; `info` is None in mock mode."""

    modules: tuple[RanModule, ...]
    info: ExecutionInfo | None = None


def remember(graph: Graph, info: ExecutionInfo | None) -> LastRun:
    """Take down what a run computed."""
    nodes = graph.modules_in_order
    place = {id(node): index for index, node in enumerate(nodes)}
    modules = []
    for node in nodes:
        sources = tuple(None if source is None else place[id(source)] for source in node.predecessors)
        given = tuple(
            {name: getattr(handle, name).detach() for name in handle.names() if handle.holds(name)}
            for handle in node.open_inputs
        )
        held = {name: node.output.peek(name) for name in node.output.names()}
        recorded = _Recorded({name: value for name, value in held.items() if value is not None})
        modules.append(RanModule(node.module, sources, given, recorded))
    return LastRun(tuple(modules), info)
