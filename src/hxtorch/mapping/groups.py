"""Neurons of several circuits: switches, and registers with which the group behaves like one circuit.

The first circuit of a group keeps its capacitor, leak, threshold and reset. The others, its helpers, lend
their synaptic inputs: capacitance 0, no leak, no threshold (chip.md 1.5). What they cannot switch off, their
intrinsic capacitance, is taken off the first circuit, so that the group has the time constant and the
synaptic strength to which each circuit was calibrated.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.circuits import relative_capacitance
from hxtorch.twin.places.coordinates import COLUMNS, MAX_CAPACITANCE_CODE, MAX_CAPMEM_CODE
from hxtorch.twin.program.config import NeuronConfig


def join_circuits(neurons: NeuronConfig, groups: list[NDArray[np.int64]]) -> NeuronConfig:
    """Join circuits as `groups` say, each of shape (neurons, circuits per neuron), the first one leading.

    Everything else of the configuration stays as it was calibrated.
    """
    if not groups:
        return neurons
    right, vertical = neurons.connect_right.copy(), neurons.connect_vertical.copy()
    capacitance = neurons.membrane_capacitance.copy()
    leak, gm_exc, gm_inh = (
        getattr(neurons, name).copy() for name in ("i_bias_leak", "i_bias_gm_exc", "i_bias_gm_inh")
    )
    switches = {
        name: getattr(neurons, name).copy()
        for name in ("enable_leak", "enable_threshold", "enable_exponential", "enable_adaptation", "enable_offset")
    }
    intrinsic = float(relative_capacitance(np.zeros(1))[0])
    slope = (float(relative_capacitance(np.full(1, MAX_CAPACITANCE_CODE))[0]) - intrinsic) / MAX_CAPACITANCE_CODE
    for circuits in groups:
        main, helpers = circuits[:, 0], circuits[:, 1:]
        joined = np.zeros(vertical.size, dtype=np.int64)
        joined[circuits] = 1 + np.arange(circuits.shape[0])[:, None]
        _connect(circuits, joined, right, vertical)
        wanted = relative_capacitance(capacitance[main])
        code = np.rint((wanted - circuits.shape[1] * intrinsic) / slope)
        capacitance[main] = np.clip(code, 0, MAX_CAPACITANCE_CODE).astype(np.int64)
        capacitance[helpers] = 0
        # what the coarse capacitance leaves over goes to the finer leak and synaptic bias currents
        ratio = (slope * capacitance[main] + circuits.shape[1] * intrinsic) / wanted
        leak[main] *= ratio
        for gm in (gm_exc, gm_inh):
            gm[circuits] *= ratio[:, None]
        for switch in switches.values():
            switch[helpers] = False
    return replace(
        neurons,
        connect_right=right,
        connect_vertical=vertical,
        membrane_capacitance=capacitance,
        i_bias_leak=np.clip(leak, 0, MAX_CAPMEM_CODE),
        i_bias_gm_exc=np.clip(gm_exc, 0, MAX_CAPMEM_CODE),
        i_bias_gm_inh=np.clip(gm_inh, 0, MAX_CAPMEM_CODE),
        **switches,
    )


def _connect(
    circuits: NDArray[np.int64],
    joined: NDArray[np.int64],
    right: NDArray[np.bool_],
    vertical: NDArray[np.bool_],
) -> None:
    """Close every switch between two circuits of the same group; `joined` numbers the groups from 1."""
    flat = circuits.reshape(-1)
    below = (flat + COLUMNS) % vertical.size
    vertical[flat[joined[flat] == joined[below]]] = True
    inner = flat[flat % COLUMNS < COLUMNS - 1]
    right[inner[joined[inner] == joined[inner + 1]]] = True
