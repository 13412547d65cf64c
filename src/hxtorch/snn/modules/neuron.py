"""Leaky integrate-and-fire neurons and leaky integrators.

In the model the membrane follows ``tau_mem dv/dt = leak - v + i``; it has no refractory period and ignores
the membrane capacitance, which are settings of the chip. A time constant shorter than the time step decays by
exp(-dt/tau) per step (`hxtorch.snn.functional.model.neuron_model`), and `run` warns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from hxtorch.snn import functional as F
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.handle import Handle, NeuronHandle, ReadoutNeuronHandle, SynapseHandle, empty_handle
from hxtorch.snn.modules.population import Parameter, Population, TraceValue
from hxtorch.snn.neuron_parameters import ModelUse
from hxtorch.snn.observables import HardwareObservables, NeuronData, ReadoutData, neuron_data, readout_data

if TYPE_CHECKING:
    from hxtorch.snn.experiment import Experiment

Terms = tuple[F.Membrane, F.Firing | None, F.Exponential | None, F.Adaptation | None]


class Neuron(Population):
    """Spiking leaky integrate-and-fire neurons with exponential synaptic currents.

    Parameters are described in `hxtorch.snn.neuron_parameters`; further ones of that table are accepted by
    keyword. Others:

    * `method`, `alpha`: surrogate gradient and its steepness.
    * `enable_*_recording`: what the chip records; `record_neuron_id` is the neuron that the MADC samples.
    * `placement_constraint`: a place on the chip for every neuron.
    * `cadc_time_shift`, `shift_cadc_to_first`, `trace_offset`, `trace_scale`: how the CADC trace is aligned
      with the model, in this order (`hxtorch.snn.observables.postprocess_cadc`).
    * `interpolation_mode`: "linear" or "nn", how CADC samples come onto the grid of time steps.

    `threshold_at_spikes` (attribute, False): where the chip spiked, the surrogate gradient sees the membrane at
    the threshold at least. The sample of the CADC next to a spike was taken before or after it, and would say
    that the neuron was far from spiking: then nothing but near misses has a gradient, and spikes get more and
    more. With it, `cadc_time_shift` should leave the trace where it was measured.
    """

    output_type: ClassVar[type[Handle]] = NeuronHandle
    model_use = ModelUse(("tau_mem", "tau_syn"), ("leak", "reset", "threshold"))
    threshold_at_spikes: bool = False

    def __init__(
        self,
        size: int,
        experiment: Experiment | None,
        leak: Parameter = 80,
        reset: Parameter = 80,
        threshold: Parameter = 125,
        tau_mem: Parameter = 10e-6,
        tau_syn: Parameter = 10e-6,
        i_synin_gm: Parameter = 500,
        membrane_capacitance: Parameter = 63,
        refractory_time: Parameter = 1e-6,
        synapse_dac_bias: Parameter = 600,
        holdoff_time: Parameter = 0e-6,
        method: str = "superspike",
        alpha: float = 50.0,
        execution_instance: ExecutionInstance | None = None,
        enable_spike_recording: bool = True,
        enable_cadc_recording: bool = True,
        enable_cadc_recording_placement_in_dram: bool = False,
        enable_madc_recording: bool = False,
        record_neuron_id: int | tuple[int, int] | None = None,
        placement_constraint: Sequence[Any] | None = None,
        trace_offset: TraceValue = 0.0,
        trace_scale: TraceValue = 1.0,
        cadc_time_shift: int = 0,
        shift_cadc_to_first: bool = False,
        interpolation_mode: str = "linear",
        neuron_structure: Any = None,
        *,
        chip_coordinate: Any = None,
        **extra_params: Any,
    ) -> None:
        super().__init__(
            size,
            experiment,
            execution_instance,
            leak=leak,
            reset=reset,
            threshold=threshold,
            tau_mem=tau_mem,
            tau_syn=tau_syn,
            i_synin_gm=i_synin_gm,
            membrane_capacitance=membrane_capacitance,
            refractory_time=refractory_time,
            synapse_dac_bias=synapse_dac_bias,
            holdoff_time=holdoff_time,
            enable_spike_recording=enable_spike_recording,
            enable_cadc_recording=enable_cadc_recording,
            enable_cadc_recording_placement_in_dram=enable_cadc_recording_placement_in_dram,
            enable_madc_recording=enable_madc_recording,
            record_neuron_id=record_neuron_id,
            placement_constraint=placement_constraint,
            trace_offset=trace_offset,
            trace_scale=trace_scale,
            cadc_time_shift=cadc_time_shift,
            shift_cadc_to_first=shift_cadc_to_first,
            interpolation_mode=interpolation_mode,
            neuron_structure=neuron_structure,
            chip_coordinate=chip_coordinate,
            **extra_params,
        )
        F.check_method(method)
        self.method = method
        self.alpha = alpha

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
        spikes, cadc, madc = neuron_data(hw_data)
        return self.observables(F.observe(x, self.dynamics(x.like), F.Measured(cadc, spikes)), madc)

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
    model_use = ModelUse(("tau_mem", "tau_syn"), ("leak",))

    def __init__(
        self,
        size: int,
        experiment: Experiment | None,
        leak: Parameter = 80,
        tau_mem: Parameter = 10e-6,
        tau_syn: Parameter = 10e-6,
        i_synin_gm: Parameter = 500,
        membrane_capacitance: Parameter = 63,
        synapse_dac_bias: Parameter = 600,
        execution_instance: ExecutionInstance | None = None,
        enable_cadc_recording: bool = True,
        enable_cadc_recording_placement_in_dram: bool = False,
        enable_madc_recording: bool = False,
        record_neuron_id: int | tuple[int, int] | None = None,
        placement_constraint: Sequence[Any] | None = None,
        trace_offset: TraceValue = 0.0,
        trace_scale: TraceValue = 1.0,
        cadc_time_shift: int = 0,
        shift_cadc_to_first: bool = False,
        interpolation_mode: str = "linear",
        neuron_structure: Any = None,
        *,
        chip_coordinate: Any = None,
        method: str = "superspike",
        alpha: float = 50.0,
        **extra_params: Any,
    ) -> None:
        extra_params.pop(
            "enable_spike_recording", None
        )  # comes with the settings of spiking neurons: there are none
        super().__init__(
            size,
            experiment,
            leak,
            tau_mem=tau_mem,
            tau_syn=tau_syn,
            i_synin_gm=i_synin_gm,
            membrane_capacitance=membrane_capacitance,
            synapse_dac_bias=synapse_dac_bias,
            method=method,
            alpha=alpha,
            execution_instance=execution_instance,
            enable_spike_recording=False,
            enable_cadc_recording=enable_cadc_recording,
            enable_cadc_recording_placement_in_dram=enable_cadc_recording_placement_in_dram,
            enable_madc_recording=enable_madc_recording,
            record_neuron_id=record_neuron_id,
            placement_constraint=placement_constraint,
            trace_offset=trace_offset,
            trace_scale=trace_scale,
            cadc_time_shift=cadc_time_shift,
            shift_cadc_to_first=shift_cadc_to_first,
            interpolation_mode=interpolation_mode,
            neuron_structure=neuron_structure,
            chip_coordinate=chip_coordinate,
            **extra_params,
        )

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
        cadc, madc = readout_data(hw_data)
        states = F.observe(x, self.dynamics(x.like), F.Measured(cadc))
        handle = empty_handle(ReadoutNeuronHandle)
        handle.put(states.membrane, states.current, madc)
        return handle

    def terms(self, x: Tensor) -> Terms:
        """Leak and synaptic current alone."""
        return self._membrane(x), None, None, None

    def post_process(self, hw_data: HardwareObservables, runtime: float) -> ReadoutData:
        """Chip data on the time grid; `runtime` in seconds."""
        return ReadoutData(self.process_cadc(hw_data, runtime), self.process_madc(hw_data))
