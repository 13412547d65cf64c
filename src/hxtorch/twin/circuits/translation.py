"""Config times die: from codes to the physical parameters of every circuit.

Voltages are in CADC LSB, times in µs, currents in CADC LSB per µs (already divided by the capacitance).
The nominal translation of each code stands once, in the functions `*_of` (code to value) and `code_for_*`
(value to code); a calibration starts from the latter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.shapes import Array, BoolArray
from hxtorch.twin.circuits.adex import TermParameters, term_parameters
from hxtorch.twin.pattern import process as p
from hxtorch.twin.pattern.capmem import cell_values
from hxtorch.twin.pattern.fixed_pattern import FixedPattern
from hxtorch.twin.places.coordinates import CIRCUITS, MAX_CAPACITANCE_CODE, QUADRANTS
from hxtorch.twin.program.config import MAX_HOLDOFF, ChipConfig, CommonConfig, NeuronConfig

_NO_BIAS = 1e-6  # code that a current cell at 0, or a leak that is off, still amounts to

UNBOUNDED = 1e6  # CADC LSB: stands for "no limit" where an ideal circuit has none


@dataclass(frozen=True, eq=False)
class CircuitParameters:
    """Physical parameters of the 512 circuits, each of shape (512,).

    `drive_exc` and `drive_inh` are the synaptic drive (LSB/µs) that one event of weight 1 adds,
    `saturation_*` the drive at which the input saturates, `static` the constant current (LSB/µs),
    `spike_delay` the time from crossing the threshold to spike and reset, `holdoff` the end of the refractory
    time in which the membrane is free again, `pause` whether inputs are cut in the reset. `capacitance` is
    relative to that of code 63; all others hold for the circuit on its own membrane (`lanes` joins them).
    `terms` are those of `hxtorch.twin.circuits.adex`.
    """

    capacitance: Array
    leak: Array
    reset: Array
    threshold: Array
    tau_mem: Array
    tau_exc: Array
    tau_inh: Array
    tau_reset: Array
    refractory: Array
    holdoff: Array
    pause: BoolArray
    spike_delay: Array
    drive_exc: Array
    drive_inh: Array
    saturation_exc: Array
    saturation_inh: Array
    static: Array
    floor: Array
    ceiling: Array
    terms: TermParameters


def capacitance_of(code: NDArray[np.generic]) -> Array:
    """Membrane capacitance (pF) of a 6-bit code, with the intrinsic part."""
    switched = np.asarray(code, dtype=np.float64) / MAX_CAPACITANCE_CODE * p.CAPACITANCE_FULL.value
    return np.asarray(switched + p.CAPACITANCE_INTRINSIC.value)


def relative_capacitance(code: NDArray[np.generic]) -> Array:
    """Capacitance relative to that of code 63."""
    full = p.CAPACITANCE_FULL.value + p.CAPACITANCE_INTRINSIC.value
    return capacitance_of(code) / full


def leak_of(code: Array) -> Array:
    """Leak potential (LSB) of a v_leak code."""
    return p.POTENTIAL_ANCHOR.value + p.LEAK_SLOPE.value * (code - p.LEAK_CODE.value)


def code_for_leak(value: Array) -> Array:
    """Nominal v_leak code for a leak potential (LSB)."""
    return p.LEAK_CODE.value + (value - p.POTENTIAL_ANCHOR.value) / p.LEAK_SLOPE.value


def reset_of(code: Array) -> Array:
    """Reset potential (LSB) of a v_reset code."""
    return p.POTENTIAL_ANCHOR.value + p.RESET_SLOPE.value * (code - p.RESET_CODE.value)


def code_for_reset(value: Array) -> Array:
    """Nominal v_reset code for a reset potential (LSB)."""
    return p.RESET_CODE.value + (value - p.POTENTIAL_ANCHOR.value) / p.RESET_SLOPE.value


def threshold_of(code: Array) -> Array:
    """Threshold (LSB) of a v_threshold code."""
    return p.THRESHOLD_ANCHOR.value + p.THRESHOLD_SLOPE.value * (code - p.THRESHOLD_CODE.value)


def code_for_threshold(value: Array) -> Array:
    """Nominal code of v_threshold, or of any voltage cell without source follower, for a potential (LSB)."""
    return p.THRESHOLD_CODE.value + (value - p.THRESHOLD_ANCHOR.value) / p.THRESHOLD_SLOPE.value


def code_for_tau_mem(tau: Array, capacitance_code: NDArray[np.generic]) -> Array:
    """Nominal i_bias_leak code for a membrane time constant (µs)."""
    return p.LEAK_TIME_CODE.value * relative_capacitance(capacitance_code) / tau


def code_for_tau_exc(tau: Array) -> Array:
    """Nominal i_bias_tau code of the excitatory input for a time constant (µs)."""
    return p.TAU_EXC_CODE.value / tau


def code_for_tau_inh(tau: Array) -> Array:
    """Nominal i_bias_tau code of the inhibitory input for a time constant (µs)."""
    return p.TAU_INH_CODE.value / tau


def nominal_drive(gm_code: Array, dac_code: Array, capacitance_code: NDArray[np.generic]) -> Array:
    """Nominal synaptic drive (LSB/µs) of one event of weight 1."""
    dac = (dac_code / p.DAC_REFERENCE.value) ** p.DAC_EXPONENT.value
    gm = gm_code / p.GM_REFERENCE.value
    return np.asarray(p.SYNAPSE_DRIVE.value * dac * gm / relative_capacitance(capacitance_code))


def refractory_of(config: NeuronConfig, common: CommonConfig) -> Array:
    """Refractory time (µs): counter over the clock of 250 MHz / 2**(s + 1) that the circuit uses."""
    scale = np.asarray(common.refractory_clock_scale)[config.refractory_clock]
    ticks = np.maximum(config.refractory_counter, 1)  # the reset pulse lasts one tick at least
    return np.asarray(ticks * 2.0 ** (scale + 1) / p.CHIP_CLOCK.value)


def holdoff_of(config: NeuronConfig, common: CommonConfig, die: FixedPattern) -> Array:
    """End of the refractory time (µs) without reset: 31 - 2 h ticks of the clock; none for h = 15 if ideal."""
    scale = np.asarray(common.refractory_clock_scale)[config.refractory_clock]
    ticks = 2 * (MAX_HOLDOFF - config.reset_holdoff) + (0 if die.nominal else 1)
    return np.asarray(ticks * 2.0 ** (scale + 1) / p.CHIP_CLOCK.value)


def test_voltage_of(code: float) -> float:
    """CADC test voltage (LSB) of a CapMem code; by definition codes 70 and 550 are 20 and 220 LSB."""
    return 20.0 + p.THRESHOLD_SLOPE.value * (code - 70.0)


def _per_circuit(quadrant_values: Array) -> Array:
    return np.repeat(quadrant_values, CIRCUITS // QUADRANTS)


def _switched(conductance: Array, multiply: BoolArray, divide: BoolArray, factor: float) -> Array:
    """Conductance after the switches that multiply and divide it."""
    return np.asarray(conductance * np.where(multiply, factor, 1) / np.where(divide, factor, 1))


def circuit_parameters(config: ChipConfig, die: FixedPattern) -> CircuitParameters:
    """Translate a configuration into the physical parameters of the circuits of one die."""
    n, common = config.neurons, config.common
    cell = cell_values(n, die)

    def bias(name: str) -> Array:
        """A bias current: code 0 still leaks a little, which keeps time constants finite."""
        return np.maximum(cell[name], 0.5)

    capacitance = relative_capacitance(n.membrane_capacitance)
    dac = _per_circuit(
        (common.synapse_dac_bias if die.nominal else np.rint(common.synapse_dac_bias)) * die.synapse_dac
    )
    static = np.zeros(CIRCUITS)
    drive, saturation, tau = {}, {}, {}
    for kind, sign, center, time_code in (
        ("exc", 1.0, p.SHIFT_CODE_EXC, p.TAU_EXC_CODE), ("inh", -1.0, p.SHIFT_CODE_INH, p.TAU_INH_CODE),
    ):  # fmt: skip
        enabled = getattr(n, f"enable_{kind}")
        gm = cell[f"i_bias_gm_{kind}"]
        gain = getattr(die, f"gain_{kind}") * enabled
        slow = np.where(getattr(n, f"enable_high_resistance_{kind}"), p.HIGH_RESISTANCE.value, 1)
        fast = np.where(getattr(n, f"enable_small_capacitance_{kind}"), p.SMALL_CAPACITANCE.value, 1)
        tau[kind] = time_code.value / bias(f"i_bias_tau_{kind}") * getattr(die, f"tau_{kind}") * slow / fast
        drive[kind] = gain * nominal_drive(gm, dac, n.membrane_capacitance) * fast
        # The OTA's limit is set by its bias current alone, not by the charge of the synapses.
        limit = p.OTA_SATURATION.value * p.SYNAPSE_DRIVE.value * gm / p.GM_REFERENCE.value / capacitance
        saturation[kind] = np.maximum(gain * limit, 1e-3) if not die.nominal else np.full(CIRCUITS, UNBOUNDED)
        offset = cell[f"i_shift_{kind}"] - center.value - getattr(die, f"shift_{kind}")
        strength = p.INPUT_OFFSET_SLOPE.value * gm / p.GM_REFERENCE.value / capacitance
        if not die.nominal:
            static += sign * enabled * strength * offset
    source = np.where(n.offset_sink, -1.0, 1.0) * p.OFFSET_CURRENT.value
    static += n.enable_offset * source * _linear_part(cell["i_offset"], die) / capacitance

    leak_bias = np.where(n.enable_leak, np.maximum(cell["i_bias_leak"], _NO_BIAS), _NO_BIAS) * die.leak_conductance
    leak_bias = _switched(
        leak_bias, n.enable_leak_multiplication, n.enable_leak_division, p.SWITCH_FACTOR.value
    )  # fmt: skip
    # the reference of the reset is a multiplied bias
    reset_bias = bias("i_bias_reset") / p.SWITCH_FACTOR.value
    reset_bias = _switched(
        reset_bias, n.enable_reset_multiplication, n.enable_reset_division, p.SWITCH_FACTOR.value
    )
    missing = np.clip(1 - common.v_bias_casc_n / p.CASCODE_CODE.value, 0, 1)
    slow = _per_circuit((p.RESET_TIME_RAW.value / p.RESET_TIME.value) ** missing)
    tau_reset = slow * p.RESET_TIME.value * p.RESET_TIME_CODE.value / reset_bias * die.reset_time
    refractory = refractory_of(n, common)
    return CircuitParameters(
        capacitance=capacitance,
        leak=leak_of(cell["v_leak"] - die.leak_code),
        reset=reset_of(cell["v_reset"] - die.reset_code),
        threshold=np.where(n.enable_threshold, threshold_of(cell["v_threshold"] - die.threshold_code), UNBOUNDED),
        tau_mem=p.LEAK_TIME_CODE.value * capacitance / leak_bias,
        tau_exc=tau["exc"],
        tau_inh=tau["inh"],
        tau_reset=tau_reset * capacitance if not die.nominal else np.full(CIRCUITS, 1e-4),
        refractory=refractory,
        holdoff=np.minimum(holdoff_of(n, common, die), refractory),
        pause=n.enable_pause,
        spike_delay=np.zeros(CIRCUITS) if die.nominal else p.SPIKE_DELAY.value * die.spike_delay,
        drive_exc=drive["exc"],
        drive_inh=drive["inh"],
        saturation_exc=saturation["exc"],
        saturation_inh=saturation["inh"],
        static=static,
        floor=np.full(CIRCUITS, -UNBOUNDED if die.nominal else p.FLOOR.value),
        ceiling=np.full(CIRCUITS, UNBOUNDED if die.nominal else p.CEILING.value),
        terms=term_parameters(n, common, cell, die),
    )


def _linear_part(code: Array, die: FixedPattern) -> Array:
    """Constant current in linear codes: beyond `OFFSET_LINEAR` it grows half as fast."""
    limit = p.OFFSET_LINEAR.value
    return code if die.nominal else np.where(code > limit, limit + (code - limit) / 2, code)
