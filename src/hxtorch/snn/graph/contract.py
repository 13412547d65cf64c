"""What a graph is made of, what it needs of the modules in it, and what they need of their experiment.

`Member`, `Wrapper` and `Host` are protocols, which modules and experiments on the floors above fulfil.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch.nn import Parameter

from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.handles.handle import Handle
from hxtorch.snn.recording.execution_info import ExecutionInfo


class Member(Protocol):
    """A module that can be called in an experiment; `hxtorch.snn.modules.base` says what each attribute means."""

    remembers: bool
    is_population: bool

    @property
    def output_type(self) -> type[Handle]: ...

    @property
    def input_field(self) -> str | None: ...

    @property
    def input_size(self) -> int | None: ...

    @property
    def output_size(self) -> int | None: ...

    @property
    def func(self) -> Callable[..., Handle]: ...

    def prepare(self, node: Node) -> None: ...

    def exec_forward(self, inputs: tuple[Handle, ...], output: Handle, hw_map: HardwareData) -> None: ...

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]: ...

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]: ...


HardwareData = Mapping[Member, Any]
"""What the chip recorded, as the modules' `post_process` returns it."""


class Wrapper(Member, Protocol):
    """A module that computes several others."""

    @property
    def wrapped(self) -> Mapping[str, Member]: ...

    @property
    def has_own_function(self) -> bool: ...

    def contains(self, modules: Member | Iterable[Member]) -> bool: ...

    def exec_step(self, step: Step, hw_map: HardwareData) -> None: ...


class Host(Protocol):
    """What modules need of the experiment that they belong to."""

    @property
    def mock(self) -> bool: ...

    @property
    def dt(self) -> float: ...

    @property
    def default_execution_instance(self) -> ExecutionInstance: ...

    def connect(
        self, module: Member, input_handles: Iterable[Handle], output_handle: Handle | None = None
    ) -> Handle: ...

    def connect_wrapper(self, wrapper: Wrapper) -> tuple[Handle, ...]: ...

    def output_of(self, module: Member) -> Handle: ...

    def run(self, runtime: int | None, *, trial_seed: int | None = None) -> ExecutionInfo | None: ...


@dataclass(eq=False)
class Node:
    """A called module with everything that flows in and the handle that takes its result.

    `predecessors` runs parallel to `inputs`: the node that fills this input, or None if the user gave it. In a run,
    `inputs` of the user are what was taken down of them; `given` are the handles that the module was called with.
    """

    module: Member
    inputs: tuple[Handle, ...]
    output: Handle
    predecessors: tuple[Node | None, ...] = ()
    given: tuple[Handle, ...] = ()

    def __post_init__(self) -> None:
        self.given = self.given or self.inputs

    @property
    def open_inputs(self) -> tuple[Handle, ...]:
        """The inputs that the user gave."""
        return tuple(h for h, source in zip(self.inputs, self.predecessors) if source is None)


@dataclass(frozen=True, eq=False)
class Step:
    """What is computed together: one node, the nodes of a `loop`, or those of a `wrapper`.

    `inputs` are the handles that come from outside of the step, node by node.
    """

    nodes: tuple[Node, ...]
    wrapper: Wrapper | None = None

    @property
    def loop(self) -> bool:
        """Whether the nodes feed each other in a circle."""
        return self.wrapper is None and (len(self.nodes) > 1 or self.nodes[0] in self.nodes[0].predecessors)

    @property
    def inputs(self) -> tuple[Handle, ...]:
        """Handles from outside of the step."""
        inside = {id(node) for node in self.nodes}
        return tuple(
            handle
            for node in self.nodes
            for handle, source in zip(node.inputs, node.predecessors, strict=True)
            if source is None or id(source) not in inside
        )
