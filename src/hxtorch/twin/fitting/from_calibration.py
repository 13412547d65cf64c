"""A twin of a chip from its calibration: the fixed pattern that explains the codes.

A calibration gives every circuit the codes with which it meets a target. Where equal targets needed unequal
codes, the circuits are unequal, and the nominal translation of codes (`hxtorch.twin.circuits`) says by how much.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Protocol

import numpy as np

from hxtorch.shapes import Array
from hxtorch.twin import circuits
from hxtorch.twin.pattern import process as p
from hxtorch.twin.pattern.fixed_pattern import FixedPattern, nominal_pattern
from hxtorch.twin.places.coordinates import CIRCUITS, QUADRANTS
from hxtorch.twin.program.config import CommonConfig, NeuronConfig


class Target(Protocol):
    """What a calibration aimed at."""

    def per_circuit(self, name: str) -> Array:
        """Target of every circuit (512,): potentials in CADC LSB, times in µs, codes."""
        ...


class Calibrated(Protocol):
    """What is needed of the result of a calibration."""

    @property
    def target(self) -> Target:
        """What the calibration aimed at."""
        ...

    @property
    def neurons(self) -> NeuronConfig:
        """Registers of the circuits with which they meet the target."""
        ...

    @property
    def common(self) -> CommonConfig:
        """Registers of the chip."""
        ...

    @property
    def chip_identifier(self) -> str:
        """Name of the chip."""
        ...


INFERRED = (
    "leak_code", "reset_code", "threshold_code", "leak_conductance", "tau_exc", "tau_inh", "gain_exc", "gain_inh",
    "shift_exc", "shift_inh", "synapse_dac", "cadc_channel", "cadc_gain", "cadc_ramp",
)  # fmt: skip
"""Effects that the codes of a calibration determine."""


def pattern_from_calibration(result: Calibrated) -> FixedPattern:
    """Return the pattern whose circuits need the codes of `result` to meet its target.

    The codes determine the effects in `INFERRED`; of the gains only their pattern, since a calibration matches
    them to the median of the chip: their level is nominal. Reset times, single synapses, drivers and the MADC
    leave no trace in the codes and are nominal, too. CapMem cells hold their codes with the errors of any chip.

    It is called "twin of" the chip, with a number that stands for the codes.
    """
    neurons, common, target = result.neurons, result.common, result.target
    value = target.per_circuit
    tau_mem = value("tau_mem")
    # during a reset, the leak still pulls at the membrane
    pull = p.RESET_TIME.value * p.RESET_TIME_CODE.value / np.maximum(neurons.i_bias_reset, 1.0) / tau_mem
    held = value("reset") + (value("reset") - value("leak")) * pull
    dac = common.synapse_dac_bias
    dac_factor = np.exp(np.mean(np.log(dac))) / dac
    die = replace(
        nominal_pattern(f"twin of {result.chip_identifier} ({_number(neurons, common):08x})"),
        leak_code=neurons.v_leak - circuits.code_for_leak(value("leak")),
        reset_code=neurons.v_reset - circuits.code_for_reset(held),
        threshold_code=neurons.v_threshold - circuits.code_for_threshold(value("threshold")),
        leak_conductance=circuits.code_for_tau_mem(tau_mem, neurons.membrane_capacitance)
        / np.maximum(neurons.i_bias_leak, 1.0)
        / _factor(neurons, "enable_leak_multiplication", p.SWITCH_FACTOR)
        * _factor(neurons, "enable_leak_division", p.SWITCH_FACTOR),
        tau_exc=value("tau_syn_exc") * _line_rate(neurons, "exc") / p.TAU_EXC_CODE.value,
        tau_inh=value("tau_syn_inh") * _line_rate(neurons, "inh") / p.TAU_INH_CODE.value,
        shift_exc=neurons.i_shift_exc - p.SHIFT_CODE_EXC.value,
        shift_inh=neurons.i_shift_inh - p.SHIFT_CODE_INH.value,
        synapse_dac=dac_factor,
        cadc_channel=-common.cadc_offset.astype(np.float64),
        cadc_gain=common.cadc_ramp_slope / p.CADC_RAMP_SLOPE_CODE.value,
        cadc_ramp=common.cadc_ramp_offset - p.CADC_RAMP_OFFSET_CODE.value,
        capmem_error=1.0,
        capmem_seed=_number(neurons, common),
    )
    exc, inh = (
        value("i_synin_gm")
        / np.maximum(getattr(neurons, f"i_bias_gm_{sign}"), 1.0)
        / _factor(neurons, f"enable_small_capacitance_{sign}", p.SMALL_CAPACITANCE)
        for sign in ("exc", "inh")
    )
    # matched to the median excitatory input, whose gain is nominal
    level = np.median(exc)
    return replace(die, gain_exc=exc / level, gain_inh=inh / level)


def _factor(neurons: NeuronConfig, switch: str, factor: p.Fact) -> Array:
    """`factor` (512,) where a switch is on, else 1."""
    return np.where(getattr(neurons, switch), factor.value, 1.0)


def _line_rate(neurons: NeuronConfig, sign: str) -> Array:
    """Bias code (512,) that gives a synaptic line the same time constant without its switches."""
    code = np.maximum(getattr(neurons, f"i_bias_tau_{sign}"), 1.0)
    code = code / _factor(neurons, f"enable_high_resistance_{sign}", p.HIGH_RESISTANCE)
    return np.asarray(code * _factor(neurons, f"enable_small_capacitance_{sign}", p.SMALL_CAPACITANCE))


def _number(neurons: NeuronConfig, common: CommonConfig) -> int:
    """Hash of the codes from which a die is inferred."""
    codes = [
        getattr(neurons, name) for name in ("v_leak", "v_reset", "v_threshold", "i_bias_leak", "i_bias_tau_exc")
    ]
    codes += [neurons.i_bias_gm_exc, neurons.i_shift_exc, common.cadc_offset.astype(np.float64)]
    return zlib.crc32(np.concatenate(codes).tobytes())


def pattern(die: FixedPattern) -> dict[str, Array]:
    """What the codes of a calibration tell of a die, by name, one value per circuit or quadrant.

    Of what they cannot tell apart, this is the sum: `cadc_offset` (LSB) is that of ramp and channel. Gains are
    relative to the median excitatory one.
    """
    values = {name: np.asarray(getattr(die, name), dtype=np.float64) for name in INFERRED}
    level = np.median(values["gain_exc"])
    values["gain_exc"], values["gain_inh"] = values["gain_exc"] / level, values["gain_inh"] / level
    ramp = np.repeat(values.pop("cadc_ramp"), CIRCUITS // QUADRANTS)
    values["cadc_offset"] = values.pop("cadc_channel") - p.CADC_RAMP_OFFSET_SLOPE.value * ramp
    return values
