"""Chips with faults, and calibrations that do not fit any more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxtorch.calibration import CalibrationResult
from hxtorch.study.conditions import Condition
from hxtorch.twin import Die
from hxtorch.twin.pattern import process
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS, MAX_CAPMEM_CODE

_LOWEST_CODE = 5.0  # of a bias current: time constants stay finite


def damaged(die: Die, condition: Condition) -> Die:
    """Return the die with dead synapses and columns; it keeps its name, and so the calibration made before.

    The faults of a rate contain those of all lower rates with the same seed.
    """
    if not (condition.dead_synapses or condition.dead_columns):
        return die
    synapse = die.synapse.copy()
    synapse[_stream(condition, "synapses").random(synapse.shape) < condition.dead_synapses] = 0.0
    synapse[:, :, _stream(condition, "columns").random(COLUMNS) < condition.dead_columns] = 0.0
    return replace(die, synapse=synapse)


def decalibrated(result: CalibrationResult, condition: Condition) -> CalibrationResult:
    """Return the calibration with detuned circuits and dead neurons; its targets still say what was wanted.

    Membrane and synaptic time constants and the distance of the threshold from the leak are multiplied by
    ``1 + decalibration * N(0, 1)`` (at least 0.05), each circuit and quantity on its own, as in Cramer et al.
    2022, figure 4. The threshold of a dead neuron is raised to the end of its range, beyond all membranes.
    """
    neurons = result.neurons
    changes: dict[str, Any] = {}
    if condition.decalibration:
        random = _stream(condition, "decalibration")

        def factor() -> NDArray[np.float64]:
            return np.maximum(1 + condition.decalibration * random.standard_normal(CIRCUITS), 0.05)

        for name in ("i_bias_leak", "i_bias_tau_exc", "i_bias_tau_inh"):  # times are inverse to their codes
            changes[name] = np.clip(np.rint(getattr(neurons, name) / factor()), _LOWEST_CODE, MAX_CAPMEM_CODE)
        distance = np.asarray(result.target.threshold) - np.asarray(result.target.leak)
        codes = (factor() - 1) * distance / process.THRESHOLD_SLOPE.value
        changes["v_threshold"] = np.clip(np.rint(neurons.v_threshold + codes), 0, MAX_CAPMEM_CODE)
    if condition.dead_neurons:
        dead = _stream(condition, "neurons").random(CIRCUITS) < condition.dead_neurons
        threshold = changes.get("v_threshold", neurons.v_threshold)
        changes["v_threshold"] = np.where(dead, MAX_CAPMEM_CODE, threshold)
    return replace(result, neurons=replace(neurons, **changes)) if changes else result


def _stream(condition: Condition, what: str) -> np.random.Generator:
    """Random numbers of one kind of fault: of the same places, whatever its rate and the other faults."""
    return np.random.default_rng([condition.seed, condition.chip, *what.encode()])
