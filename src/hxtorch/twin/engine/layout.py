"""Memory layout of the engine: membranes as lanes of vector blocks.

Sixty-four membranes form a block: half as many would leave the processor waiting for the results of one step before
the next one can begin. Its state and parameters are one row ``a[b]`` of an array, so that a step of the
whole chip streams through about sixty kilobytes of cache. First come the quantities of the membranes, then,
once per circuit that shares them, those of the synaptic lines (a layer). Blocks whose circuits are not joined
have one layer, those of joined circuits as many as their largest group.

The names are offsets: quantity Q of lane k is ``a[b, Q + k]``, that of a line in layer l
``a[b, MEMBRANE_ROWS + l * LAYER_ROWS + Q + k]``. Constant offsets in one array let the compiler see that no two
quantities overlap, and an index of its own for the block that none is negative; else it would not vectorise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

LANES = 64
WORD = 32  # lanes, of which one number says by its bits which are meant


def _rows(count: int, start: int = 0) -> range:
    return range(start * LANES, (start + count) * LANES, LANES)


# --- Membrane: state ----------------------------------------------------------------------------------------
(
    V,  # membrane, CADC LSB
    V_BEFORE,  # the same at the start of the last step
    NOISE,  # Ornstein-Uhlenbeck voltage that adds to the leak potential
    RANDOM,  # state of the random stream (bits of an unsigned integer)
    DEAD,  # remaining dead time in steps: from crossing the threshold to the end of the hold-off
    THRESHOLD,  # with the jitter of the coming spike
    UP,  # voltage gained in this step from all currents into the membrane
    DOWN,  # voltage lost in this step to all currents out of it
    FRACTION,  # when the threshold was crossed inside the last step, or -2
    ADAPTATION,  # adaptation current w, LSB/µs, kept at the middle of the coming step
    CONDUCTANCE,  # of the inputs in conductance mode, per step
    DRIVE,  # UP - DOWN, and what the noise adds
    TARGET,  # LEAK or LEAK_IN_RESET, DECAY or DECAY_RESET, 1 or SHUNT: those of now
    DECAY_NOW,
    SHUNT_NOW,
    ARMED,  # THRESHOLD, or never while the neuron is dead
    NEXT,  # remaining dead time at which the reset circuit switches next, or never
    COBA_UP,  # current of the inputs in conductance mode at V = 0, as UP
) = _rows(18)
STATE_ROWS = 18
NEVER = np.float32(1e9)  # as threshold; -NEVER as remaining dead time

# --- Membrane: parameters -----------------------------------------------------------------------------------
(
    LEAK,
    DECAY,  # exp(-h / tau_mem)
    LEAK_IN_RESET,  # potential that leak and reset conductance pull towards
    DECAY_RESET,
    SHUNT,  # factor on the currents' effect while the reset conductance is on
    STATIC_UP,  # voltage gained per step from constant currents
    STATIC_DOWN,
    RESET_STEPS,  # remaining dead time at which the reset conductance switches on
    HOLDOFF_STEPS,  # and at which it switches off
    DEAD_STEPS,
    THRESHOLD_MEAN,
    RATE_MEM,  # h / tau
    RATE_RESET,
    REST,  # where the membrane starts
    START_SPREAD,  # a neuron that fires without input starts anywhere up to here above its rest
    EXP_RATE,  # exponential current at its onset potential, in exp_width per half step
    EXP_ONSET,
    EXP_WIDTH,
    EXP_IN_RESET,  # part of it that acts while the reset conductance is on
    ADAPT_DECAY,
    ADAPT_A,  # current per LSB that the membrane is above ADAPT_REFERENCE, times 1 - decay
    ADAPT_REFERENCE,
    ADAPT_JUMP,  # current added by a spike
    ADAPT_GAIN,  # voltage lost per step and unit of adaptation current
    ADAPT_START,
) = _rows(25, STATE_ROWS)
MEMBRANE_ROWS = (STATE_ROWS + 25) * LANES

# --- One layer of synaptic lines ----------------------------------------------------------------------------
(
    X_EXC,  # excitatory line in units of its saturation, kept at the middle of the coming step
    X_INH,
    DECAY_EXC,
    DECAY_INH,
    AMPLITUDE_EXC,  # voltage gained per step when the input is saturated
    AMPLITUDE_INH,
    PART_EXC,  # what an event inside this step adds to the line for this step alone
    PART_INH,
    RATE_EXC,  # h / tau
    RATE_INH,
    COBA_EXC,  # conductance per step when the input is saturated
    COBA_INH,
    COBA_OFFSET_EXC,  # and its current towards the reversal potential at V = 0
    COBA_OFFSET_INH,
    BEAT_EXC,  # h / tau_mem - h / tau_syn
    BEAT_INH,
) = _rows(16)
LAYER_ROWS = 16 * LANES


Index = int | np.int64  # a kernel is compiled for each of both that it meets


def aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros that begin at a cache line, so that no vector straddles two: that takes twice as long."""
    size = math.prod(shape)
    line = 64 // np.dtype(np.float32).itemsize
    room = np.zeros(size + line, dtype=np.float32)
    start = -(room.ctypes.data // room.itemsize) % line
    return room[start : start + size].reshape(shape)


# --- Features of a block ------------------------------------------------------------------------------------
CONDUCTANCE_MODE = 1
WITH_ADAPTATION = 2
WITH_EXPONENTIAL = 4
