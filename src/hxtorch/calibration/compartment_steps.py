"""Calibration of the conductances between compartments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hxtorch.calibration.bench import Bench
from hxtorch.calibration.measure import rest_level
from hxtorch.calibration.membrane_steps import quiet, v_leak_for
from hxtorch.calibration.quantities import QUANTITIES
from hxtorch.calibration.search import Response, predict
from hxtorch.calibration.state import State, leak_bias, wanted_icc
from hxtorch.shapes import Array
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS

ICC_TOLERANCE = QUANTITIES["tau_icc"].tolerance
LOW, HIGH = 70.0, 150.0  # LSB, rest potentials of the two compartments
STRONG = 1.0  # µs, membrane time constant of the neighbour, which should hardly move
RUNS = 2  # that are averaged


def icc_meter(bench: Bench, state: State) -> Callable[[Array], Array]:
    """Return a function that measures tau_icc (µs) for i_bias_icc codes.

    Neighbours in a row are coupled: one lies on the soma line, the conductance of the other pulls it towards
    that line and away from its own leak, whose time constant is known. At rest the currents through both are
    the same, so that potentials tell the ratio. Circuits of even and of odd columns take turns.
    """
    own, tau = leak_bias(state, np.clip(wanted_icc(state.target), 1.0, 60.0))
    held, _ = leak_bias(state, np.full(CIRCUITS, STRONG))
    column = np.arange(CIRCUITS) % COLUMNS

    def measure(codes: Array) -> Array:
        result = np.full(CIRCUITS, np.nan)
        for parity in (0, 1):
            measured = column % 2 == parity
            level = np.where(measured, LOW, HIGH)
            neurons = replace(
                quiet(state),
                **{name: np.where(measured, own[name], held[name]) for name in own},
                v_leak=v_leak_for(state, level),
                connect_soma=~measured,
                connect_soma_right=column % 2 == 0,
                i_bias_icc=codes,
            )
            alone, coupled = (
                np.mean([rest_level(bench, config, state.common) for _ in range(RUNS)], axis=0)
                for config in (neurons, replace(neurons, enable_icc=measured))
            )
            line = coupled[np.arange(CIRCUITS) ^ 1]
            moved, left = coupled - alone, line - coupled
            seen = measured & (moved > 1.0) & (left > 0.5)
            result[seen] = (tau * left / np.where(seen, moved, 1.0))[seen]
        return result

    return measure


def calibrate_icc(bench: Bench, state: State) -> State:
    """Search i_bias_icc for the time constant of a membrane with its inter-compartment conductance.

    Circuits that ask for none are calibrated to the median of the others; they cannot fail.
    """
    asked = np.isfinite(state.target.per_circuit("tau_icc"))
    result = predict(
        icc_meter(bench, state), state.neurons.i_bias_icc, wanted_icc(state.target),
        Response(-1.0, logarithmic=True, significant=0.25),
        runs=5, average=3, tolerance=ICC_TOLERANCE, low=1,
    )  # fmt: skip
    state = state.with_neurons(i_bias_icc=result.codes)
    return state.judged("tau_icc", result.residual, result.success | ~asked)
