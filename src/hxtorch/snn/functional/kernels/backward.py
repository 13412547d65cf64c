"""Back-propagation through time for `forward.integrate_lanes`: one pass over the lanes, last step first.

`layout` tells why all rows of a block lie in one flat array.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import inner_kernel, kernel
from hxtorch.shapes import F32, I64
from hxtorch.snn.functional.kernels import layout as at
from hxtorch.snn.functional.kernels.arguments import (
    BackwardRoom,
    BackwardTerms,
    Equations,
    InputGradients,
    Known,
    Lists,
    OutputGradients,
    Sizes,
)
from hxtorch.snn.functional.kernels.forward import gather, load, store
from hxtorch.snn.functional.kernels.parameters import add_parameter_gradients
from hxtorch.snn.functional.kernels.recurrent import multiply_dense
from hxtorch.snn.functional.kernels.sparse import scatter_row
from hxtorch.snn.functional.kernels.surrogate import SUPERSPIKE, derivative

# Globals become constants of the machine code: here the beginnings of the rows.
BLOCK, STRIDE, PARAMETERS = at.BLOCK, at.STRIDE, at.PARAMETERS
LEAK, DECAY, GAIN, CONDUCTANCE = at.LEAK * STRIDE, at.DECAY * STRIDE, at.GAIN * STRIDE, at.CONDUCTANCE * STRIDE
THRESHOLD = at.THRESHOLD * STRIDE
EXP_GAIN, EXP_SLOPE, EXP_THRESHOLD = at.EXP_GAIN * STRIDE, at.EXP_SLOPE * STRIDE, at.EXP_THRESHOLD * STRIDE
ADAPT_DECAY, ADAPT_PULL, ADAPT_STEP = at.ADAPT_DECAY * STRIDE, at.ADAPT_PULL * STRIDE, at.ADAPT_STEP * STRIDE
GRAD, GRAD_RESET = at.AT_GRAD * STRIDE, (at.AT_GRAD + at.RESET) * STRIDE
GV, GI, GW, GZ = (
    at.AT_GRAD_V * STRIDE,
    at.AT_GRAD_CURRENT * STRIDE,
    at.AT_GRAD_W * STRIDE,
    at.AT_GRAD_SPIKE * STRIDE,
)
SLOPE, EXP = at.AT_SLOPE * STRIDE, at.AT_EXP * STRIDE
FIRED, CLAMPED = at.AT_FIRED * STRIDE, at.AT_CLAMPED * STRIDE
LEAKY, FIRE, EXPONENTIAL, ADAPTATION = at.LEAKY, at.FIRE, at.EXPONENTIAL, at.ADAPTATION
REFRACTORY_PERIOD, METHOD, AT_SPIKES = at.REFRACTORY_PERIOD, at.METHOD, at.THRESHOLD_AT_SPIKES
STATE_V, STATE_CURRENT, STATE_W = at.V, at.CURRENT, at.W
BIT_SPIKED, BIT_CLAMPED = at.SPIKED, at.CLAMPED
ZERO, ONE = np.float32(0), np.float32(1)
LARGEST_EXPONENT, OVERSHOOT = np.float32(at.LARGEST_EXPONENT), np.float32(at.OVERSHOOT)
FAST = {"contract", "nsz", "arcp"}


@inner_kernel()
def add(s: F32, row: int, values: F32, n: int) -> None:
    """Add `values` (n,) to a row of a block."""
    for k in range(n):
        s[row + k] += values[k]


@inner_kernel()
def clear(s: F32, row: int, n: int) -> None:
    """Set a row of a block to zero."""
    for k in range(n):
        s[row + k] = ZERO


@inner_kernel(fastmath=FAST)
def through_plain_spikes(s: F32, alpha: np.float32, before: F32, n: int) -> None:
    """Reset and SuperSpike gradient of neurons without further terms, with GZ the gradient of the spikes."""
    for k in range(n):
        distance = before[k] - s[THRESHOLD + k]
        root = ONE / (alpha * abs(distance) + ONE)
        kept = ZERO if distance > ZERO else s[GV + k]
        s[GV + k] = kept + root * root * s[GZ + k]


@inner_kernel()
def find_marks(s: F32, before: F32, marks: NDArray[np.uint8], n: int) -> None:
    """Rows of 0 and 1 that say who fired and who was within the refractory period."""
    if marks.shape[0] > 0:
        for k in range(n):
            s[FIRED + k] = ONE if marks[k] & BIT_SPIKED else ZERO
        for k in range(n):
            s[CLAMPED + k] = ONE if marks[k] & BIT_CLAMPED else ZERO
    else:
        for k in range(n):
            s[FIRED + k] = ONE if before[k] - s[THRESHOLD + k] > ZERO else ZERO


@inner_kernel()
def through_reset(s: F32, n: int, row: int, trained: bool) -> None:
    """No gradient passes the reset of the neurons marked in `row`; it belongs to the reset potential."""
    if trained:
        for k in range(n):
            s[GRAD_RESET + k] += s[GV + k] if s[row + k] != ZERO else ZERO
    for k in range(n):
        s[GV + k] = ZERO if s[row + k] != ZERO else s[GV + k]


@inner_kernel()
def raise_to_threshold(s: F32, membrane: F32, n: int) -> None:
    """Write the membrane into the row EXP, which is free then; where the neuron fired, the threshold at least."""
    for k in range(n):
        low = s[FIRED + k] != ZERO and membrane[k] < s[THRESHOLD + k]
        s[EXP + k] = s[THRESHOLD + k] if low else membrane[k]


@inner_kernel(fastmath=FAST)
def through_adaptation(s: F32, n: int, before: F32, old: F32, fire: bool, trained: bool) -> None:
    """The step of the adaptation; `old` (n,) is its value before the step."""
    if trained:
        for k in range(n):
            s[GRAD + ADAPT_DECAY + k] += s[GW + k] * old[k]
        for k in range(n):
            s[GRAD + ADAPT_PULL + k] += s[GW + k] * (before[k] - s[LEAK + k])
        for k in range(n):
            s[GRAD + LEAK + k] -= s[GW + k] * s[ADAPT_PULL + k]
        if fire:
            for k in range(n):
                s[GRAD + ADAPT_STEP + k] += s[GW + k] * s[FIRED + k]
    if fire:
        for k in range(n):
            s[GZ + k] += s[ADAPT_STEP + k] * s[GW + k]
    for k in range(n):
        s[GV + k] += s[ADAPT_PULL + k] * s[GW + k]


@inner_kernel(fastmath=FAST)
def through_exponential(s: F32, n: int, v_old: F32) -> None:
    """Turn the exponential in the row EXP into the gradient of the membrane (n,) before the step.

    The slope of the term works like a negative conductance; a term that fills the room up to the limit takes away
    what the membrane had. Beyond the bounds there is none.
    """
    for k in range(n):
        v, peak = v_old[k], s[THRESHOLD + k]
        term = s[EXP_GAIN + k] * s[EXP + k]
        room = max(peak + OVERSHOOT * abs(peak - s[LEAK + k]) - v, ZERO)
        slope = s[GV + k] * s[GAIN + k] * (term / s[EXP_SLOPE + k])
        inside = v <= peak and (v - s[EXP_THRESHOLD + k]) / s[EXP_SLOPE + k] <= LARGEST_EXPONENT
        free = slope if inside else ZERO
        filled = -s[GV + k] if room > ZERO else ZERO
        s[EXP + k] = filled if s[GAIN + k] * term > room else free


@inner_kernel(fastmath=FAST)
def through_membrane(s: F32, n: int, leaky: bool) -> None:
    """The step of membrane and current."""
    if leaky:
        for k in range(n):
            d = s[GV + k] * s[GAIN + k]
            s[GI + k] = s[GI + k] * s[DECAY + k] + d
            s[GV + k] -= s[CONDUCTANCE + k] * d
    else:
        for k in range(n):
            s[GI + k] = s[GI + k] * s[DECAY + k] + s[GV + k] * s[GAIN + k]


@inner_kernel(inline=True)
def begin_group(g0: int, g1: int, parameters: F32, grad_last: F32, trained: bool, blocks: F32) -> None:
    """Parameters of the lanes g0..g1-1 into their blocks, and the gradients of the last state."""
    for m0 in range(g0, g1, BLOCK):
        m1 = min(m0 + BLOCK, g1)
        n = m1 - m0
        s = blocks[(m0 - g0) // BLOCK]
        gather(parameters, m0, n, s)
        if trained:
            for row in range(PARAMETERS):
                clear(s, GRAD + row * STRIDE, n)
        if grad_last.shape[0] > 0:
            load(s, GV, grad_last[STATE_V, m0:m1], n)
            load(s, GI, grad_last[STATE_CURRENT, m0:m1], n)
            load(s, GW, grad_last[STATE_W, m0:m1], n)
        else:
            clear(s, GV, n)
            clear(s, GI, n)
            clear(s, GW, n)


@inner_kernel(inline=True)
def end_group(g0: int, g1: int, of_state: F32, of_parameters: F32, blocks: F32) -> None:
    """Gradients of state and parameters of the lanes g0..g1-1 out of their blocks."""
    for m0 in range(g0, g1, BLOCK):
        m1 = min(m0 + BLOCK, g1)
        n = m1 - m0
        s = blocks[(m0 - g0) // BLOCK]
        store(s, GV, of_state[STATE_V, m0:m1], n)
        store(s, GI, of_state[STATE_CURRENT, m0:m1], n)
        store(s, GW, of_state[STATE_W, m0:m1], n)
        if of_parameters.shape[0] > 0:
            for row in range(PARAMETERS):
                store(s, GRAD + row * STRIDE, of_parameters[row, m0:m1], n)


@inner_kernel(inline=True)
def give_inputs(t: int, g0: int, g1: int, grad_i: F32, grad_x: F32, summed: bool, total: F32, blocks: F32) -> None:
    """Gradients of what arrived at the lanes g0..g1-1, also as the row `total` if that is `summed`."""
    for m0 in range(g0, g1, BLOCK):
        m1 = min(m0 + BLOCK, g1)
        n = m1 - m0
        s = blocks[(m0 - g0) // BLOCK]
        if grad_i.shape[0] > 0:
            add(s, GI, grad_i[t, m0:m1], n)
        if grad_x.shape[0] > 0:
            store(s, GI, grad_x[t, m0:m1], n)
        if summed:
            store(s, GI, total[m0 - g0 : m1 - g0], n)


@inner_kernel(inline=True)
def gather_spikes(s: F32, t: int, m0: int, m1: int, grad_z: F32, behind: F32, connected: bool) -> None:
    """The gradient of the spikes of a block: from the recurrent weights, `behind` (n,), and from elsewhere."""
    n = m1 - m0
    if connected:
        load(s, GZ, behind, n)
        if grad_z.shape[0] > 0:
            add(s, GZ, grad_z[t, m0:m1], n)
    elif grad_z.shape[0] > 0:
        load(s, GZ, grad_z[t, m0:m1], n)
    else:
        clear(s, GZ, n)


@inner_kernel(inline=True)
def through_resets(s: F32, n: int, terms: BackwardTerms) -> None:
    """Reset and refractory period of a block, whose marks are found."""
    if terms.refractory:
        through_reset(s, n, CLAMPED, terms.trained)
        for k in range(n):
            s[GZ + k] = ZERO if s[CLAMPED + k] != ZERO else s[GZ + k]
    if not terms.with_v:
        through_reset(s, n, FIRED, terms.trained)


@inner_kernel(inline=True)
def through_surrogate(s: F32, n: int, before: F32, terms: BackwardTerms, alpha: np.float32) -> None:
    """The surrogate gradient of a block, whose membranes (n,) were `before`."""
    seen = before
    if terms.at_spikes:
        raise_to_threshold(s, before, n)
        seen = s[EXP : EXP + n]
    derivative(terms.method, alpha, seen, s, THRESHOLD, SLOPE, n)
    for k in range(n):
        s[SLOPE + k] *= s[GZ + k]
    for k in range(n):
        s[GV + k] += s[SLOPE + k]
    if terms.trained:
        for k in range(n):
            s[GRAD + THRESHOLD + k] -= s[SLOPE + k]


@inner_kernel(inline=True)
def through_parameters(s: F32, n: int, v_old: F32, i_old: F32, w_old: F32, terms: BackwardTerms) -> None:
    """Gradients of the parameters of a block, and the slope of the exponential term in the row EXP.

    Old values (n,) are those before the step.
    """
    if terms.exponential:
        for k in range(n):
            exponent = (min(v_old[k], s[THRESHOLD + k]) - s[EXP_THRESHOLD + k]) / s[EXP_SLOPE + k]
            s[EXP + k] = np.exp(min(exponent, LARGEST_EXPONENT))
    if terms.trained:
        add_parameter_gradients(
            s, n, v_old, i_old, w_old, terms.leaky, terms.exponential, terms.adaptive, terms.fire
        )
    if terms.exponential:
        through_exponential(s, n, v_old)


@inner_kernel(inline=True)
def terms_of(options: I64, with_v: bool, marked: bool, trained: bool) -> BackwardTerms:
    """What a step has to do."""
    leaky, fire, adaptive = options[LEAKY] != 0, options[FIRE] != 0, options[ADAPTATION] != 0
    exponential, refractory = options[EXPONENTIAL] != 0, options[REFRACTORY_PERIOD] != 0
    plain = fire and not (adaptive or trained or with_v or marked) and options[METHOD] == SUPERSPIKE
    at_spikes = with_v and options[AT_SPIKES] != 0
    return BackwardTerms(
        plain, leaky, fire, exponential, adaptive, refractory, with_v, at_spikes, trained, options[METHOD]
    )


@inner_kernel(inline=True)
def scatter_group(
    t: int, g0: int, g1: int, sizes: Sizes, lanes: int, arrived: Lists, total: F32, sums: F32
) -> None:
    """Add the gradients of what arrived at the lanes g0..g1-1, the row `total`, to those of the weights."""
    entries = lanes // sizes.entry_size
    for first in range(g0, g1, sizes.entry_size):
        row = t * entries + first // sizes.entry_size
        grad = total[first - g0 : first - g0 + sizes.entry_size]
        scatter_row(arrived.start, arrived.stop, arrived.columns, row, grad, sums)


@inner_kernel(fastmath=FAST)
def propagate_lanes(
    sizes: Sizes,
    alpha: np.float32,
    arrived: Lists,
    of_weights: F32,
    grads: OutputGradients,
    equations: Equations,
    known: Known,
    found: InputGradients,
    room: BackwardRoom,
    begin: int,
    end: int,
) -> None:
    """Gradients of the lanes begin..end-1, a group of them at a time.

    Where the input was summed from the spikes `arrived`, their gradient is added to `of_weights` (inputs,
    padded(neurons)); ``found.x`` may then have no rows.
    """
    blocks, total, behind, state = room.blocks, room.total, room.behind, equations.state
    trained, marked = found.parameters.shape[0] > 0, known.marks.shape[0] > 0
    summed, connected = of_weights.shape[0] > 0, equations.recurrent.shape[0] > 0
    terms = terms_of(equations.options, known.v_chip.shape[0] > 0, marked, trained)
    for g0 in range(begin, end, sizes.group):
        g1 = min(g0 + sizes.group, end)
        begin_group(g0, g1, equations.parameters, grads.last, trained, blocks)
        for t in range(sizes.steps - 1, -1, -1):
            give_inputs(t, g0, g1, grads.i, found.x, summed or connected, total, blocks)
            if summed:
                scatter_group(t, g0, g1, sizes, state.shape[1], arrived, total, of_weights)
            if connected:
                multiply_dense(total[: g1 - g0], equations.recurrent, behind)
            for m0 in range(g0, g1, BLOCK):
                m1 = min(m0 + BLOCK, g1)
                n, s = m1 - m0, blocks[(m0 - g0) // BLOCK]
                before = known.before[t, m0:m1]
                if grads.v.shape[0] > 0:
                    add(s, GV, grads.v[t, m0:m1], n)
                if terms.fire:
                    gather_spikes(s, t, m0, m1, grads.z, behind[m0 - g0 : m1 - g0], connected)
                if terms.plain:
                    through_plain_spikes(s, alpha, before, n)
                elif terms.fire:
                    find_marks(s, before, known.marks[t, m0:m1] if marked else room.no_marks, n)
                    through_resets(s, n, terms)
                w_old = known.w[t - 1, m0:m1] if trained and terms.adaptive and t > 0 else state[STATE_W, m0:m1]
                if terms.adaptive:
                    if grads.w.shape[0] > 0:
                        add(s, GW, grads.w[t, m0:m1], n)
                    through_adaptation(s, n, before, w_old, terms.fire, trained)
                if terms.fire and not terms.plain:
                    through_surrogate(s, n, before, terms, alpha)
                if terms.adaptive:
                    for k in range(n):
                        s[GW + k] = s[GW + k] * s[ADAPT_DECAY + k] - s[GV + k] * s[GAIN + k]
                if trained or terms.exponential:
                    v_old = known.v[t - 1, m0:m1] if t > 0 else state[STATE_V, m0:m1]
                    i_old = known.i[t - 1, m0:m1] if trained and t > 0 else state[STATE_CURRENT, m0:m1]
                    through_parameters(s, n, v_old, i_old, w_old, terms)
                through_membrane(s, n, terms.leaky)
                if terms.exponential:
                    add(s, GV, s[EXP : EXP + n], n)
        end_group(g0, g1, found.state, found.parameters, blocks)


@kernel(fastmath=FAST)
def propagate(
    sizes: Sizes,
    alpha: np.float32,
    arrived: Lists,
    parts: NDArray[np.float32],
    grads: OutputGradients,
    equations: Equations,
    known: Known,
    found: InputGradients,
    room: BackwardRoom,
    begin: int,
    end: int,
) -> None:
    """Gradients of the lanes begin..end-1; with `parts`, of the shares begin..end-1 of the batch entries.

    Every one of the `parts` (K, inputs, padded(neurons)) takes the gradient of the weights of its share.
    """
    shares = parts.shape[0]
    if shares == 0:
        propagate_lanes(sizes, alpha, arrived, room.nothing, grads, equations, known, found, room, begin, end)
        return
    entries = found.state.shape[1] // sizes.entry_size
    for share in range(begin, end):
        total = parts[share]
        for i in range(total.shape[0]):
            for k in range(total.shape[1]):
                total[i, k] = ZERO
        first = entries * share // shares * sizes.entry_size
        after = entries * (share + 1) // shares * sizes.entry_size
        propagate_lanes(sizes, alpha, arrived, total, grads, equations, known, found, room, first, after)
