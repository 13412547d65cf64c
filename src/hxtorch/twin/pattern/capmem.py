"""The analog memory: which value a cell really holds when a code is written to it.

A cell keeps a whole number of codes, except on an ideal chip. Beyond that, cells disturb each other: the
error of a cell depends on the codes of all others in its block (quadrant). It stays as it is while a
configuration stays, and is a new one, drawn from the chip's own seed, as soon as a code of the block changes.
So a calibration, which measures in other configurations than the one it ends with, leaves a residual.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from hxtorch.shapes import Array
from hxtorch.twin.engine.random import normal
from hxtorch.twin.pattern import process as p
from hxtorch.twin.pattern.fixed_pattern import FixedPattern
from hxtorch.twin.places.coordinates import CIRCUITS, QUADRANTS
from hxtorch.twin.program.config import NeuronConfig

# What an error means for each cell: codes for voltages, a part of the code for currents
_VOLTAGES = {
    "v_leak": p.CAPMEM_VOLTAGE_ERROR,
    "v_reset": p.CAPMEM_VOLTAGE_ERROR,
    "v_threshold": p.CAPMEM_THRESHOLD_ERROR,
}
_CURRENTS = {
    "i_bias_leak": p.CAPMEM_LEAK_BIAS_ERROR,
    "i_bias_tau_exc": p.CAPMEM_TAU_BIAS_ERROR,
    "i_bias_tau_inh": p.CAPMEM_TAU_BIAS_ERROR,
    "i_bias_gm_exc": p.CAPMEM_GAIN_BIAS_ERROR,
    "i_bias_gm_inh": p.CAPMEM_GAIN_BIAS_ERROR,
}
_EXACT = ("i_bias_reset", "i_shift_exc", "i_shift_inh", "i_offset")
CELLS = (*_VOLTAGES, *_CURRENTS, *_EXACT)
# Cells of terms that are off by default: their codes disturb the others only where a program changes them.
_TERM_CELLS = (
    "v_exp", "i_bias_exp", "v_adapt_ref", "v_adapt_leak", "i_bias_adapt_tau", "i_bias_adapt_a", "i_bias_adapt_b",
    "v_rev_coba_exc", "v_rev_coba_inh", "i_bias_coba_exc", "i_bias_coba_inh", "i_bias_icc",
)  # fmt: skip
_POWER_UP = NeuronConfig()


def cell_values(neurons: NeuronConfig, die: FixedPattern) -> dict[str, Array]:
    """Values (512,) that the CapMem cells of all circuits hold, in codes, by register name."""
    codes = {name: getattr(neurons, name) for name in (*CELLS, *_TERM_CELLS)}
    if die.nominal:
        return codes
    values = {name: np.rint(code) for name, code in codes.items()}
    if die.capmem_error == 0:
        return values
    index = np.arange(CIRCUITS)
    block = np.repeat(_block_states(values), CIRCUITS // QUADRANTS)

    def error(name: str, strength: float) -> Array:
        return die.capmem_error * strength * normal(die.capmem_seed, f"capmem {name}", block, index)

    for name, fact in _VOLTAGES.items():
        values[name] = values[name] + error(name, fact.value)
    for name, fact in _CURRENTS.items():
        values[name] = values[name] * (1 + error(name, fact.value))
    return values


def _block_states(values: dict[str, Array]) -> NDArray[np.int64]:
    """Hash of all codes of each block (4,)."""
    every = np.stack([values[name] for name in CELLS]).reshape(len(CELLS), QUADRANTS, -1)
    state = np.array([zlib.crc32(every[:, block].tobytes()) for block in range(QUADRANTS)], dtype=np.int64)
    for name in _TERM_CELLS:
        for block, codes in enumerate(values[name].reshape(QUADRANTS, -1)):
            if np.any(codes != getattr(_POWER_UP, name)[0]):
                state[block] = zlib.crc32(name.encode() + codes.tobytes(), int(state[block]))
    return state
