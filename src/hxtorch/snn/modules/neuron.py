"""Leaky integrate-and-fire neurons and leaky integrators.

In the model the membrane follows ``tau_mem dv/dt = leak - v + i``; it has no refractory period and ignores
the membrane capacitance, which are settings of the chip. A time constant shorter than the time step decays by
exp(-dt/tau) per step (`hxtorch.snn.functional.model.neuron_model`), and `run` warns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from torch import Tensor

from hxtorch.snn import functional as F
from hxtorch.snn.graph.contract import Host
from hxtorch.snn.handles.handle import Handle, NeuronHandle, ReadoutNeuronHandle, SynapseHandle, empty_handle
from hxtorch.snn.modules.population import Population
from hxtorch.snn.modules.signatures import NEURON, READOUT_NEURON, NeuronOptions, described_by
from hxtorch.snn.parameters.table import ModelUse
from hxtorch.snn.recording.observables import (
    HardwareObservables,
    NeuronData,
    ReadoutData,
    neuron_data,
    readout_data,
)

Terms = tuple[F.Membrane, F.Firing | None, F.Exponential | None, F.Adaptation | None]


class Neuron(Population):
    """Spiking leaky integrate-and-fire neurons with exponential synaptic currents.

    Parameters are described in `hxtorch.snn.parameters.table`; further ones of that table are accepted by
    keyword. Others:

    * `method`, `alpha`: surrogate gradient and its steepness.
    * `enable_*_recording`: what the chip records; `record_neuron_id` is the neuron that the MADC samples.
    * `placement_constraint`: a place on the chip for every neuron.
    * `cadc_time_shift`, `shift_cadc_to_first`, `trace_offset`, `trace_scale`: how the CADC trace is aligned
      with the model, in this order (`hxtorch.snn.recording.observables.postprocess_cadc`).
    * `interpolation_mode`: "linear" or "nn", how CADC samples come onto the grid of time steps.

    `threshold_at_spikes` (attribute, False): where the chip spiked, the surrogate gradient sees the membrane at
    the threshold at least. The sample of the CADC next to a spike was taken before or after it, and would say
    that the neuron was far from spiking: then nothing but near misses has a gradient, and spikes get more and
    more. With it, `cadc_time_shift` should leave the trace where it was measured.
    """

    output_type: ClassVar[type[Handle]] = NeuronHandle
    model_use = ModelUse(("tau_mem", "tau_syn"), ("leak", "reset", "threshold"))
    threshold_at_spikes: bool = False
    resumes = True

    @described_by(NEURON)
    def __init__(
        self, size: int, experiment: Host | None, *settings: Any, **options: Unpack[NeuronOptions]
    ) -> None:
        values = NEURON.bind(type(self), settings, options)
        method, alpha = values.pop("method"), values.pop("alpha")
        super().__init__(size, experiment, **values)
        F.check_method(method)
        self.method: str = method
        self.alpha: float = alpha

    @classmethod
    def default_params(cls) -> dict[str, Any]:
        """Nothing: the signature says all."""
        return {}

    if TYPE_CHECKING:  # so that an editor knows what a call returns

        def __call__(self, *inputs: Handle) -> NeuronHandle:
            """The handle that `run` fills."""
            ...

    def forward_func(self, *input: SynapseHandle, hw_data: NeuronData | None = None) -> NeuronHandle:
        """Integrate the sum of all inputs (T, B, size), with spikes and membrane of the chip if given."""
        x = self.input_of(input)
        data = neuron_data(hw_data)
        return self.observables(F.observe(x, self.dynamics(x.like), data), data.madc)

    def observables(self, states: F.Observed, madc: Tensor | None) -> NeuronHandle:
        """The handle that carries `states` and MADC samples."""
        handle = empty_handle(NeuronHandle)
        handle.put(states.spikes, states.membrane, states.current, madc)
        return handle

    def post_process(self, hw_data: HardwareObservables, runtime: float) -> NeuronData | ReadoutData:
        """Chip data on the time grid; `runtime` in seconds."""
        return NeuronData(
            self.process_spikes(hw_data, runtime),
            self.process_cadc(hw_data, runtime),
            self.process_madc(hw_data),
        )

    def equations(self, x: Tensor) -> tuple[F.Membrane, F.Firing | None]:
        """Parameters of the model as operands for `x`."""
        firing = F.Firing(
            self.model("threshold", x),
            self.model("reset", x),
            self.method,
            self.alpha,
            threshold_at_spikes=self.threshold_at_spikes,
        )
        return self._membrane(x), firing

    def terms(self, x: Tensor) -> Terms:
        """All terms of the model as operands for `x`, in the order of `F.integrate`."""
        return (*self.equations(x), *self.adaptive_terms(x))

    def dynamics(self, x: Tensor) -> F.Dynamics:
        """The equations of the model, with parameters as operands for `x`."""
        return F.Dynamics(*self.terms(x), self.dt)

    def adaptive_terms(self, x: Tensor) -> tuple[F.Exponential | None, F.Adaptation | None]:
        """Exponential term and adaptation; these neurons have none."""
        return None, None

    def _membrane(self, x: Tensor) -> F.Membrane:
        return F.Membrane(leak=self.model("leak", x), tau_syn=self.model("tau_syn", x), c=self.model("tau_mem", x))


class ReadoutNeuron(Neuron):
    """Leaky integrators: neurons that never fire. Arguments as in `Neuron`.

    Parameters that belong to firing (`threshold`, `reset`, `refractory_time`, `method`, `alpha`, ...) are
    accepted, so that one set of parameters can be given to all neurons of a network, and have no effect in
    the model.
    """

    output_type: ClassVar[type[Handle]] = ReadoutNeuronHandle
    resumes = True
    model_use = ModelUse(("tau_mem", "tau_syn"), ("leak",))

    @described_by(READOUT_NEURON)
    def __init__(
        self, size: int, experiment: Host | None, *settings: Any, **options: Unpack[NeuronOptions]
    ) -> None:
        values = READOUT_NEURON.bind(type(self), settings, options)
        # It may come with the settings of spiking neurons: there are no spikes.
        super().__init__(size, experiment, **{**values, "enable_spike_recording": False})

    if TYPE_CHECKING:

        def __call__(self, *inputs: Handle) -> ReadoutNeuronHandle:  # type: ignore[override]
            """The handle that `run` fills."""
            ...

    def forward_func(  # type: ignore[override]  # like its handle, its data has no spikes
        self, *input: SynapseHandle, hw_data: ReadoutData | None = None
    ) -> ReadoutNeuronHandle:
        """Integrate the sum of all inputs (T, B, size), with the chip's membrane if there is one."""
        x = self.input_of(input)
        if len(x.shape) == 4:  # of an EventPropSynapse
            x = F.Carried(F.EventPropReadoutFunction.apply(x.values(), self.dt))  # type: ignore[no-untyped-call]
        data = readout_data(hw_data)
        states = F.observe(x, self.dynamics(x.like), data)
        handle = empty_handle(ReadoutNeuronHandle)
        handle.put(states.membrane, states.current, data.madc)
        return handle

    def terms(self, x: Tensor) -> Terms:
        """Leak and synaptic current alone."""
        return self._membrane(x), None, None, None

    def post_process(self, hw_data: HardwareObservables, runtime: float) -> ReadoutData:
        """Chip data on the time grid; `runtime` in seconds."""
        return ReadoutData(self.process_cadc(hw_data, runtime), self.process_madc(hw_data))
