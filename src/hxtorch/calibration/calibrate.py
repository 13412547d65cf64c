"""The calibration of a chip, step by step, by measurement through the chip's public door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from tqdm import tqdm

from hxtorch.calibration.dac_steps import calibrate_synapse_dac
from hxtorch.calibration.measure import Bench
from hxtorch.calibration.membrane_steps import (
    calibrate_leak,
    calibrate_reset,
    calibrate_tau_mem,
    calibrate_threshold,
)
from hxtorch.calibration.readout_steps import calibrate_channels, calibrate_ramps
from hxtorch.calibration.result import CalibrationResult
from hxtorch.calibration.state import State, initial_state, nominal_codes
from hxtorch.calibration.synapse_steps import calibrate_gain, calibrate_shift, calibrate_tau_syn
from hxtorch.calibration.targets import SPIKING, CalibrationTarget
from hxtorch.twin import Chip
from hxtorch.twin.coordinates import CIRCUITS

Step = Callable[[Bench, State], State]

# The order of the vendor's calibration (chip.md 6.2), as far as this chip has the circuits.
STEPS: tuple[tuple[str, Step], ...] = (
    ("CADC ramps", calibrate_ramps),
    ("CADC channels", calibrate_channels),
    ("tau_syn exc", lambda bench, state: calibrate_tau_syn(bench, state, "exc")),
    ("tau_syn inh", lambda bench, state: calibrate_tau_syn(bench, state, "inh")),
    ("synapse DAC", calibrate_synapse_dac),
    ("tau_mem", calibrate_tau_mem),
    ("leak", calibrate_leak),
    ("i_shift exc", lambda bench, state: calibrate_shift(bench, state, "exc", fine=False)),
    ("i_shift inh", lambda bench, state: calibrate_shift(bench, state, "inh", fine=False)),
    ("gain", calibrate_gain),
    # the offset current grows with the gain, and the rest potential follows it
    ("i_shift exc", lambda bench, state: calibrate_shift(bench, state, "exc", fine=True)),
    ("i_shift inh", lambda bench, state: calibrate_shift(bench, state, "inh", fine=True)),
    ("leak", calibrate_leak),
    ("reset", calibrate_reset),
    ("threshold", calibrate_threshold),
)


def calibrate(
    chip: Chip, target: CalibrationTarget = SPIKING, *, trial_seed: int = 0, progress: bool | None = None
) -> CalibrationResult:
    """Search the registers with which every circuit of `chip` meets `target`.

    Only runs programs and reads what they record. The mathematical model (`chip.nominal`) needs no search:
    it gets its nominal codes. `trial_seed` selects the noise of the measurements; `progress` shows a bar
    with the current step (None: if standard error is a terminal).
    """
    state = _nominal(target) if chip.nominal else _searched(chip, target, trial_seed, progress)
    return CalibrationResult(
        target=target,
        chip_identifier=chip.identifier,
        neurons=state.neurons,
        common=state.common,
        success=state.success,
        residuals=state.residuals,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _searched(chip: Chip, target: CalibrationTarget, trial_seed: int, progress: bool | None) -> State:
    bench, state = Bench(chip, trial_seed), initial_state(target)
    with tqdm(STEPS, disable=None if progress is None else not progress, leave=False) as bar:
        for name, step in bar:
            bar.set_description(f"Calibrating {chip.identifier}: {name}")
            state = step(bench, state)
    # what only some of the steps use is left as a new configuration has it
    off = np.zeros(CIRCUITS, dtype=np.bool_)
    neurons = replace(state.neurons, enable_threshold=off, enable_offset=off, i_offset=np.zeros(CIRCUITS))
    return replace(state, neurons=neurons)


_QUANTITY = {
    "v_leak": "leak",
    "v_reset": "reset",
    "v_threshold": "threshold",
    "i_bias_leak": "tau_mem",
    "i_bias_tau_exc": "tau_syn_exc",
    "i_bias_tau_inh": "tau_syn_inh",
    "i_bias_gm_exc": "gain_exc",
    "i_bias_gm_inh": "gain_inh",
    "i_shift_exc": "i_shift_exc",
    "i_shift_inh": "i_shift_inh",
}


def _nominal(target: CalibrationTarget) -> State:
    """Nominal codes; a circuit fails where the register does not reach."""
    state = initial_state(target)
    for name, code in nominal_codes(target).items():
        reached = getattr(state.neurons, name) == code
        state = state.judged(_QUANTITY[name], np.where(reached, 0.0, np.inf), reached)
    return state
