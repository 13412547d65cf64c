"""What the kernels are given, by name: groups of arrays, so that no two of them can be swapped without a word.

An array without rows stands for "not there". T time steps, B batch entries, N neurons; lanes are B*N.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hxtorch.shapes import F32, I32, I64, U8

NOTHING = np.empty((0, 0), np.float32)
NO_MARKS = np.empty((0, 0), np.uint8)
NO_PARTS = np.empty((0, 0, 0), np.float32)
NO_PLACES, NO_COLUMNS, NO_MARK = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.uint8)


class Sizes(NamedTuple):
    """Time `steps`, neurons of a batch entry (`entry_size`), and lanes that are integrated together (`group`)."""

    steps: int
    entry_size: int
    group: int


class Lists(NamedTuple):
    """Spikes by row r = t*B + b: those of a row are ``columns[start[r]:stop[r]]``."""

    start: I64
    stop: I64
    columns: I32


NO_LISTS = Lists(NO_PLACES, NO_PLACES, NO_COLUMNS)


class Received(NamedTuple):
    """The input: `x` (T, lanes), or the sum of the rows of `weights` (inputs, padded(neurons)) of the `spikes`."""

    x: F32
    spikes: Lists
    weights: F32


class Equations(NamedTuple):
    """`parameters` (PARAMETERS, period) and `options` as in `layout`, weights among the neurons, and the start.

    `recurrent` (N, N) is transposed in the forward pass. `state` (STATES, lanes) is that before the first step.
    """

    parameters: F32
    options: I64
    recurrent: F32
    state: F32


class Chip(NamedTuple):
    """What was measured on the chip, (T, lanes) each: membrane, spikes, adaptation."""

    v: F32
    z: F32
    w: F32


class Computed(NamedTuple):
    """What the forward pass writes, (T, lanes) each, and the `last` state (STATES, lanes).

    `before` takes the membrane as it was compared with the threshold, `marks` who fired and who was refractory.
    """

    v: F32
    i: F32
    z: F32
    w: F32
    before: F32
    marks: U8
    last: F32


class ForwardTerms(NamedTuple):
    """Which terms and values there are in a step of the forward pass: what every block of lanes has to do."""

    plain: bool  # leaky neurons that fire, without further terms and without chip
    leaky: bool
    fire: bool
    exponential: bool
    adaptive: bool
    refractory: bool
    with_v: bool
    with_z: bool
    with_w: bool


class ForwardRoom(NamedTuple):
    """Room to work: `blocks` (blocks of a group, FORWARD_ROWS * STRIDE), `total` (group,), `fired` (N,)."""

    blocks: F32
    total: F32
    fired: I64


class OutputGradients(NamedTuple):
    """Gradients of what the forward pass gave, (T, lanes) each, and of the `last` state (STATES, lanes)."""

    v: F32
    i: F32
    z: F32
    w: F32
    last: F32


class Known(NamedTuple):
    """What the backward pass needs of the forward pass, (T, lanes) each.

    `v`, `i` and `w` are needed for gradients of parameters, `v` for the exponential term as well; `marks` where
    they cannot be told from `before`.
    """

    v_chip: F32
    before: F32
    marks: U8
    v: F32
    i: F32
    w: F32


class InputGradients(NamedTuple):
    """What the backward pass writes: gradients of `x` (T, lanes), `state` (STATES, lanes) and `parameters`.

    Those of `parameters` (PARAMETERS, lanes) have no rows where nobody asks for them, `x` likewise.
    """

    x: F32
    state: F32
    parameters: F32


class BackwardTerms(NamedTuple):
    """Which terms and values there are in a step of the backward pass."""

    plain: bool  # neurons that fire, without adaptation, marks and chip; only their input is asked for
    leaky: bool
    fire: bool
    exponential: bool
    adaptive: bool
    refractory: bool
    with_v: bool
    at_spikes: bool
    trained: bool
    method: int  # the surrogate gradient


class BackwardRoom(NamedTuple):
    """Room to work: `blocks` (blocks of a group, BACKWARD_ROWS * STRIDE), `total`, `behind` (group,).

    And what stands for arrays that are not there.
    """

    blocks: F32
    total: F32
    behind: F32
    no_marks: U8
    nothing: F32


class Events(NamedTuple):
    """What EventProp starts from, (T, lanes) each: spikes, the current that moved the membrane, and the gradient.

    The row of `current` that moved the membrane in the step of a spike is the one before that of the spike; `grad`
    is the gradient of the spikes.
    """

    spikes: F32
    current: F32
    grad: F32


class AdjointParameters(NamedTuple):
    """Parameters (lanes,) of the adjoint equations; the slope at the threshold is taken as `floor` at least."""

    leak: F32
    reset: F32
    threshold: F32
    rate_syn: F32
    rate_mem: F32
    floor: F32


class Adjoint(NamedTuple):
    """Adjoint states of membrane and current, (T, lanes) each."""

    v: F32
    i: F32
