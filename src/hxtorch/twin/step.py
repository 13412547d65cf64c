r"""What happens to all circuits in one integration step.

For every circuit, in CADC LSB and µs,

    dV/dt   = -(V - E_l) / tau_mem + S(x_exc) - S(x_inh) + I_static        (free)
    dV/dt   = the same - (V - V_r) / tau_reset                             (refractory)
    dx/dt   = -x / tau_syn,   x jumps with every event by drive * weight

with the saturation S(x) = I_sat s(x / I_sat), s(u) = u (27 + u^2) / (27 + 9 u^2), a tanh that ends at u = 3.
Near the rails of the supply (`FLOOR`, `CEILING`) a current loses its strength linearly with the distance.

A step is exact for the linear part: exponential propagators, and the weight with which a decaying current
enters the membrane is integrated analytically (`lanes._current_gain`); only S is evaluated in the middle of
the step. Events and spikes inside a step are placed at their own time, so that results depend on the step
only to second order. The voltage noise adds to the membrane wherever it is compared or read.
"""

from __future__ import annotations

import math

import numpy as np

from hxtorch.twin.kernels import kernel
from hxtorch.twin.lanes import (
    CEILING,
    CEILING_RATE,
    DEAD,
    DEAD_STEPS,
    DECAY_EXC,
    DECAY_INH,
    DECAY_MEM,
    DECAY_RESET,
    DRIVE,
    FLOOR,
    FLOOR_RATE,
    GAIN_EXC,
    GAIN_INH,
    INV_SATURATION_EXC,
    INV_SATURATION_INH,
    LANES,
    LEAK,
    LEAK_IN_RESET,
    NOISE,
    NOISE_DECAY,
    NOISE_STEP,
    PARAMETER_BLOCK,
    RATE_EXC,
    RATE_INH,
    RATE_MEM,
    RATE_RESET,
    RESET_STEPS,
    SATURATION_EXC,
    SATURATION_INH,
    SHUNT,
    STATE_BLOCK,
    STATIC,
    THRESHOLD,
    THRESHOLD_MEAN,
    V_BEFORE,
    X_EXC,
    X_INH,
    V,
)
from hxtorch.twin.random import key, lane_normal, next_bits

_ONE_24TH = np.float32(1 / 24)
_INV_2_31 = np.float32(1.0 / 2**31)


