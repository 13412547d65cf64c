"""Neurons whose model follows the membrane capacitance and has refractory period, exponential and adaptation.

With c the model value of `membrane_capacitance` and g = c/tau_mem:

    c dv/dt = i + g (leak - v) + g D exp((v - v_T)/D) - w

`LIF` and `LI` keep the first two terms. With c = tau_mem they follow the equation of `Neuron`; a plain number
given as capacitance is the model's c as well. The exponential term sees the potential up to the threshold,
its peak, and carries the membrane above it by four times the distance from leak to threshold at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from hxtorch.snn import functional as F
from hxtorch.snn.checks import warn_user
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.handle import Handle, NeuronHandle, handle_type
from hxtorch.snn.modules.neuron import Neuron, ReadoutNeuron
from hxtorch.snn.modules.population import Parameter, Population, TraceValue
from hxtorch.snn.neuron_parameters import PARAMETERS, ModelUse
from hxtorch.snn.parameter import HXTransformedModelParameter
from hxtorch.snn.readout_source import ReadoutSource

if TYPE_CHECKING:
    from hxtorch.snn.experiment import Experiment

MODEL_CAPACITANCE = 10e-6  # in the model, a capacitance of 63 on the chip


def default_capacitance() -> HXTransformedModelParameter:
    """10e-6 in the model, 63 on the chip, in proportion."""
    return HXTransformedModelParameter(MODEL_CAPACITANCE, capacitance_code)


def capacitance_code(value: Any) -> Any:
    """Capacitance of the chip for one of the model."""
    return value / MODEL_CAPACITANCE * 63


def membrane_with_capacitance(module: Population, x: Tensor, leaky: bool = True) -> F.Membrane:
    """Leak and synaptic current with the capacitance of the model."""
    c = module.model("membrane_capacitance", x)
    return F.Membrane(
        leak=module.model("leak", x),
        tau_syn=module.model("tau_syn", x),
        c=c,
        g=c / module.model("tau_mem", x),
        leaky=leaky,
    )


@lru_cache
def _use_of(leaky: bool, fire: bool, exponential: bool, adapts: bool) -> ModelUse:
    """The parameters that a model with these terms uses."""
    decaying: tuple[str, ...] = ("tau_syn",)
    others: tuple[str, ...] = ("leak", "membrane_capacitance")
    if leaky:
        decaying += ("tau_mem",)
    else:
        others += ("tau_mem",)
    if fire:
        others += ("reset", "refractory_time")
    if fire or exponential:
        others += ("threshold",)
    if exponential:
        others += ("exponential_slope", "exponential_threshold")
    if adapts:
        decaying += ("tau_adap",)
        others += ("subthreshold_adaptation_strength", "spike_triggered_adaptation_increment")
    return ModelUse(decaying, others)


class AELIF(Neuron):
    """Adaptive exponential integrate-and-fire neurons.

    Arguments as in `Neuron`, and:

    * `leaky`, `fire`, `exponential`, `subthreshold_adaptation`, `spike_triggered_adaptation`: which terms the
      model has. Neurons that do not fire have no refractory period and record no spikes.
    * `membrane_capacitance`: None is 10e-6 in the model and 63 on the chip.
    * `cadc_readout_source`, `madc_readout_source`: the membrane (`ReadoutSource.VOLTAGE`); the adaptation of the
      chip is not recorded here, NotImplementedError.

    The output has `spikes` if they fire, and `adaptation_cadc` if they adapt: the adaptation of the model.
    """

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
        membrane_capacitance: Parameter | None = None,
        refractory_time: Parameter = 1e-6,
        synapse_dac_bias: Parameter = 600,
        holdoff_time: Parameter = 0.0,
        method: str = "superspike",
        alpha: float = 50.0,
        exponential_slope: Parameter = 50e-3,
        exponential_threshold: Parameter = 110,
        subthreshold_adaptation_strength: Parameter = 1,
        spike_triggered_adaptation_increment: Parameter = 1,
        clock_scale_adaptation_pulse: Parameter = (5, 5),
        tau_adap: Parameter = 100e-6,
        leak_adaptation: Parameter | None = None,
        execution_instance: ExecutionInstance | None = None,
        chip_coordinate: Any = None,
        enable_spike_recording: bool = True,
        enable_cadc_recording: bool = True,
        enable_cadc_recording_placement_in_dram: bool = False,
        cadc_readout_source: ReadoutSource = ReadoutSource.VOLTAGE,
        enable_madc_recording: bool = False,
        record_neuron_id: int | tuple[int, int] | None = None,
        madc_readout_source: ReadoutSource = ReadoutSource.VOLTAGE,
        placement_constraint: Sequence[Any] | None = None,
        trace_offset: TraceValue = 0.0,
        trace_scale: TraceValue = 1.0,
        cadc_time_shift: int = 0,
        shift_cadc_to_first: bool = False,
        interpolation_mode: str = "linear",
        neuron_structure: Any = None,
        leaky: bool = True,
        fire: bool = True,
        exponential: bool = True,
        subthreshold_adaptation: bool = True,
        spike_triggered_adaptation: bool = True,
        **extra_params: Any,
    ) -> None:
        if leak_adaptation is not None:
            extra_params["leak_adaptation"] = leak_adaptation
        if not fire and refractory_time not in (0, PARAMETERS["refractory_time"].default):
            warn_user("Refractory period is not applicable due to specified non-spiking behaviour.")
        super().__init__(
            size,
            experiment,
            leak,
            reset,
            threshold,
            tau_mem,
            tau_syn,
            i_synin_gm,
            default_capacitance() if membrane_capacitance is None else membrane_capacitance,
            refractory_time,
            synapse_dac_bias,
            holdoff_time,
            method,
            alpha,
            execution_instance,
            exponential_slope=exponential_slope,
            exponential_threshold=exponential_threshold,
            subthreshold_adaptation_strength=subthreshold_adaptation_strength,
            spike_triggered_adaptation_increment=spike_triggered_adaptation_increment,
            clock_scale_adaptation_pulse=clock_scale_adaptation_pulse,
            tau_adap=tau_adap,
            chip_coordinate=chip_coordinate,
            enable_spike_recording=enable_spike_recording and fire,
            enable_cadc_recording=enable_cadc_recording,
            enable_cadc_recording_placement_in_dram=enable_cadc_recording_placement_in_dram,
            cadc_readout_source=cadc_readout_source,
            enable_madc_recording=enable_madc_recording,
            record_neuron_id=record_neuron_id,
            madc_readout_source=madc_readout_source,
            placement_constraint=placement_constraint,
            trace_offset=trace_offset,
            trace_scale=trace_scale,
            cadc_time_shift=cadc_time_shift,
            shift_cadc_to_first=shift_cadc_to_first,
            interpolation_mode=interpolation_mode,
            neuron_structure=neuron_structure,
            **extra_params,
        )
        self.leaky, self.fire, self.exponential = leaky, fire, exponential
        self.subthreshold_adaptation = subthreshold_adaptation
        self.spike_triggered_adaptation = spike_triggered_adaptation

    def default_of(self, name: str) -> Any:
        """Default of a parameter of these neurons."""
        return default_capacitance() if name == "membrane_capacitance" else super().default_of(name)

    @property
    def adapts(self) -> bool:
        """Whether there is an adaptation current."""
        return self.subthreshold_adaptation or self.spike_triggered_adaptation

    @property
    def model_use(self) -> ModelUse:  # type: ignore[override]  # depends on the terms
        """The parameters in the equations of these neurons."""
        return _use_of(self.leaky, self.fire, self.exponential, self.adapts)

    @property
    def output_type(self) -> type[Handle]:  # type: ignore[override]  # depends on the terms
        """The class of handles with the observables of these neurons."""
        names = {"membrane_cadc", "current", "membrane_madc"}
        names |= {"spikes"} if self.fire else set()
        names |= {"adaptation_cadc", "adaptation_madc"} if self.adapts else set()
        return handle_type(frozenset(names))

    def observables(self, states: F.Observed, madc: Tensor | None) -> NeuronHandle:
        """The handle that carries `states` and MADC samples."""
        values: dict[str, Tensor | F.Carried | None] = {
            "membrane_cadc": states.membrane,
            "current": states.current,
            "membrane_madc": madc,
        }
        if self.fire:
            values["spikes"] = states.spikes
        if self.adapts:
            values["adaptation_cadc"] = states.adaptation
        handle = self.output_type()
        handle.put(**values)
        return cast(NeuronHandle, handle)

    def equations(self, x: Tensor) -> tuple[F.Membrane, F.Firing | None]:
        """Parameters of the model as operands for `x`."""
        firing = None
        if self.fire:
            steps = F.refractory_steps(self.model("refractory_time", x), self.dt)
            threshold, reset = self.model("threshold", x), self.model("reset", x)
            firing = F.Firing(threshold, reset, self.method, self.alpha, steps, self.threshold_at_spikes)
        return membrane_with_capacitance(self, x, self.leaky), firing

    def adaptive_terms(self, x: Tensor) -> tuple[F.Exponential | None, F.Adaptation | None]:
        """Exponential term and adaptation, if they are there."""
        exponential = adaptation = None
        if self.exponential:
            names = (
                "exponential_slope",
                "exponential_threshold",
                "threshold",
            )  # neurons that do not fire have a peak
            exponential = F.Exponential(*(self.model(name, x) for name in names))
        if self.adapts:
            strength = self.model("subthreshold_adaptation_strength", x) if self.subthreshold_adaptation else 0.0
            step = self.model("spike_triggered_adaptation_increment", x)
            step = step if self.spike_triggered_adaptation else 0.0
            adaptation = F.Adaptation(self.model("tau_adap", x), strength, step)
        return exponential, adaptation


class LIF(AELIF):
    """Leaky integrate-and-fire neurons with refractory period; arguments as in `Neuron`.

    Unlike `Neuron`, the model follows `membrane_capacitance` and stays at reset for
    ceil(refractory_time/dt) steps after a spike.
    """

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
        membrane_capacitance: Parameter | None = None,
        refractory_time: Parameter = 1e-6,
        synapse_dac_bias: Parameter = 600,
        holdoff_time: Parameter = 0.0,
        method: str = "superspike",
        alpha: float = 50.0,
        execution_instance: ExecutionInstance | None = None,
        chip_coordinate: Any = None,
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
        **extra_params: Any,
    ) -> None:
        super().__init__(
            size,
            experiment,
            leak,
            reset,
            threshold,
            tau_mem,
            tau_syn,
            i_synin_gm,
            membrane_capacitance,
            refractory_time,
            synapse_dac_bias,
            holdoff_time,
            method,
            alpha,
            execution_instance=execution_instance,
            chip_coordinate=chip_coordinate,
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
            exponential=False,
            subthreshold_adaptation=False,
            spike_triggered_adaptation=False,
            **extra_params,
        )


class LI(ReadoutNeuron):
    """Leaky integrators: `LIF` that never fires; arguments as in `ReadoutNeuron`."""

    model_use = ModelUse(("tau_mem", "tau_syn"), ("leak", "membrane_capacitance"))

    def __init__(
        self,
        size: int,
        experiment: Experiment | None,
        leak: Parameter = 80,
        tau_mem: Parameter = 10e-6,
        tau_syn: Parameter = 10e-6,
        i_synin_gm: Parameter = 500,
        membrane_capacitance: Parameter | None = None,
        synapse_dac_bias: Parameter = 600,
        execution_instance: ExecutionInstance | None = None,
        chip_coordinate: Any = None,
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
        **extra_params: Any,
    ) -> None:
        super().__init__(
            size,
            experiment,
            leak,
            tau_mem,
            tau_syn,
            i_synin_gm,
            default_capacitance() if membrane_capacitance is None else membrane_capacitance,
            synapse_dac_bias,
            execution_instance,
            chip_coordinate=chip_coordinate,
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
            **extra_params,
        )

    def default_of(self, name: str) -> Any:
        """Default of a parameter of these neurons."""
        return default_capacitance() if name == "membrane_capacitance" else super().default_of(name)

    def _membrane(self, x: Tensor) -> F.Membrane:
        return membrane_with_capacitance(self, x)
