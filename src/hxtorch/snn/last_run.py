"""What an experiment remembers of its last run, without holding on to the gradients of its tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from hxtorch.snn.execution_info import ExecutionInfo
from hxtorch.snn.functional.memory.carried import Carried
from hxtorch.snn.graph import Graph
from hxtorch.snn.handle import Handle

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
    given: tuple[Mapping[str, Tensor], ...]
    recorded: Mapping[str, Tensor]


class _Recorded(Mapping[str, Tensor]):
    """Detached tensors; what nobody has read yet is computed when it is asked for."""

    def __init__(self, held: dict[str, Tensor | Carried]) -> None:
        self._held = {name: value.detached() if isinstance(value, Carried) else value.detach()
                      for name, value in held.items()}  # fmt: skip

    def __getitem__(self, name: str) -> Tensor:
        value = self._held[name]
        return value.read() if isinstance(value, Carried) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


def _recorded(handle: Handle) -> _Recorded:
    return _Recorded({name: value for name in handle.names() if (value := handle.peek(name)) is not None})


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
        given = tuple(_recorded(handle) for handle in node.open_inputs)
        modules.append(RanModule(node.module, sources, given, _recorded(node.output)))
    return LastRun(tuple(modules), info)