@kernel()
def start(s, p, random, seed, entry, circuits, stimulus):  # type: ignore[no-untyped-def]
    """Put every lane to rest; neurons that fire without input start somewhere on their rise."""
    one = np.float32(1)
    for b in range(p.size // PARAMETER_BLOCK):
        o, q = b * STATE_BLOCK, b * PARAMETER_BLOCK
        for k in range(LANES):
            lane = b * LANES + k
            circuit = circuits[lane] if lane < circuits.size else 512 + lane
            bits = np.uint32(key(seed, entry, circuit) >> np.uint64(32))
            random[lane] = bits if bits != 0 else np.uint32(1)
            constant = p[q + STATIC + k] / (one - p[q + DECAY_MEM + k])
            rest = p[q + LEAK + k] + constant
            if rest < p[q + FLOOR + k] + one / p[q + FLOOR_RATE + k] and constant < 0:
                pull = -constant * p[q + FLOOR_RATE + k]
                rest = (p[q + LEAK + k] + pull * p[q + FLOOR + k]) / (one + pull)
            if rest > p[q + CEILING + k] - one / p[q + CEILING_RATE + k] and constant > 0:
                pull = constant * p[q + CEILING_RATE + k]
                rest = (p[q + LEAK + k] + pull * p[q + CEILING + k]) / (one + pull)
            threshold = p[q + THRESHOLD_MEAN + k]
            if rest > threshold:
                phase = np.float32(bits & np.uint32(65535)) / np.float32(65536)
                rest = p[q + LEAK_IN_RESET + k] + phase * (threshold - p[q + LEAK_IN_RESET + k])
            s[o + V + k] = rest
            s[o + V_BEFORE + k] = rest
            s[o + NOISE + k] = stimulus.noise_sigma * lane_normal(random, lane)
            s[o + X_EXC + k] = 0
            s[o + X_INH + k] = 0
            s[o + DEAD + k] = 0
            s[o + DRIVE + k] = 0
            s[o + THRESHOLD + k] = threshold + stimulus.threshold_sigma * lane_normal(random, lane)


@kernel()
def _fade(y):  # type: ignore[no-untyped-def]
    """exp(-y) for small y (Pade), in plain arithmetic so that loops over it become vector code."""
    even, odd = np.float32(1) + y * y * np.float32(1 / 12), np.float32(0.5) * y
    return (even - odd) / (even + odd)


@kernel()
def _saturate(u):  # type: ignore[no-untyped-def]
    """The OTA's curve s(u)."""
    u = min(u, np.float32(3))
    return u * (np.float32(27) + u * u) / (np.float32(27) + np.float32(9) * u * u)


@kernel(fastmath={"contract", "nsz", "arcp", "nnan", "reassoc"})
def deliver(s, p, exc, inh, delay, charge, h):  # type: ignore[no-untyped-def]
    """Deliver one event, `delay` steps after its true time, to all lanes."""
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    for b in range(p.size // PARAMETER_BLOCK):
        o, q = b * STATE_BLOCK, b * PARAMETER_BLOCK
        offset = b * LANES
        if delay == 0:
            for k in range(LANES):
                s[o + X_EXC + k] += charge * exc[offset + k]
                s[o + X_INH + k] += charge * inh[offset + k]
        else:
            for k in range(LANES):
                x_exc, x_inh = s[o + X_EXC + k], s[o + X_INH + k]
                je, ji = charge * exc[offset + k], charge * inh[offset + k]
                s[o + X_EXC + k] = x_exc + je * _fade(delay * p[q + RATE_EXC + k])
                s[o + X_INH + k] = x_inh + ji * _fade(delay * p[q + RATE_INH + k])
                free = one if s[o + DEAD + k] <= zero else zero
                # `exc` is the line half a step after the event; the membrane saw that of half the delay
                early = half * (one - delay)
                je *= _fade(-early * p[q + RATE_EXC + k])
                ji *= _fade(-early * p[q + RATE_INH + k])
                inv_e, inv_i = p[q + INV_SATURATION_EXC + k], p[q + INV_SATURATION_INH + k]
                part = free * delay * h * _fade(half * delay * p[q + RATE_MEM + k])
                xe = delay * (p[q + RATE_MEM + k] - p[q + RATE_EXC + k])
                xi = delay * (p[q + RATE_MEM + k] - p[q + RATE_INH + k])
                more_exc = _saturate((x_exc + je) * inv_e) - _saturate(x_exc * inv_e)
                more_inh = _saturate((x_inh + ji) * inv_i) - _saturate(x_inh * inv_i)
                up = part * (one + xe * xe * _ONE_24TH) * p[q + SATURATION_EXC + k] * more_exc
                down = part * (one + xi * xi * _ONE_24TH) * p[q + SATURATION_INH + k] * more_inh
                v = s[o + V + k]
                ceiling, ceiling_rate = p[q + CEILING + k], p[q + CEILING_RATE + k]
                floor, floor_rate = p[q + FLOOR + k], p[q + FLOOR_RATE + k]
                up_free = min(up, max(ceiling - one / ceiling_rate - v, zero))
                down_free = min(down, max(v - floor - one / floor_rate, zero))
                pull_up, pull_down = (up - up_free) * ceiling_rate, (down - down_free) * floor_rate
                s[o + V + k] = (v + up_free - down_free + pull_up * ceiling + pull_down * floor) / (
                    one + pull_up + pull_down
                )


@kernel(fastmath={"contract", "nsz", "arcp", "nnan", "reassoc"})
def advance(s, p, random, noisy, flagged):  # type: ignore[no-untyped-def]
    """Advance all lanes by one step; mark the blocks in which a lane needs `resolve`.

    Everything is loaded before it is chosen between, so that each loop becomes straight vector code.
    """
    zero, one = np.float32(0), np.float32(1)
    total = 0
    for b in range(flagged.size):
        o, q = b * STATE_BLOCK, b * PARAMETER_BLOCK
        if noisy:
            offset = b * LANES
            for k in range(LANES):
                bits = next_bits(random[offset + k])
                random[offset + k] = bits
                uniform = np.float32(np.int32(bits)) * _INV_2_31
                s[o + NOISE + k] = s[o + NOISE + k] * p[q + NOISE_DECAY + k] + p[q + NOISE_STEP + k] * uniform
        hits = zero
        for k in range(LANES):
            v = s[o + V + k]
            x_exc, x_inh = s[o + X_EXC + k], s[o + X_INH + k]
            se = p[q + SATURATION_EXC + k] * _saturate(x_exc * p[q + INV_SATURATION_EXC + k])
            si = p[q + SATURATION_INH + k] * _saturate(x_inh * p[q + INV_SATURATION_INH + k])
            static = p[q + STATIC + k]
            up = p[q + GAIN_EXC + k] * se + max(static, zero)
            down = p[q + GAIN_INH + k] * si - min(static, zero)
            remaining = s[o + DEAD + k]
            left = remaining - one
            leak, leak_in_reset = p[q + LEAK + k], p[q + LEAK_IN_RESET + k]
            decay_free, decay_held = p[q + DECAY_MEM + k], p[q + DECAY_RESET + k]
            shunt_held = p[q + SHUNT + k]
            reset_steps = p[q + RESET_STEPS + k]
            dead = remaining > zero
            held = dead & (remaining <= reset_steps)
            target = leak_in_reset if held else leak
            decay = decay_held if held else decay_free
            shunt = shunt_held if held else one
            base = target + (v - target) * decay
            up *= shunt
            down *= shunt
            ceiling, ceiling_rate = p[q + CEILING + k], p[q + CEILING_RATE + k]
            floor, floor_rate = p[q + FLOOR + k], p[q + FLOOR_RATE + k]
            # Inside the soft zones the currents act like conductances to the rails, which cannot overshoot.
            soft_up, soft_down = ceiling - one / ceiling_rate, floor + one / floor_rate
            up_free = min(up, zero if v > soft_up else soft_up - base)
            down_free = min(down, zero if v < soft_down else base - soft_down)
            up_free, down_free = max(up_free, zero), max(down_free, zero)
            pull_up, pull_down = (up - up_free) * ceiling_rate, (down - down_free) * floor_rate
            after = (base + up_free - down_free + pull_up * ceiling + pull_down * floor) / (
                one + pull_up + pull_down
            )
            drive = (after - base) / shunt

            over = after + s[o + NOISE + k] - s[o + THRESHOLD + k]
            crossed = (over > zero) & (remaining <= zero)
            changes = dead & ((left < zero) | ((remaining > reset_steps) & (left < reset_steps)))
            hits += one if crossed | changes else zero

            s[o + V_BEFORE + k] = v
            s[o + V + k] = after
            s[o + DRIVE + k] = drive
            s[o + X_EXC + k] = x_exc * p[q + DECAY_EXC + k]
            s[o + X_INH + k] = x_inh * p[q + DECAY_INH + k]
            s[o + DEAD + k] = left
        flagged[b] = np.int64(hits)
        total += flagged[b]
    return total


@kernel()
def _held(s, p, o, q, v, steps):  # type: ignore[no-untyped-def]
    """Membrane after `steps` (a fraction of the last step) with the reset conductance on."""
    target = p[q + LEAK_IN_RESET]
    return target + (v - target) * math.exp(-steps * p[q + RATE_RESET]) + s[o + DRIVE] * p[q + SHUNT] * steps


@kernel()
def _free(s, p, o, q, v, steps):  # type: ignore[no-untyped-def]
    """Membrane after `steps` (a fraction of the last step) without the reset conductance."""
    return p[q + LEAK] + (v - p[q + LEAK]) * math.exp(-steps * p[q + RATE_MEM]) + s[o + DRIVE] * steps


@kernel()
def _through(s, p, o, q, v, remaining, steps):  # type: ignore[no-untyped-def]
    """Membrane after `steps` of dead time of which `remaining` were left: free, held at reset, free again."""
    zero = np.float32(0)
    late = min(max(remaining - p[q + RESET_STEPS], zero), steps)
    held = min(max(remaining - late, zero), steps - late)
    v = _free(s, p, o, q, v, late)
    v = _held(s, p, o, q, v, held)
    return _free(s, p, o, q, v, steps - late - held)


@kernel()
def resolve(s, p, random, b, k, step, threshold_sigma, late):  # type: ignore[no-untyped-def]
    """Place what happened to one lane inside a step; return the time of its spike (steps) or -2.

    Either the reset circuit changed its state, or the threshold was crossed. Events inside the last step were
    delivered at its end, so that the crossing may lie up to `late` steps before this one.
    """
    zero, one = np.float32(0), np.float32(1)
    o, q = b * STATE_BLOCK + k, b * PARAMETER_BLOCK + k
    remaining = s[o + DEAD] + one  # at the start of this step
    if remaining > zero:
        s[o + V] = _through(s, p, o, q, s[o + V_BEFORE], remaining, one)
        return -2.0
    crossing = s[o + THRESHOLD] - s[o + NOISE]
    rise = s[o + V] - s[o + V_BEFORE]
    fraction = (crossing - s[o + V_BEFORE]) / rise if rise > zero else zero
    earliest = remaining if remaining > -one else -late
    fraction = min(max(fraction, earliest), one)
    dead = p[q + DEAD_STEPS]
    s[o + V] = _through(s, p, o, q, s[o + V_BEFORE] + fraction * rise, dead, one - fraction)
    s[o + DEAD] = dead - (one - fraction)
    s[o + THRESHOLD] = p[q + THRESHOLD_MEAN] + threshold_sigma * lane_normal(random, b * LANES + k)
    return step + fraction + (dead - p[q + RESET_STEPS])


@kernel()
def command_reset(s, p):  # type: ignore[no-untyped-def]
    """Start a refractory period in all lanes, as the reset command of the chip does."""
    for b in range(p.size // PARAMETER_BLOCK):
        o, q = b * STATE_BLOCK, b * PARAMETER_BLOCK
        for k in range(LANES):
            s[o + DEAD + k] = p[q + RESET_STEPS + k]
