"""Codes of the optional terms of a circuit: adaptation, exponential current, conductance mode (chip.md 2.1).

The equations are in `hxtorch.twin.engine.terms`. Nobody published how these codes translate; the slopes are
estimates chosen such that the patterns of the AdEx model lie within the range of the registers (`process`, mark E).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hxtorch.shapes import Array, BoolArray
from hxtorch.twin.pattern import process as p
from hxtorch.twin.pattern.fixed_pattern import FixedPattern
from hxtorch.twin.places.coordinates import MAX_CAPACITANCE_CODE
from hxtorch.twin.program.config import CommonConfig, NeuronConfig


@dataclass(frozen=True, eq=False)
class TermParameters:
    """Parameters (512,) of the optional terms, on each circuit's own membrane.

    * Exponential: current `exp_current` (LSB/µs) at the onset `exp_onset` (LSB), growing with `exp_width` (LSB).
    * Adaptation: `adapt_tau` (µs), `adapt_a` (1/µs), `adapt_b` (LSB/µs), reference potential `adapt_leak` (LSB).
    * Conductance mode: relative strength per LSB `coba_*` and reference potential `coba_reference_*` (LSB).
    """

    exponential: BoolArray
    exp_current: Array
    exp_onset: Array
    exp_width: Array
    adaptation: BoolArray
    adapt_tau: Array
    adapt_a: Array
    adapt_b: Array
    adapt_leak: Array
    coba_exc: Array
    coba_inh: Array
    coba_reference_exc: Array
    coba_reference_inh: Array


def _potential(code: Array) -> Array:
    """Potential (LSB) of a voltage cell without source follower, as that of the threshold."""
    return np.asarray(p.THRESHOLD_ANCHOR.value + p.THRESHOLD_SLOPE.value * (code - p.THRESHOLD_CODE.value))


def term_parameters(
    n: NeuronConfig, common: CommonConfig, cell: dict[str, Array], die: FixedPattern
) -> TermParameters:
    """Translate the values `cell` of the CapMem cells into parameters of the terms."""
    full = p.CAPACITANCE_FULL.value + p.CAPACITANCE_INTRINSIC.value
    switched = n.membrane_capacitance / MAX_CAPACITANCE_CODE * p.CAPACITANCE_FULL.value
    capacitance = (switched + p.CAPACITANCE_INTRINSIC.value) / full
    pulse = 2.0 ** (common.adaptation_pulse_scale - p.ADAPT_PULSE_REFERENCE.value)
    sign_a, sign_b = np.where(n.invert_adapt_a, -1.0, 1.0), np.where(n.invert_adapt_b, -1.0, 1.0)
    coba = {
        kind: np.where(getattr(n, f"enable_coba_{kind}"), p.COBA_SLOPE.value * cell[f"i_bias_coba_{kind}"], 0.0)
        for kind in ("exc", "inh")
    }
    return TermParameters(
        exponential=n.enable_exponential,
        exp_current=p.EXP_CURRENT.value * die.exp_current / capacitance,
        exp_onset=_potential(cell["v_exp"] - die.exp_onset_code),
        exp_width=p.EXP_WIDTH.value * np.maximum(cell["i_bias_exp"], 1) / p.EXP_REFERENCE.value,
        adaptation=n.enable_adaptation,
        adapt_tau=p.ADAPT_TIME_CODE.value / np.maximum(cell["i_bias_adapt_tau"], 0.5) * die.adapt_time,
        adapt_a=sign_a * p.ADAPT_A_SLOPE.value * cell["i_bias_adapt_a"] * die.adapt_gain / capacitance,
        adapt_b=sign_b * p.ADAPT_B_SLOPE.value * cell["i_bias_adapt_b"] * pulse * die.adapt_gain / capacitance,
        adapt_leak=_potential(cell["v_adapt_leak"] - die.adapt_leak_code),
        coba_exc=coba["exc"],
        coba_inh=coba["inh"],
        coba_reference_exc=_potential(cell["v_rev_coba_exc"] - die.coba_code),
        coba_reference_inh=_potential(cell["v_rev_coba_inh"] - die.coba_code),
    )
