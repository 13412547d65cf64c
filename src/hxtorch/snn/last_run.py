"""What an experiment remembers of its last run, without holding on to the gradients of its tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from hxtorch.snn.execution_info import ExecutionInfo
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
    recorded: dict[str, Tensor]


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
        recorded = {
            name: getattr(node.output, name).detach() for name in node.output.names() if node.output.holds(name)
        }
        modules.append(RanModule(node.module, sources, given, recorded))
    return LastRun(tuple(modules), info)
