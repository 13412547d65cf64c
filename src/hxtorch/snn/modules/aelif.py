"""Neurons whose model follows the membrane capacitance and has refractory period, exponential and adaptation.

With c the model value of `membrane_capacitance` and g = c/tau_mem:

    c dv/dt = i + g (leak - v) + g D exp((v - v_T)/D) - w

`LIF` and `LI` keep the first two terms. With c = tau_mem they follow the equation of `Neuron`; a plain number
given as capacitance is the model's c as well. The exponential term sees the potential up to the threshold,
its peak, and carries the membrane above it by four times the distance from leak to threshold at most.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Unpack, cast

from torch import Tensor

from hxtorch.snn import functional as F
from hxtorch.snn.graph.contract import Host
from hxtorch.snn.handles.handle import Handle, NeuronHandle, handle_type
from hxtorch.snn.modules.neuron import Neuron, ReadoutNeuron
from hxtorch.snn.modules.population import Population
from hxtorch.snn.modules.signatures import (
    AELIF_NEURON,
    LI_NEURON,
    LIF_NEURON,
    NeuronOptions,
    TermOptions,
    described_by,
)
from hxtorch.snn.parameters.parameter import HXTransformedModelParameter
from hxtorch.snn.parameters.parameter_set import DESCRIPTIONS
from hxtorch.snn.parameters.table import ModelUse
from hxtorch.snn.refusals import warn_user

MODEL_CAPACITANCE = 10e-6  # in the model, a capacitance of 63 on the chip


def default_capacitance() -> HXTransformedModelParameter:
    """10e-6 in the model, 63 on the chip, in proportion."""
    return HXTransformedModelParameter(MODEL_CAPACITANCE, capacitance_code)


def capacitance_code(value: Any) -> Any:
    """Capacitance of the chip for one of the model."""
    return value / MODEL_CAPACITANCE * 63


def with_default_capacitance(values: dict[str, Any]) -> dict[str, Any]:
    """Arguments of neurons with `default_capacitance` if none was given."""
    if values["membrane_capacitance"] is not None:
        return values
    return {**values, "membrane_capacitance": default_capacitance()}


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

    @described_by(AELIF_NEURON)
    def __init__(self, size: int, experiment: Host | None, *settings: Any, **options: Unpack[TermOptions]) -> None:
        values = AELIF_NEURON.bind(type(self), settings, options)
        terms = {name: values.pop(name) for name in ("leaky", "fire", "exponential")}
        adapting = [values.pop(name) for name in ("subthreshold_adaptation", "spike_triggered_adaptation")]
        if not terms["fire"] and values["refractory_time"] not in (0, DESCRIPTIONS["refractory_time"].default):
            warn_user("Refractory period is not applicable due to specified non-spiking behaviour.")
        values["enable_spike_recording"] = values["enable_spike_recording"] and terms["fire"]
        super().__init__(size, experiment, **with_default_capacitance(values))
        self.leaky: bool = terms["leaky"]
        self.fire: bool = terms["fire"]
        self.exponential: bool = terms["exponential"]
        self.subthreshold_adaptation: bool = adapting[0]
        self.spike_triggered_adaptation: bool = adapting[1]

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

    @described_by(LIF_NEURON)
    def __init__(
        self, size: int, experiment: Host | None, *settings: Any, **options: Unpack[NeuronOptions]
    ) -> None:
        values = LIF_NEURON.bind(type(self), settings, options)
        super().__init__(size, experiment, **{**values, **_NO_MORE_TERMS})


_NO_MORE_TERMS = dict.fromkeys(("exponential", "subthreshold_adaptation", "spike_triggered_adaptation"), False)


class LI(ReadoutNeuron):
    """Leaky integrators: `LIF` that never fires; arguments as in `ReadoutNeuron`."""

    model_use = ModelUse(("tau_mem", "tau_syn"), ("leak", "membrane_capacitance"))

    @described_by(LI_NEURON)
    def __init__(
        self, size: int, experiment: Host | None, *settings: Any, **options: Unpack[NeuronOptions]
    ) -> None:
        values = LI_NEURON.bind(type(self), settings, options)
        super().__init__(size, experiment, **with_default_capacitance(values))

    def default_of(self, name: str) -> Any:
        """Default of a parameter of these neurons."""
        return default_capacitance() if name == "membrane_capacitance" else super().default_of(name)

    def _membrane(self, x: Tensor) -> F.Membrane:
        return membrane_with_capacitance(self, x)
