"""The calibration of a chip, step by step, by measurement through the chip's public door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from tqdm import tqdm

from hxtorch.calibration.bench import Bench
from hxtorch.calibration.compartment_steps import calibrate_icc
from hxtorch.calibration.conductance_steps import calibrate_conductances, conductance_registers
from hxtorch.calibration.dac_steps import calibrate_synapse_dac
from hxtorch.calibration.driver_steps import calibrate_drivers
from hxtorch.calibration.membrane_steps import (
    calibrate_leak,
    calibrate_reset,
    calibrate_tau_mem,
    calibrate_threshold,
)
from hxtorch.calibration.options import CalibrationOptions
from hxtorch.calibration.quantities import QUANTITIES
from hxtorch.calibration.readout_steps import calibrate_channels, calibrate_ramps
from hxtorch.calibration.result import CalibrationResult, Drivers
from hxtorch.calibration.state import State, initial_state, nominal_codes
from hxtorch.calibration.survey import survey
from hxtorch.calibration.synapse_steps import (
    SIGNS,
    calibrate_gain,
    calibrate_shift,
    calibrate_tau_syn,
)
from hxtorch.calibration.targets import SPIKING, CalibrationTarget
from hxtorch.shapes import Array
from hxtorch.twin import Chip
from hxtorch.twin.places.coordinates import CIRCUITS, MAX_CAPMEM_CODE

Step = Callable[[Bench, State], State]

# Much as the vendor's calibration; chip.md 6.2 says where the order differs.
STEPS: tuple[tuple[str, Step], ...] = (
    ("CADC ramps", calibrate_ramps),
    ("CADC channels", calibrate_channels),
    ("tau_syn exc", lambda bench, state: calibrate_tau_syn(bench, state, "exc")),
    ("tau_syn inh", lambda bench, state: calibrate_tau_syn(bench, state, "inh")),
    ("synapse DAC", calibrate_synapse_dac),
    ("tau_mem", calibrate_tau_mem),
    ("leak", calibrate_leak),
    ("input reference exc", lambda bench, state: calibrate_shift(bench, state, "exc", fine=False)),
    ("input reference inh", lambda bench, state: calibrate_shift(bench, state, "inh", fine=False)),
    ("gain", calibrate_gain),
    # the offset current grows with the gain, and the rest potential follows it
    ("input reference exc", lambda bench, state: calibrate_shift(bench, state, "exc", fine=True)),
    ("input reference inh", lambda bench, state: calibrate_shift(bench, state, "inh", fine=True)),
    ("leak", calibrate_leak),
    ("reset", calibrate_reset),
    ("threshold", calibrate_threshold),
    ("conductance mode", calibrate_conductances),
    ("tau_icc", calibrate_icc),
)
# Once more, when all other cells have their values: CapMem cells disturb each other.
REFINEMENT: tuple[tuple[str, Step], ...] = (
    ("refine CADC", lambda bench, state: calibrate_channels(bench, calibrate_ramps(bench, state))),
    ("refine leak", calibrate_leak),
    ("refine reset", calibrate_reset),
    ("refine threshold", calibrate_threshold),
)


def calibrate(
    chip: Chip,
    target: CalibrationTarget = SPIKING,
    *,
    options: CalibrationOptions = CalibrationOptions(),  # noqa: B008  # frozen
    trial_seed: int = 0,
    progress: bool | None = None,
) -> CalibrationResult:
    """Search the registers with which every circuit of `chip` meets `target`.

    Only runs programs and reads what they record. The mathematical model (`chip.nominal`) needs no search:
    it gets its nominal codes. `trial_seed` selects the noise of the measurements; `progress` shows a bar
    with the current step (None: if standard error is a terminal).
    """
    before: dict[str, Array] = {}
    drivers = Drivers()
    if chip.nominal:
        state = _nominal(target)
    else:
        state, before, drivers = _searched(chip, target, options, trial_seed, progress)
    return CalibrationResult(
        target=target,
        chip_identifier=chip.identifier,
        neurons=state.neurons,
        common=state.common,
        success=state.success,
        residuals=state.residuals,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        options=options,
        before=before,
        drivers=drivers,
    )


def steps(options: CalibrationOptions, target: CalibrationTarget = SPIKING) -> list[tuple[str, Step]]:
    """Return names and functions of the steps that a calibration with these options and this target takes."""
    chosen = [*STEPS, *(REFINEMENT if options.refine else ())]
    left_out = {"gain"} if options.gain == "raw" else set()
    left_out |= set() if options.equalize_dac else {"synapse DAC"}
    left_out |= set() if target.asks_for("tau_icc") else {"tau_icc"}
    if not any(target.asks_for(f"e_coba_reversal_{sign}") for sign in SIGNS):
        left_out |= {"conductance mode"}
    return [step for step in chosen if step[0] not in left_out]


def _searched(
    chip: Chip, target: CalibrationTarget, options: CalibrationOptions, trial_seed: int, progress: bool | None
) -> tuple[State, dict[str, Array], Drivers]:
    """Run all steps, then measure what remains and what there was before."""
    bench, start = Bench(chip, trial_seed), initial_state(target)
    state, drivers = start, Drivers()
    if options.gain == "raw":
        codes = np.clip(np.rint(target.per_circuit("i_synin_gm")), 0, MAX_CAPMEM_CODE)
        state = state.with_neurons(i_bias_gm_exc=codes, i_bias_gm_inh=codes)
    with tqdm(
        [*steps(options, target), ("check", None), ("STP offsets", None)][: None if options.drivers else -1],
        disable=None if progress is None else not progress,
        leave=False,
    ) as bar:
        for name, step in bar:
            bar.set_description(f"Calibrating {chip.identifier}: {name}")
            if step is not None:
                state = step(bench, state)
                continue
            if name == "STP offsets":
                drivers = Drivers(*calibrate_drivers(bench, state))
                continue
            # what only some of the steps use is left as a new configuration has it
            off = np.zeros(CIRCUITS, dtype=np.bool_)
            idle = replace(state.neurons, enable_threshold=off, enable_offset=off, i_offset=np.zeros(CIRCUITS))
            state = replace(state, neurons=idle)
            dac = replace(state.common, synapse_dac_bias=start.common.synapse_dac_bias)
            before = _measured(survey(bench, replace(start, common=dac), cadc=start.common, inputs=False))
            state = _checked(state, _measured(survey(bench, state)))
    return state, before, drivers


def _measured(deviations: dict[str, Array]) -> dict[str, Array]:
    """Deviations with inf for what could not be measured."""
    return {name: np.where(np.isfinite(value), value, np.inf) for name, value in deviations.items()}


def _checked(state: State, residuals: dict[str, Array]) -> State:
    """Take over the measured residuals; a circuit beyond a tolerance did not succeed."""
    for name, residual in residuals.items():
        success = state.success.get(name)
        if success is not None and name in TOLERANCES:
            success = success & (np.abs(residual) <= TOLERANCES[name])
            state = state.judged(name, residual, success)
        else:  # says something about several quantities at a time, or was not calibrated
            state = replace(state, residuals={**state.residuals, name: residual})
    return state


TOLERANCES = {name: quantity.tolerance for name, quantity in QUANTITIES.items() if quantity.surveyed}
"""Residuals up to which a circuit succeeds, LSB or relative."""

_QUANTITY = {
    "v_leak": "leak",
    "v_reset": "reset",
    "v_threshold": "threshold",
    "i_bias_leak": "tau_mem",
    "i_bias_tau_exc": "tau_syn_exc",
    "i_bias_tau_inh": "tau_syn_inh",
    "i_bias_gm_exc": "gain_exc",
    "i_bias_gm_inh": "gain_inh",
    "i_bias_icc": "tau_icc",
    "i_shift_exc": "i_shift_exc",
    "i_shift_inh": "i_shift_inh",
}


def _nominal(target: CalibrationTarget) -> State:
    """Nominal codes; a circuit fails where the register does not reach."""
    state = initial_state(target).with_neurons(**conductance_registers(target))
    for name, code in nominal_codes(target).items():
        if name == "i_bias_icc" and not target.asks_for("tau_icc"):
            continue
        reached = getattr(state.neurons, name) == code
        state = state.judged(_QUANTITY[name], np.where(reached, 0.0, np.inf), reached)
    return state
