"""Integration of neurons forward in time.

The order of operations is that of the reference, without fused multiply-add, so that both give the same
float32 values. `layout` tells why all rows of a block lie in one flat array.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import inner_kernel, kernel
from hxtorch.shapes import F32, I32, I64
from hxtorch.snn.functional.kernels import layout as at
from hxtorch.snn.functional.kernels.arguments import (
    Chip,
    Computed,
    Equations,
    ForwardRoom,
    ForwardTerms,
    Lists,
    Received,
    Sizes,
)
from hxtorch.snn.functional.kernels.compress import list_row
from hxtorch.snn.functional.kernels.recurrent import add_recurrent
from hxtorch.snn.functional.kernels.sparse import TOO_MANY, sum_row

# Globals become constants of the machine code: here the beginnings of the rows.
BLOCK, STRIDE, PARAMETERS = at.BLOCK, at.STRIDE, at.PARAMETERS
LEAK, DECAY, GAIN, CONDUCTANCE = at.LEAK * STRIDE, at.DECAY * STRIDE, at.GAIN * STRIDE, at.CONDUCTANCE * STRIDE
THRESHOLD, RESET, REFRACTORY = at.THRESHOLD * STRIDE, at.RESET * STRIDE, at.REFRACTORY * STRIDE
EXP_GAIN, EXP_SLOPE, EXP_THRESHOLD = at.EXP_GAIN * STRIDE, at.EXP_SLOPE * STRIDE, at.EXP_THRESHOLD * STRIDE
ADAPT_DECAY, ADAPT_PULL, ADAPT_STEP = at.ADAPT_DECAY * STRIDE, at.ADAPT_PULL * STRIDE, at.ADAPT_STEP * STRIDE
V, CURRENT, W, WAIT = at.AT_V * STRIDE, at.AT_CURRENT * STRIDE, at.AT_W * STRIDE, at.AT_WAIT * STRIDE
Z, D, BEFORE = at.AT_SPIKE * STRIDE, at.AT_DRIVE * STRIDE, at.AT_BEFORE * STRIDE
LEAKY, FIRE, EXPONENTIAL, ADAPTATION = at.LEAKY, at.FIRE, at.EXPONENTIAL, at.ADAPTATION
REFRACTORY_PERIOD = at.REFRACTORY_PERIOD
STATE_V, STATE_CURRENT, STATE_W, STATE_WAIT = at.V, at.CURRENT, at.W, at.WAIT
SPIKED, CLAMPED = at.SPIKED, at.CLAMPED
ZERO, ONE = np.float32(0), np.float32(1)
LARGEST_EXPONENT, OVERSHOOT = np.float32(at.LARGEST_EXPONENT), np.float32(at.OVERSHOOT)


@inner_kernel()
def gather(source: F32, first: int, n: int, target: F32) -> None:
    """Columns of `source` (PARAMETERS, period) for the `n` lanes from `first` on, into a block."""
    period = source.shape[1]
    for row in range(PARAMETERS):
        values = source[row]
        begin = row * STRIDE
        if period == 1:
            for k in range(n):
                target[begin + k] = values[0]
        else:
            column = first % period
            for k in range(n):
                target[begin + k] = values[column]
                column += 1
                if column == period:
                    column = 0


@inner_kernel()
def load(s: F32, row: int, source: F32, n: int) -> None:
    """Copy `source` (n,) into a row of a block."""
    for k in range(n):
        s[row + k] = source[k]


@inner_kernel()
def store(s: F32, row: int, target: F32, n: int) -> None:
    """Copy a row of a block into `target` (n,)."""
    for k in range(n):
        target[k] = s[row + k]


@inner_kernel()
def fire_plainly(s: F32, n: int) -> None:
    """Membrane, spikes and reset of leaky neurons without further terms and without chip."""
    for k in range(n):
        v = s[V + k]
        v = v + s[GAIN + k] * (s[CURRENT + k] + s[CONDUCTANCE + k] * (s[LEAK + k] - v))
        fired = v - s[THRESHOLD + k] > ZERO
        s[BEFORE + k] = v
        s[Z + k] = ONE if fired else ZERO
        s[V + k] = s[RESET + k] if fired else v


@inner_kernel()
def move_membrane(s: F32, n: int, leaky: bool, exponential: bool, adaptive: bool) -> None:
    """One step of the membrane, before reset."""
    if leaky:
        for k in range(n):
            s[D + k] = s[CURRENT + k] + s[CONDUCTANCE + k] * (s[LEAK + k] - s[V + k])
    else:
        for k in range(n):
            s[D + k] = s[CURRENT + k]
    if exponential:
        for k in range(n):
            v, peak = s[V + k], s[THRESHOLD + k]
            exponent = (min(v, peak) - s[EXP_THRESHOLD + k]) / s[EXP_SLOPE + k]
            term = s[EXP_GAIN + k] * np.exp(min(exponent, LARGEST_EXPONENT))
            room = max(peak + OVERSHOOT * abs(peak - s[LEAK + k]) - v, ZERO)
            s[D + k] += room / s[GAIN + k] if s[GAIN + k] * term > room else term
    if adaptive:
        for k in range(n):
            s[D + k] -= s[W + k]
    for k in range(n):
        v = s[V + k] + s[GAIN + k] * s[D + k]
        s[V + k] = v
        s[BEFORE + k] = v


@inner_kernel()
def adapt(s: F32, n: int, fire: bool) -> None:
    """One step of the adaptation, after spikes were found and before the reset."""
    for k in range(n):
        s[D + k] = s[ADAPT_PULL + k] * (s[V + k] - s[LEAK + k])
    for k in range(n):
        s[W + k] = s[W + k] * s[ADAPT_DECAY + k] + s[D + k]
    if fire:
        for k in range(n):
            s[W + k] += s[ADAPT_STEP + k] * s[Z + k]


@inner_kernel()
def mark(s: F32, n: int, marks: NDArray[np.uint8]) -> None:
    """Note who fired and who is within the refractory period, before the latter is counted on."""
    for k in range(n):
        marks[k] = (SPIKED if s[Z + k] != ZERO else 0) | (CLAMPED if s[WAIT + k] > ZERO else 0)


@inner_kernel()
def wait(s: F32, n: int, silence: bool) -> None:
    """The refractory period: the membrane stays at reset, no spike leaves if `silence`."""
    for k in range(n):
        clamped = s[WAIT + k] > ZERO
        s[V + k] = s[RESET + k] if clamped else s[V + k]
        s[Z + k] = ZERO if clamped and silence else s[Z + k]
    for k in range(n):
        left = max(s[WAIT + k] - ONE, ZERO)
        s[WAIT + k] = s[REFRACTORY + k] if s[Z + k] != ZERO else left


@inner_kernel()
def receive(s: F32, n: int, x: F32) -> None:
    """One step of the synaptic current with the input `x` (n,)."""
    for k in range(n):
        s[CURRENT + k] = s[CURRENT + k] * s[DECAY + k] + x[k]


@inner_kernel(inline=True)
def list_spikes(
    spikes: F32,
    first: int,
    end: int,
    step: int,
    size: int,
    start: I64,
    stop: I64,
    columns: I32,
    place: int,
    limit: int,
) -> int:
    """List the spikes of the lanes first..end-1, whole batch entries, in ``columns[place:limit]``.

    Returns where they end; if the room is too small, `stop` of a row says `TOO_MANY`.
    """
    entries = spikes.shape[0] // size
    for entry in range(first // size, end // size):
        row = step * entries + entry
        if place + size > limit:
            stop[row] = TOO_MANY
            return limit
        start[row] = place
        place = list_row(spikes, entry * size, size, columns, place)
        stop[row] = place
    return place


@inner_kernel(inline=True)
def begin_group(g0: int, g1: int, parameters: F32, state: F32, blocks: F32) -> None:
    """Parameters and states of the lanes g0..g1-1 into their blocks."""
    for m0 in range(g0, g1, BLOCK):
        m1 = min(m0 + BLOCK, g1)
        s = blocks[(m0 - g0) // BLOCK]
        gather(parameters, m0, m1 - m0, s)
        load(s, V, state[STATE_V, m0:m1], m1 - m0)
        load(s, CURRENT, state[STATE_CURRENT, m0:m1], m1 - m0)
        load(s, W, state[STATE_W, m0:m1], m1 - m0)
        load(s, WAIT, state[STATE_WAIT, m0:m1], m1 - m0)


@inner_kernel(inline=True)
def end_group(g0: int, g1: int, last: F32, blocks: F32) -> None:
    """States of the lanes g0..g1-1 out of their blocks."""
    for m0 in range(g0, g1, BLOCK):
        m1 = min(m0 + BLOCK, g1)
        s = blocks[(m0 - g0) // BLOCK]
        store(s, V, last[STATE_V, m0:m1], m1 - m0)
        store(s, CURRENT, last[STATE_CURRENT, m0:m1], m1 - m0)
        store(s, W, last[STATE_W, m0:m1], m1 - m0)
        store(s, WAIT, last[STATE_WAIT, m0:m1], m1 - m0)


@inner_kernel(inline=True)
def fire_block(s: F32, t: int, m0: int, m1: int, terms: ForwardTerms, chip: Chip) -> None:
    """Membrane, spikes, adaptation and reset of a block, with the values of the chip where there are some."""
    n = m1 - m0
    move_membrane(s, n, terms.leaky, terms.exponential, terms.adaptive)
    if terms.with_v:
        load(s, V, chip.v[t, m0:m1], n)
        load(s, BEFORE, chip.v[t, m0:m1], n)
    if terms.with_z:
        load(s, Z, chip.z[t, m0:m1], n)
    elif terms.fire:
        for k in range(n):
            s[Z + k] = ONE if s[V + k] - s[THRESHOLD + k] > ZERO else ZERO
    if terms.adaptive:
        adapt(s, n, terms.fire)
        if terms.with_w:
            load(s, W, chip.w[t, m0:m1], n)
    if terms.fire and not terms.with_v:
        for k in range(n):
            s[V + k] = s[RESET + k] if s[Z + k] != ZERO else s[V + k]


@inner_kernel(inline=True)
def add_inputs(
    t: int, g0: int, g1: int, entry_size: int, received: Received, equations: Equations, z: F32, room: ForwardRoom
) -> None:
    """The row ``room.total`` becomes what arrives at the lanes g0..g1-1, where it is a sum over spikes."""
    total, recurrent = room.total, equations.recurrent
    if received.spikes.start.shape[0] > 0:
        entries = equations.state.shape[1] // entry_size
        for first in range(g0, g1, entry_size):
            row = t * entries + first // entry_size
            out = total[first - g0 : first - g0 + entry_size]
            sum_row(
                received.spikes.start, received.spikes.stop, received.spikes.columns, received.weights, row, out
            )
    elif recurrent.shape[0] > 0:
        for k in range(g1 - g0):
            total[k] = ZERO
    if recurrent.shape[0] > 0:
        add_recurrent(z[t, g0:g1], recurrent, room.fired, total)
        if received.x.shape[0] > 0:
            row_x = received.x[t, g0:g1]
            for k in range(g1 - g0):
                total[k] = row_x[k] + total[k]


@inner_kernel(inline=True)
def terms_of(options: I64, chip: Chip) -> ForwardTerms:
    """What a step has to do."""
    leaky, fire, adaptive = options[LEAKY] != 0, options[FIRE] != 0, options[ADAPTATION] != 0
    exponential, refractory = options[EXPONENTIAL] != 0, options[REFRACTORY_PERIOD] != 0
    with_v, with_z, with_w = chip.v.shape[0] > 0, chip.z.shape[0] > 0, chip.w.shape[0] > 0
    plain = leaky and fire and not (exponential or adaptive or with_v or with_z)
    return ForwardTerms(plain, leaky, fire, exponential, adaptive, refractory, with_v, with_z, with_w)


@kernel()
def integrate_lanes(
    sizes: Sizes,
    received: Received,
    equations: Equations,
    chip: Chip,
    computed: Computed,
    listed: Lists,
    room: ForwardRoom,
    begin: int,
    end: int,
) -> None:
    """Integrate the lanes begin..end-1, a group of them at a time.

    Without input the current only decays; so it is where membrane and spikes come from the chip and nobody asks
    for the current. Outputs without rows are not written.

    With `listed`, the spikes are listed too, as far as its `columns` have room. Where input or output spikes are
    listed, or neurons are connected, the range and the group are whole batch entries.
    """
    terms = terms_of(equations.options, chip)
    summed = received.spikes.start.shape[0] > 0 or equations.recurrent.shape[0] > 0
    listing, columns, lanes = listed.start.shape[0] > 0, listed.columns, equations.state.shape[1]
    place, limit = columns.shape[0] * begin // lanes, columns.shape[0] * end // lanes
    blocks = room.blocks
    for g0 in range(begin, end, sizes.group):
        g1 = min(g0 + sizes.group, end)
        begin_group(g0, g1, equations.parameters, equations.state, blocks)
        for t in range(sizes.steps):
            for m0 in range(g0, g1, BLOCK):
                m1 = min(m0 + BLOCK, g1)
                n, s = m1 - m0, blocks[(m0 - g0) // BLOCK]
                if terms.plain:
                    fire_plainly(s, n)
                else:
                    fire_block(s, t, m0, m1, terms, chip)
                if terms.fire and computed.marks.shape[0] > 0:
                    mark(s, n, computed.marks[t, m0:m1])
                if terms.refractory:
                    wait(s, n, not terms.with_z)
                    if terms.with_v:
                        load(s, V, chip.v[t, m0:m1], n)
                if computed.before.shape[0] > 0:
                    store(s, BEFORE, computed.before[t, m0:m1], n)
                if computed.z.shape[0] > 0:
                    store(s, Z, computed.z[t, m0:m1], n)
            if listing:
                place = list_spikes(
                    computed.z[t], g0, g1, t, sizes.entry_size, listed.start, listed.stop, columns, place, limit
                )
            if summed:
                add_inputs(t, g0, g1, sizes.entry_size, received, equations, computed.z, room)
            for m0 in range(g0, g1, BLOCK):
                m1 = min(m0 + BLOCK, g1)
                n, s = m1 - m0, blocks[(m0 - g0) // BLOCK]
                if summed:
                    receive(s, n, room.total[m0 - g0 : m1 - g0])
                elif received.x.shape[0] > 0:
                    receive(s, n, received.x[t, m0:m1])
                if computed.i.shape[0] > 0:
                    store(s, CURRENT, computed.i[t, m0:m1], n)
                if computed.v.shape[0] > 0:
                    store(s, V, computed.v[t, m0:m1], n)
                if computed.w.shape[0] > 0:
                    store(s, W, computed.w[t, m0:m1], n)
        end_group(g0, g1, computed.last, blocks)
