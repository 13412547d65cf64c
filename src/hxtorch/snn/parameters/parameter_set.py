"""The parameters of one population: which there are, and whose they are.

This is the one place where the names of parameters stand, with their types, defaults, units and limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import torch

from hxtorch.snn.parameters.description import CODE, LSB, SECONDS, NeuronParameter, described, description_of
from hxtorch.snn.parameters.parameter import HXBaseParameter, MixedHXModelParameter, Value


@dataclass(frozen=True, eq=False)
class ParameterSet:
    """The parameters of `size` neurons of the population `owner`, as errors name it; None: not used.

    Examples:
        >>> from hxtorch.snn import HXParameter
        >>> some = ParameterSet("Neuron(2)", 2, leak=HXParameter([70, 90]))
        >>> some.part(1, 2).leak.hardware_value
        tensor([90])
    """

    owner: str
    size: int
    leak: HXBaseParameter | None = described(80, LSB, "Resting potential.", target="leak")
    reset: HXBaseParameter | None = described(80, LSB, "Potential after a spike.", target="reset")
    threshold: HXBaseParameter | None = described(
        125, LSB, "Potential above which a neuron fires.", target="threshold", may_be_infinite=True
    )
    tau_mem: HXBaseParameter | None = described(
        10e-6, SECONDS, "Membrane time constant.", positive=True, target="tau_mem", may_be_infinite=True
    )
    tau_syn: HXBaseParameter | None = described(
        10e-6,
        SECONDS,
        "Synaptic time constant; (2, size) gives excitatory and inhibitory ones.",
        positive=True,
        target="tau_syn_exc",
        shapes=(("size",), (2, "size")),
        may_be_infinite=True,
    )
    i_synin_gm: HXBaseParameter | None = described(
        500,
        CODE,
        "Strength of the synaptic inputs; (2,) gives excitatory and inhibitory ones.",
        non_negative=True,
        target="i_synin_gm",
        shapes=(("size",), (2,), (2, "size")),
    )
    membrane_capacitance: HXBaseParameter | None = described(
        63, CODE, "Membrane capacitance.", non_negative=True, target="membrane_capacitance", divides=True
    )
    refractory_time: HXBaseParameter | None = described(
        1e-6,
        SECONDS,
        "Time that a neuron stays at reset after a spike.",
        non_negative=True,
        target="refractory_time",
    )
    synapse_dac_bias: HXBaseParameter | None = described(
        600, CODE, "Strength of all synapses.", non_negative=True, target="synapse_dac_bias"
    )
    holdoff_time: HXBaseParameter | None = described(
        0.0,
        SECONDS,
        "Time at the end of the refractory period in which the membrane is free, but cannot fire.",
        non_negative=True,
        target="holdoff_time",
    )
    exponential_slope: HXBaseParameter | None = described(
        50e-3, LSB, "Slope of the exponential term.", positive=True
    )
    exponential_threshold: HXBaseParameter | None = described(110, LSB, "Threshold of the exponential term.")
    subthreshold_adaptation_strength: HXBaseParameter | None = described(
        1, "1", "Coupling of adaptation to the membrane."
    )
    spike_triggered_adaptation_increment: HXBaseParameter | None = described(
        1, "1", "Jump of adaptation with each spike."
    )
    clock_scale_adaptation_pulse: HXBaseParameter | None = described(
        (5, 5), "1", "Clock scale of the adaptation pulse.", shapes=((2,),)
    )
    tau_adap: HXBaseParameter | None = described(
        100e-6, SECONDS, "Adaptation time constant.", positive=True, may_be_infinite=True
    )
    leak_adaptation: HXBaseParameter | None = described(None, LSB, "Resting potential of the adaptation circuit.")
    e_coba_reversal: HXBaseParameter | None = described(
        None,
        LSB,
        "Reversal potentials of excitatory and inhibitory synapses, (2,) or (2, size), which makes them "
        "conductance-based; nan: current-based.",
        shapes=((2,), (2, "size")),
        may_be_nan=True,
    )
    e_coba_reference: HXBaseParameter | None = described(
        None,
        LSB,
        "Potential at which conductance-based synapses have the strength of current-based ones.",
        target="e_coba_reference_exc",
        shapes=(("size",), (2,), (2, "size")),
    )

    def items(self) -> Iterator[tuple[str, HXBaseParameter]]:
        """Names and parameters of those that are used."""
        for name in DESCRIPTIONS:
            parameter = self.get(name)
            if parameter is not None:
                yield name, parameter

    def get(self, name: str) -> HXBaseParameter | None:
        """A parameter by its name; None if it is not used."""
        found: HXBaseParameter | None = vars(self)[name]
        return found

    def hardware_value(self, name: str) -> Value:
        """Value of a parameter on the chip; KeyError if it is not used."""
        parameter = self.get(name)
        if parameter is None:
            raise KeyError(f"{self.owner} has no {name}.")
        return parameter.hardware_value

    def check_holdoff(self) -> None:
        """ValueError if a holdoff is longer than the refractory time that it ends."""
        if self.holdoff_time is None or self.refractory_time is None:
            return
        holdoff, refractory = (
            torch.as_tensor(value, device=value.device if isinstance(value, torch.Tensor) else "cpu")
            .detach()
            .double()
            for value in (self.holdoff_time.hardware_value, self.refractory_time.hardware_value)
        )
        if holdoff.is_meta or refractory.is_meta:
            return
        holdoff, refractory = holdoff + 0 * refractory, refractory + 0 * holdoff  # both of the same shape
        longer = holdoff > refractory * (1 + 1e-6)  # one of the two may be a float32
        if bool(longer.any()):
            raise ValueError(
                f"{self.owner}: holdoff_time is {holdoff[longer][0].item():g} s, but it is the end of the "
                f"refractory time of {refractory[longer][0].item():g} s. Choose a shorter holdoff_time or a longer "
                "refractory_time."
            )

    def part(self, start: int, stop: int) -> ParameterSet:
        """The parameters of the neurons start..stop-1."""
        if (start, stop) == (0, self.size):
            return self
        parts = {name: self._part(parameter, start, stop) for name, parameter in self.items()}
        return ParameterSet(self.owner, stop - start, **parts)

    def _part(self, parameter: HXBaseParameter, start: int, stop: int) -> HXBaseParameter:
        values = [parameter.model_value, parameter.hardware_value]
        cut = [
            value[..., start:stop]
            if isinstance(value, torch.Tensor) and value.ndim > 0 and value.shape[-1] == self.size
            else value
            for value in values
        ]
        return MixedHXModelParameter(*cut)


DESCRIPTIONS: Mapping[str, NeuronParameter] = {
    item.name: told
    for item in fields(ParameterSet)
    if (told := description_of(item.name, item.metadata)) is not None
}
