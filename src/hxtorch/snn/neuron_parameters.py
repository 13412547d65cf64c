"""The parameters of neurons: one table with default, unit, limits and meaning of each.

`lower`/`upper` bound every value, in the model and on the chip (`positive`: above zero). `chip_range` is the
range in which a chip can be calibrated reliably; values outside are tried, with a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from hxtorch.snn.parameter import HXBaseParameter, Value, show

LSB = "CADC LSB"
CODE = "CapMem LSB"
SECONDS = "s"


@dataclass(frozen=True)
class NeuronParameter:
    """What is known of one parameter.

    `default` is that of a spiking neuron; None means not used unless given. `shapes` lists the shapes that
    a tensor may have besides (), with "size" for the number of neurons. `may_be_nan`: nan stands for neurons
    that do not use it. `divides`: a model that uses it needs it above zero. `may_be_infinite`: also in a model.
    """

    name: str
    default: float | tuple[float, ...] | None
    unit: str
    doc: str
    positive: bool = False
    non_negative: bool = False
    chip_range: tuple[float, float] | None = None
    shapes: tuple[tuple[int | str, ...], ...] = (("size",),)
    may_be_nan: bool = False
    divides: bool = False
    may_be_infinite: bool = False


class ModelUse(NamedTuple):
    """The parameters that the equations of a module use: what decays with time, other values, and decay factors.

    `decaying` are time constants; `factors` are those whose model value is exp(-dt/tau).
    """

    decaying: tuple[str, ...]
    others: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()


PARAMETERS: Mapping[str, NeuronParameter] = {
    item.name: item
    for item in (
        NeuronParameter("leak", 80, LSB, "Resting potential.", chip_range=(50, 160)),
        NeuronParameter("reset", 80, LSB, "Potential after a spike.", chip_range=(50, 160)),
        NeuronParameter(
            "threshold",
            125,
            LSB,
            "Potential above which a neuron fires.",
            chip_range=(50, 220),
            may_be_infinite=True,
        ),
        NeuronParameter(
            "tau_mem",
            10e-6,
            SECONDS,
            "Membrane time constant.",
            positive=True,
            chip_range=(0.5e-6, 60e-6),
            may_be_infinite=True,
        ),
        NeuronParameter(
            "tau_syn",
            10e-6,
            SECONDS,
            "Synaptic time constant; (2, size) gives excitatory and inhibitory ones.",
            positive=True,
            chip_range=(0.3e-6, 30e-6),
            shapes=(("size",), (2, "size")),
            may_be_infinite=True,
        ),
        NeuronParameter(
            "i_synin_gm",
            500,
            CODE,
            "Strength of the synaptic inputs; (2,) gives excitatory and inhibitory ones.",
            non_negative=True,
            chip_range=(30, 800),
            shapes=(("size",), (2,), (2, "size")),
        ),
        NeuronParameter(
            "membrane_capacitance",
            63,
            CODE,
            "Membrane capacitance.",
            non_negative=True,
            chip_range=(0, 63),
            divides=True,
        ),
        NeuronParameter(
            "refractory_time",
            1e-6,
            SECONDS,
            "Time that a neuron stays at reset after a spike.",
            non_negative=True,
            chip_range=(0.04e-6, 32e-6),
        ),
        NeuronParameter(
            "synapse_dac_bias",
            600,
            CODE,
            "Strength of all synapses.",
            non_negative=True,
            chip_range=(30, 1022),
        ),
        NeuronParameter(
            "holdoff_time",
            0.0,
            SECONDS,
            "Time at the end of the refractory period in which the membrane is free, but cannot fire.",
            non_negative=True,
            chip_range=(0, 4e-6),
        ),
        NeuronParameter("exponential_slope", 50e-3, LSB, "Slope of the exponential term.", positive=True),
        NeuronParameter("exponential_threshold", 110, LSB, "Threshold of the exponential term."),
        NeuronParameter("subthreshold_adaptation_strength", 1, "1", "Coupling of adaptation to the membrane."),
        NeuronParameter("spike_triggered_adaptation_increment", 1, "1", "Jump of adaptation with each spike."),
        NeuronParameter(
            "clock_scale_adaptation_pulse",
            (5, 5),
            "1",
            "Clock scale of the adaptation pulse.",
            shapes=((2,),),
        ),
        NeuronParameter(
            "tau_adap", 100e-6, SECONDS, "Adaptation time constant.", positive=True, may_be_infinite=True
        ),
        NeuronParameter("leak_adaptation", None, LSB, "Resting potential of the adaptation circuit."),
        NeuronParameter(
            "e_coba_reversal",
            None,
            LSB,
            "Reversal potentials of excitatory and inhibitory synapses, (2,) or (2, size), which makes them "
            "conductance-based; nan: current-based.",
            shapes=((2,), (2, "size")),
            may_be_nan=True,
        ),
        NeuronParameter(
            "e_coba_reference",
            None,
            LSB,
            "Potential at which conductance-based synapses have the strength of current-based ones.",
            chip_range=(60, 160),
            shapes=(("size",), (2,), (2, "size")),
        ),
    )
}


def check_parameter(name: str, parameter: HXBaseParameter, size: int) -> None:
    """ValueError if the model or the hardware value of a parameter of `size` neurons is unusable."""
    values = {"model": parameter.model_value, "hardware": parameter.hardware_value}
    for side, value in values.items():
        _check_value(PARAMETERS[name], side, value, size)


def check_holdoff(params: Mapping[str, HXBaseParameter], who: str) -> None:
    """ValueError if a holdoff of the neurons of `who` is longer than the refractory time that it ends."""
    if not {"holdoff_time", "refractory_time"} <= set(params):
        return
    holdoff, refractory = (
        torch.as_tensor(value, device=value.device if isinstance(value, Tensor) else "cpu").detach().double()
        for value in (params[name].hardware_value for name in ("holdoff_time", "refractory_time"))
    )
    if holdoff.is_meta or refractory.is_meta:
        return
    holdoff, refractory = holdoff + 0 * refractory, refractory + 0 * holdoff  # both of the same shape
    longer = holdoff > refractory * (1 + 1e-6)  # one of the two may be a float32
    if bool(longer.any()):
        raise ValueError(
            f"{who}: holdoff_time is {holdoff[longer][0].item():g} s, but it is the end of the refractory time of "
            f"{refractory[longer][0].item():g} s. Choose a shorter holdoff_time or a longer refractory_time."
        )


def chip_range_report(params: Mapping[str, HXBaseParameter]) -> list[str]:
    """One line for every parameter whose hardware value is outside of the range of reliable calibration."""
    lines = []
    for name, parameter in params.items():
        limits = PARAMETERS[name].chip_range
        value = parameter.hardware_value
        if limits is None or (name == "refractory_time" and _all_within(value, 0, 0)):  # 0: no refractory period
            continue
        if not _all_within(value, *limits):
            unit = PARAMETERS[name].unit
            lines.append(f"{name} is {show(value)}, the range is {limits[0]:g} to {limits[1]:g} {unit}")
    return lines


def _check_value(info: NeuronParameter, side: str, value: Value, size: int) -> None:
    label = f"{info.name} ({side} value)"
    if isinstance(value, Tensor):
        allowed = [tuple(size if n == "size" else n for n in shape) for shape in info.shapes]
        if value.ndim and value.shape != (1,) and tuple(value.shape) not in allowed:
            expected = " or ".join(str(shape) for shape in [(), *allowed])
            raise ValueError(
                f"{label} has shape {tuple(value.shape)}, expected {expected} for {size} neurons. "
                "Give a number or one value per neuron."
            )
    values = torch.as_tensor(value, device=value.device if isinstance(value, Tensor) else "cpu").detach()
    if values.is_meta:
        return
    if torch.isnan(values).any() and not info.may_be_nan:
        raise ValueError(f"{label} is NaN. Give a number in {info.unit}.")
    if info.positive and not bool((values > 0).all()):
        raise ValueError(
            f"{label} is {_offender(values, values <= 0)}, but must be above 0. Give a value in {info.unit}."
        )
    if info.non_negative and not bool((values >= 0).all()):
        raise ValueError(
            f"{label} is {_offender(values, values < 0)}, but must not be negative. Give a value in {info.unit}."
        )


def _offender(values: Tensor, bad: Tensor) -> str:
    return f"{values[bad][0].item():g}"


def _all_within(value: Value, low: float, high: float) -> bool:
    if isinstance(value, Tensor) and value.is_meta:
        return True
    values = torch.as_tensor(value, device=value.device if isinstance(value, Tensor) else "cpu").detach().double()
    tolerance = 1e-6 * max(abs(low), abs(high))  # float32 values of a calibration
    return bool(((values >= low - tolerance) & (values <= high + tolerance)).all())
