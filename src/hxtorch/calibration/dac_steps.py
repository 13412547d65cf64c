"""Calibration of the synapse DACs: an event of the same weight brings the same charge in all quadrants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hxtorch.calibration.bench import SRAM_RUNTIME, Bench
from hxtorch.calibration.measure import mean_response, stimulus
from hxtorch.calibration.membrane_steps import quiet
from hxtorch.calibration.quantities import QUANTITIES
from hxtorch.calibration.search import Response, predict
from hxtorch.calibration.state import State
from hxtorch.calibration.synapse_steps import LINE_AMPLITUDE, ROWS_USED, charge_factor
from hxtorch.shapes import Array
from hxtorch.twin import ReadoutSource, RowMode, circuits
from hxtorch.twin.pattern import process as facts
from hxtorch.twin.places.coordinates import CIRCUITS, MAX_WEIGHT, QUADRANTS

DAC_TOLERANCE = QUANTITIES["synapse_dac"].tolerance
DAC_RUNS = 12  # each sees another error of the DAC's cell
REACH = 1016.0  # code up to which the weakest quadrant is raised


def calibrate_synapse_dac(bench: Bench, state: State) -> State:
    """Search the DAC's bias of each quadrant for the mean charge that all give at the target's code.

    Where the weakest quadrant cannot reach that, the others come down to it.

    The charge is read on the excitatory lines, before any OTA, as the mean under a regular train of events;
    the median over a quadrant does not see single circuits.
    """
    target = state.target
    neurons = replace(
        quiet(state),
        enable_exc=np.ones(CIRCUITS, dtype=np.bool_),
        readout_source=np.full(CIRCUITS, int(ReadoutSource.SYNAPTIC_EXCITATORY), dtype=np.int64),
    )
    period, first = 4.0, 25.0
    tau = target.per_circuit("tau_syn_exc")
    unit = circuits.nominal_drive(
        np.full(CIRCUITS, facts.GM_REFERENCE.value),
        np.full(CIRCUITS, target.synapse_dac_bias),
        np.full(CIRCUITS, 63),
    )
    per_weight = facts.LINE_READOUT_SLOPE.value * unit * np.maximum(tau / period, 1.0)
    per_weight = per_weight * charge_factor(state.neurons, "exc")
    weight = np.clip(np.rint(LINE_AMPLITUDE / per_weight / ROWS_USED), 1, MAX_WEIGHT).astype(np.int64)
    events = stimulus(RowMode.EXCITATORY, weight, ROWS_USED, np.arange(first, SRAM_RUNTIME - period, period))
    settling = float(np.clip(6 * np.median(tau), 5, 100))

    def response(codes: Array) -> Array:
        common = replace(state.common, synapse_dac_bias=codes)
        fall = -mean_response(bench, neurons, common, events, settling) / (
            weight * tau * charge_factor(state.neurons, "exc")
        )
        return np.asarray(np.nanmedian(fall.reshape(QUADRANTS, -1), axis=1))

    requested = np.full(QUADRANTS, target.synapse_dac_bias)
    at_request = response(requested)
    seen = np.where(at_request > 0, at_request, np.nan)
    if not np.all(np.isfinite(seen)):  # a quadrant without any answer keeps the requested code
        return state.with_common(synapse_dac_bias=requested)
    reach = seen.min() * (REACH / target.synapse_dac_bias) ** facts.DAC_EXPONENT.value
    goal = np.full(QUADRANTS, min(np.exp(np.mean(np.log(seen))), reach))
    found = predict(
        response, requested, goal, Response(facts.DAC_EXPONENT.value, logarithmic=True, significant=0.15),
        runs=DAC_RUNS, average=DAC_RUNS - 1, tolerance=DAC_TOLERANCE, low=1,
    )  # fmt: skip
    state = state.with_common(synapse_dac_bias=found.codes)
    per_circuit = CIRCUITS // QUADRANTS
    return state.judged(
        "synapse_dac", np.repeat(found.residual, per_circuit), np.repeat(found.success, per_circuit)
    )
