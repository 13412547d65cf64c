"""Integration of neurons forward in time.

The order of operations is that of the reference, without fused multiply-add, so that both give the same
float32 values. Loops are short and touch few arrays each, which lets LLVM vectorise them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch.snn.functional.kernels import layout as at
from hxtorch.twin.kernels import kernel

F32 = NDArray[np.float32]
# Globals become constants of the machine code.
LEAK, DECAY, GAIN, CONDUCTANCE = at.LEAK, at.DECAY, at.GAIN, at.CONDUCTANCE
THRESHOLD, RESET = at.THRESHOLD, at.RESET
EXP_GAIN, EXP_SLOPE, EXP_THRESHOLD = at.EXP_GAIN, at.EXP_SLOPE, at.EXP_THRESHOLD
ADAPT_DECAY, ADAPT_PULL, ADAPT_STEP = at.ADAPT_DECAY, at.ADAPT_PULL, at.ADAPT_STEP
REFRACTORY, PARAMETERS = at.REFRACTORY, at.PARAMETERS
LEAKY, FIRE, EXPONENTIAL, ADAPTATION = at.LEAKY, at.FIRE, at.EXPONENTIAL, at.ADAPTATION
REFRACTORY_PERIOD = at.REFRACTORY_PERIOD
V, CURRENT, W, WAIT = at.V, at.CURRENT, at.W, at.WAIT
SPIKED, CLAMPED = at.SPIKED, at.CLAMPED
BLOCK, BATCH_BLOCK = at.BLOCK, at.BATCH_BLOCK
ZERO, ONE = np.float32(0), np.float32(1)


@kernel()
def gather(source: F32, first: int, target: F32) -> None:
    """Columns of `source` (K, period) for the lanes from `first` on."""
    period = source.shape[1]
    for row in range(source.shape[0]):
        line = target[row]
        values = source[row]
        if period == 1:
            for k in range(target.shape[1]):
                line[k] = values[0]
        else:
            column = first % period
            for k in range(target.shape[1]):
                line[k] = values[column]
                column += 1
                if column == period:
                    column = 0


@kernel()
def add_recurrent(spikes: F32, weights: F32, out: F32) -> None:
    """Add to `out` the rows of `weights` (N pre, N post) of the neurons that spiked, for each batch entry."""
    size = weights.shape[0]
    for entry in range(spikes.shape[0] // size):
        z = spikes[entry * size : (entry + 1) * size]
        o = out[entry * size : (entry + 1) * size]
        for n in range(size):
            if z[n] != ZERO:
                factor = z[n]
                line = weights[n]
                for k in range(size):
                    o[k] += factor * line[k]


@kernel(allocates=True)
def integrate_lanes(
    x: F32,
    parameters: F32,
    options: NDArray[np.int64],
    recurrent: F32,
    state: F32,
    v_chip: F32,
    z_chip: F32,
    w_chip: F32,
    out_v: F32,
    out_i: F32,
    out_z: F32,
    out_w: F32,
    out_pre: F32,
    out_marks: NDArray[np.uint8],
    last: F32,
    begin: int,
    end: int,
) -> None:
    """Integrate the lanes begin..end-1 of `x` (T, lanes).

    `state` and `last` (STATES, lanes) are the states before the first and after the last step. `recurrent`
    holds the transposed recurrent weights (N, N), or nothing; the range then consists of whole batch entries.
    `out_pre` takes the membrane as it was compared with the threshold.
    """
    steps = x.shape[0]
    leaky, fire, adaptive = options[LEAKY] != 0, options[FIRE] != 0, options[ADAPTATION] != 0
    exponential, refractory = options[EXPONENTIAL] != 0, options[REFRACTORY_PERIOD] != 0
    size = recurrent.shape[0]
    block = BATCH_BLOCK * size if size > 0 else BLOCK
    width = min(block, end - begin)
    p_all = np.empty((PARAMETERS, width), np.float32)
    state_all = np.empty((5, width), np.float32)
    drive_all = np.empty(width, np.float32)
    x_all = np.empty(width, np.float32)

    for m0 in range(begin, end, block):
        m1 = min(m0 + block, end)
        n = m1 - m0
        p = p_all[:, :n]
        gather(parameters, m0, p)
        leak, decay, gain, g = p[LEAK], p[DECAY], p[GAIN], p[CONDUCTANCE]
        threshold, reset = p[THRESHOLD], p[RESET]
        d = drive_all[:n]
        v, i, w = state_all[V, :n], state_all[CURRENT, :n], state_all[W, :n]
        wait, z = state_all[WAIT, :n], state_all[4, :n]
        v[:] = state[V, m0:m1]
        i[:] = state[CURRENT, m0:m1]
        w[:] = state[W, m0:m1]
        wait[:] = state[WAIT, m0:m1]

        for t in range(steps):
            if leaky:
                for k in range(n):
                    d[k] = i[k] + g[k] * (leak[k] - v[k])
            else:
                for k in range(n):
                    d[k] = i[k]
            if exponential:
                scale, slope, start = p[EXP_GAIN], p[EXP_SLOPE], p[EXP_THRESHOLD]
                for k in range(n):
                    d[k] = d[k] + scale[k] * np.exp((v[k] - start[k]) / slope[k])
            if adaptive:
                for k in range(n):
                    d[k] = d[k] - w[k]
            for k in range(n):
                v[k] = v[k] + gain[k] * d[k]
            if v_chip.shape[0] > 0:
                v[:] = v_chip[t, m0:m1]
            if out_pre.shape[0] > 0:
                out_pre[t, m0:m1] = v
            if fire:
                if z_chip.shape[0] > 0:
                    z[:] = z_chip[t, m0:m1]
                else:
                    for k in range(n):
                        z[k] = ONE if v[k] - threshold[k] > ZERO else ZERO
            if adaptive:
                keep, pull, step = p[ADAPT_DECAY], p[ADAPT_PULL], p[ADAPT_STEP]
                for k in range(n):
                    d[k] = pull[k] * (v[k] - leak[k])
                for k in range(n):
                    w[k] = w[k] * keep[k] + d[k]
                if fire:
                    for k in range(n):
                        w[k] = w[k] + step[k] * z[k]
                if w_chip.shape[0] > 0:
                    w[:] = w_chip[t, m0:m1]
            if fire:
                if out_marks.shape[0] > 0:
                    marks = out_marks[t, m0:m1]
                    for k in range(n):
                        marks[k] = (SPIKED if z[k] != ZERO else 0) | (CLAMPED if wait[k] > ZERO else 0)
                if v_chip.shape[0] == 0:
                    for k in range(n):
                        v[k] = reset[k] if z[k] != ZERO else v[k]
                if refractory:
                    for k in range(n):
                        v[k] = reset[k] if wait[k] > ZERO else v[k]
                    if v_chip.shape[0] > 0:
                        v[:] = v_chip[t, m0:m1]
                    if z_chip.shape[0] == 0:
                        for k in range(n):
                            z[k] = ZERO if wait[k] > ZERO else z[k]
                    pause = p[REFRACTORY]
                    for k in range(n):
                        left = max(wait[k] - ONE, ZERO)
                        wait[k] = pause[k] if z[k] != ZERO else left
                if out_z.shape[0] > 0:
                    out_z[t, m0:m1] = z
            row = x[t, m0:m1]
            if size > 0:
                total = x_all[:n]
                for k in range(n):
                    total[k] = ZERO
                add_recurrent(z, recurrent, total)
                for k in range(n):
                    total[k] = row[k] + total[k]
                row = total
            for k in range(n):
                i[k] = i[k] * decay[k] + row[k]
            if out_i.shape[0] > 0:
                out_i[t, m0:m1] = i
            if out_v.shape[0] > 0:
                out_v[t, m0:m1] = v
            if out_w.shape[0] > 0:
                out_w[t, m0:m1] = w

        last[V, m0:m1] = v
        last[CURRENT, m0:m1] = i
        last[W, m0:m1] = w
        last[WAIT, m0:m1] = wait
