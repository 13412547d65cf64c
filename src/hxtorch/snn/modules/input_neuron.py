"""Sources of spikes outside of the chip's neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from hxtorch.snn import functional as F
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.graph.contract import Host
from hxtorch.snn.handles.handle import Handle, NeuronHandle
from hxtorch.snn.modules.base import HXModule
from hxtorch.snn.recording.observables import HardwareObservables
from hxtorch.snn.refusals import positive_int


class InputPopulation(HXModule):
    """`size` sources of spikes; base of `InputNeuron`."""

    output_type: ClassVar[type[Handle]] = NeuronHandle
    input_field = "spikes"
    is_population = True

    def __init__(
        self,
        size: int,
        experiment: Host | None,
        execution_instance: ExecutionInstance | None = None,
        chip_coordinate: Any = None,
    ) -> None:
        super().__init__(experiment, execution_instance, chip_coordinate)
        self.size = positive_int("size", size)

    @property
    def input_size(self) -> int:
        """`size`."""
        return self.size

    @property
    def output_size(self) -> int:
        """`size`."""
        return self.size

    def extra_repr(self) -> str:
        """Size, as `print` shows it."""
        return f"size={self.size}"


class InputNeuron(InputPopulation):
    """Passes the spikes of its input on.

    If the execution instance has `input_loopback`, the spikes that the chip recorded of this population
    replace the values; the gradient still goes to the input.
    """

    if TYPE_CHECKING:  # so that an editor knows what a call returns

        def __call__(self, *inputs: Handle) -> NeuronHandle:
            """The handle that `run` fills."""
            ...

    def forward_func(self, input: NeuronHandle, hw_data: Tensor | None = None) -> NeuronHandle:
        """The input's `spikes` (T, B, size), or the recorded ones."""
        given = input.peek("spikes")
        assert given is not None
        if hw_data is not None:
            given = F.CarriedSpikes(F.input_neuron(F.carried(given).values(), hw_data))
        handle = NeuronHandle()
        handle.put(given)
        return handle

    def post_process(self, hw_data: HardwareObservables, runtime: float) -> Tensor | None:
        """Recorded input spikes on the time grid, or None."""
        if hw_data.spikes is None or self.experiment is None:
            return None
        return hw_data.spikes.to_dense(runtime, self.experiment.dt)
