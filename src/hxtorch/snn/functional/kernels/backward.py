"""Back-propagation through time for `forward.integrate_lanes`: one pass over the lanes, last step first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch.snn.functional.kernels import layout as at
from hxtorch.snn.functional.kernels.forward import gather
from hxtorch.snn.functional.kernels.surrogate import derivative
from hxtorch.twin.kernels import kernel

F32 = NDArray[np.float32]
LEAK, DECAY, GAIN, CONDUCTANCE = at.LEAK, at.DECAY, at.GAIN, at.CONDUCTANCE
THRESHOLD, RESET = at.THRESHOLD, at.RESET
EXP_GAIN, EXP_SLOPE, EXP_THRESHOLD = at.EXP_GAIN, at.EXP_SLOPE, at.EXP_THRESHOLD
ADAPT_DECAY, ADAPT_PULL, ADAPT_STEP = at.ADAPT_DECAY, at.ADAPT_PULL, at.ADAPT_STEP
PARAMETERS = at.PARAMETERS
LEAKY, FIRE, EXPONENTIAL, ADAPTATION = at.LEAKY, at.FIRE, at.EXPONENTIAL, at.ADAPTATION
REFRACTORY_PERIOD, METHOD = at.REFRACTORY_PERIOD, at.METHOD
V, CURRENT, W = at.V, at.CURRENT, at.W
SPIKED, CLAMPED = at.SPIKED, at.CLAMPED
BLOCK, BATCH_BLOCK = at.BLOCK, at.BATCH_BLOCK
ZERO = np.float32(0)
FAST = {"contract", "nsz"}


@kernel(fastmath=FAST)
def multiply_dense(g: F32, weights: F32, out: F32) -> None:
    """``out = g @ weights`` for each batch entry: g and out (entries*N,), weights (N post, N pre)."""
    size = weights.shape[0]
    for entry in range(g.shape[0] // size):
        line = g[entry * size : (entry + 1) * size]
        o = out[entry * size : (entry + 1) * size]
        for k in range(size):
            o[k] = ZERO
        whole = size - size % 4
        for j in range(0, whole, 4):
            a, b, c, d = line[j], line[j + 1], line[j + 2], line[j + 3]
            wa, wb, wc, wd = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
            for k in range(size):
                o[k] += a * wa[k] + b * wb[k] + c * wc[k] + d * wd[k]
        for j in range(whole, size):
            a = line[j]
            wa = weights[j]
            for k in range(size):
                o[k] += a * wa[k]


@kernel(fastmath=FAST, allocates=True)
def propagate_lanes(
    grad_v: F32,
    grad_i: F32,
    grad_z: F32,
    grad_w: F32,
    grad_last: F32,
    parameters: F32,
    alpha: np.float32,
    options: NDArray[np.int64],
    recurrent: F32,
    state: F32,
    v_chip: F32,
    pre: F32,
    marks: NDArray[np.uint8],
    out_v: F32,
    out_i: F32,
    out_w: F32,
    grad_x: F32,
    grad_state: F32,
    grad_parameters: F32,
    begin: int,
    end: int,
) -> None:
    """Gradients of the lanes begin..end-1.

    `grad_v`, `grad_i`, `grad_z`, `grad_w` (T, lanes) and `grad_last` (STATES, lanes) belong to the outputs.
    `grad_x` (T, lanes), `grad_state` (STATES, lanes) and `grad_parameters` (PARAMETERS, lanes) are written.
    Of the saved arrays, `out_v`, `out_i` and `out_w` are needed for gradients of parameters, `out_v` for the
    exponential term as well; `marks` where they cannot be told from `pre`.
    """
    steps = grad_x.shape[0]
    leaky, fire, adaptive = options[LEAKY] != 0, options[FIRE] != 0, options[ADAPTATION] != 0
    exponential, refractory = options[EXPONENTIAL] != 0, options[REFRACTORY_PERIOD] != 0
    trained = grad_parameters.shape[0] > 0
    size = recurrent.shape[0]
    block = BATCH_BLOCK * size if size > 0 else BLOCK
    width = min(block, end - begin)
    p_all = np.empty((PARAMETERS, width), np.float32)
    g_all = np.empty((PARAMETERS, width), np.float32)
    s_all = np.empty((7, width), np.float32)
    mark_all = np.empty(width, np.uint8)

    for m0 in range(begin, end, block):
        m1 = min(m0 + block, end)
        n = m1 - m0
        p = p_all[:, :n]
        gather(parameters, m0, p)
        decay, gain, g = p[DECAY], p[GAIN], p[CONDUCTANCE]
        threshold, leak = p[THRESHOLD], p[LEAK]
        gp = g_all[:, :n]
        if trained:
            for j in range(PARAMETERS):
                gp[j, :] = ZERO
        gv, gi, gw, gz = s_all[0, :n], s_all[1, :n], s_all[2, :n], s_all[3, :n]
        s, d, e = s_all[4, :n], s_all[5, :n], s_all[6, :n]
        mark = mark_all[:n]
        if grad_last.shape[0] > 0:
            gv[:] = grad_last[V, m0:m1]
            gi[:] = grad_last[CURRENT, m0:m1]
            gw[:] = grad_last[W, m0:m1]
        else:
            gv[:] = ZERO
            gi[:] = ZERO
            gw[:] = ZERO

        for t in range(steps - 1, -1, -1):
            if grad_v.shape[0] > 0:
                r = grad_v[t, m0:m1]
                for k in range(n):
                    gv[k] += r[k]
            if grad_i.shape[0] > 0:
                r = grad_i[t, m0:m1]
                for k in range(n):
                    gi[k] += r[k]
            if fire:
                before = pre[t, m0:m1]
                if size > 0:
                    multiply_dense(gi, recurrent, gz)
                else:
                    gz[:] = ZERO
                if grad_z.shape[0] > 0:
                    r = grad_z[t, m0:m1]
                    for k in range(n):
                        gz[k] += r[k]
                if marks.shape[0] > 0:
                    mark[:] = marks[t, m0:m1]
                else:
                    for k in range(n):
                        mark[k] = SPIKED if before[k] - threshold[k] > ZERO else 0
                if refractory:
                    if trained:
                        r = gp[RESET]
                        for k in range(n):
                            r[k] += gv[k] if mark[k] & CLAMPED else ZERO
                    for k in range(n):
                        gv[k] = ZERO if mark[k] & CLAMPED else gv[k]
                    for k in range(n):
                        gz[k] = ZERO if mark[k] & CLAMPED else gz[k]
                if v_chip.shape[0] == 0:
                    if trained:
                        r = gp[RESET]
                        for k in range(n):
                            r[k] += gv[k] if mark[k] & SPIKED else ZERO
                    for k in range(n):
                        gv[k] = ZERO if mark[k] & SPIKED else gv[k]
            if adaptive:
                if grad_w.shape[0] > 0:
                    r = grad_w[t, m0:m1]
                    for k in range(n):
                        gw[k] += r[k]
                keep, pull, step = p[ADAPT_DECAY], p[ADAPT_PULL], p[ADAPT_STEP]
                at_threshold = pre[t, m0:m1]
                if trained:
                    old = out_w[t - 1, m0:m1] if t > 0 else state[W, m0:m1]
                    r = gp[ADAPT_DECAY]
                    for k in range(n):
                        r[k] += gw[k] * old[k]
                    r = gp[ADAPT_PULL]
                    for k in range(n):
                        r[k] += gw[k] * (at_threshold[k] - leak[k])
                    r = gp[LEAK]
                    for k in range(n):
                        r[k] -= gw[k] * pull[k]
                    if fire:
                        r = gp[ADAPT_STEP]
                        for k in range(n):
                            r[k] += gw[k] if mark[k] & SPIKED else ZERO
                if fire:
                    for k in range(n):
                        gz[k] += step[k] * gw[k]
                for k in range(n):
                    gv[k] += pull[k] * gw[k]
            if fire:
                derivative(options[METHOD], alpha, pre[t, m0:m1], threshold, s)
                for k in range(n):
                    s[k] *= gz[k]
                for k in range(n):
                    gv[k] += s[k]
                if trained:
                    r = gp[THRESHOLD]
                    for k in range(n):
                        r[k] -= s[k]
            out = grad_x[t, m0:m1]
            for k in range(n):
                out[k] = gi[k]
            # the membrane moved by gain * drive
            for k in range(n):
                d[k] = gv[k] * gain[k]
            if trained or exponential:
                v_old = out_v[t - 1, m0:m1] if t > 0 else state[V, m0:m1]
                if exponential:
                    scale, slope, start = p[EXP_GAIN], p[EXP_SLOPE], p[EXP_THRESHOLD]
                    for k in range(n):
                        e[k] = np.exp((v_old[k] - start[k]) / slope[k])
                if trained:
                    i_old = out_i[t - 1, m0:m1] if t > 0 else state[CURRENT, m0:m1]
                    r = gp[DECAY]
                    for k in range(n):
                        r[k] += gi[k] * i_old[k]
                    for k in range(n):
                        s[k] = i_old[k]
                    if leaky:
                        for k in range(n):
                            s[k] += g[k] * (leak[k] - v_old[k])
                        r = gp[CONDUCTANCE]
                        for k in range(n):
                            r[k] += d[k] * (leak[k] - v_old[k])
                        r = gp[LEAK]
                        for k in range(n):
                            r[k] += d[k] * g[k]
                    if exponential:
                        for k in range(n):
                            s[k] += scale[k] * e[k]
                        r = gp[EXP_GAIN]
                        for k in range(n):
                            r[k] += d[k] * e[k]
                        r = gp[EXP_THRESHOLD]
                        for k in range(n):
                            r[k] -= d[k] * scale[k] * e[k] / slope[k]
                        r = gp[EXP_SLOPE]
                        for k in range(n):
                            u = (v_old[k] - start[k]) / slope[k]
                            r[k] -= d[k] * scale[k] * e[k] * u / slope[k]
                    if adaptive:
                        old = out_w[t - 1, m0:m1] if t > 0 else state[W, m0:m1]
                        for k in range(n):
                            s[k] -= old[k]
                    r = gp[GAIN]
                    for k in range(n):
                        r[k] += gv[k] * s[k]
                if exponential:
                    for k in range(n):
                        gv[k] += d[k] * scale[k] * e[k] / slope[k]
            for k in range(n):
                gi[k] = gi[k] * decay[k] + d[k]
            if leaky:
                for k in range(n):
                    gv[k] -= g[k] * d[k]
            if adaptive:
                keep = p[ADAPT_DECAY]
                for k in range(n):
                    gw[k] = gw[k] * keep[k] - d[k]

        grad_state[V, m0:m1] = gv
        grad_state[CURRENT, m0:m1] = gi
        grad_state[W, m0:m1] = gw
        if trained:
            grad_parameters[:, m0:m1] = gp
