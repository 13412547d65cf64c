r"""The integration kernel: many circuits, step by step, one batch entry after the other.

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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin import lanes as row
from hxtorch.twin.kernels import kernel
from hxtorch.twin.lanes import LANES
from hxtorch.twin.random import bytes_normal, key, lane_normal, mix, next_bits
from hxtorch.twin.readout import sample_cadc, sample_madc, store_trace

V, NOISE, X_EXC, X_INH = row.V, row.NOISE, row.X_EXC, row.X_INH
DEAD, THRESHOLD, V_BEFORE, DRIVE = row.DEAD, row.THRESHOLD, row.V_BEFORE, row.DRIVE
LEAK, DECAY_MEM, GAIN_EXC, GAIN_INH = row.LEAK, row.DECAY_MEM, row.GAIN_EXC, row.GAIN_INH
DECAY_EXC, DECAY_INH = row.DECAY_EXC, row.DECAY_INH
SATURATION_EXC, SATURATION_INH = row.SATURATION_EXC, row.SATURATION_INH
INV_SATURATION_EXC, INV_SATURATION_INH = row.INV_SATURATION_EXC, row.INV_SATURATION_INH
STATIC, LEAK_IN_RESET, DECAY_RESET, SHUNT = row.STATIC, row.LEAK_IN_RESET, row.DECAY_RESET, row.SHUNT
NOISE_DECAY, NOISE_STEP, THRESHOLD_MEAN = row.NOISE_DECAY, row.NOISE_STEP, row.THRESHOLD_MEAN
DEAD_STEPS, RESET_STEPS = row.DEAD_STEPS, row.RESET_STEPS
FLOOR, FLOOR_RATE = row.FLOOR, row.FLOOR_RATE
CEILING, CEILING_RATE, RATE_MEM, RATE_RESET = row.CEILING, row.CEILING_RATE, row.RATE_MEM, row.RATE_RESET
RATE_EXC, RATE_INH = row.RATE_EXC, row.RATE_INH
STATE_BLOCK, PARAMETER_BLOCK = row.STATE_BLOCK, row.PARAMETER_BLOCK

_ONE_24TH = np.float32(1 / 24)
_INV_2_31 = np.float32(1.0 / 2**31)


class Stimulus(NamedTuple):
    """Input events per step and the charge of every source, for all batch entries of a program.

    Events of entry b are `first[b]:first[b + 1]`, each with the `step` at whose start it is delivered, the
    `delay` (steps) since its true time and its `source`; `exc` and `inh` are (sources, lanes).
    `route` (lanes,) is the source that the spikes of a lane are, or -1. `resets` lists commanded resets.
    """

    first: NDArray[np.int64]
    step: NDArray[np.int64]
    delay: NDArray[np.float32]
    source: NDArray[np.int64]
    exc: NDArray[np.float32]
    inh: NDArray[np.float32]
    route: NDArray[np.int64]
    resets: NDArray[np.int64]
    latency: float
    charge_sigma: float
    threshold_sigma: float
    noise_sigma: float


class SpikeBuffer(NamedTuple):
    """Growing list of spikes of one worker: entry, time (steps) and lane; `used[0]` are valid."""

    entry: NDArray[np.int64]
    time: NDArray[np.float64]
    lane: NDArray[np.int64]
    used: NDArray[np.int64]


# --- One step -----------------------------------------------------------------------------------------------


@kernel()
def _start(s, p, random, seed, entry, circuits, stimulus):  # type: ignore[no-untyped-def]
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
def _deliver(s, p, exc, inh, delay, charge, h):  # type: ignore[no-untyped-def]
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
def _advance(s, p, random, noisy, flagged):  # type: ignore[no-untyped-def]
    """Advance all lanes by one step; mark the blocks in which a lane needs `_resolve`.

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
def _resolve(s, p, random, b, k, step, threshold_sigma, late):  # type: ignore[no-untyped-def]
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
def _command_reset(s, p):  # type: ignore[no-untyped-def]
    """Start a refractory period in all lanes, as the reset command of the chip does."""
    for b in range(p.size // PARAMETER_BLOCK):
        o, q = b * STATE_BLOCK, b * PARAMETER_BLOCK
        for k in range(LANES):
            s[o + DEAD + k] = p[q + RESET_STEPS + k]


# --- The time loop ------------------------------------------------------------------------------------------


@kernel()
def _collect(s, p, random, flagged, stimulus, spikes, pending_time, pending_source, pending, entry, step, late):  # type: ignore[no-untyped-def]
    """Resolve all flagged lanes of a step, record their spikes and queue those that stay on the chip."""
    for b in range(flagged.size):
        if flagged[b] == 0:
            continue
        o = b * STATE_BLOCK
        for k in range(LANES):
            dead = s[o + DEAD + k] > -1
            if not dead and not s[o + V + k] + s[o + NOISE + k] > s[o + THRESHOLD + k]:
                continue
            time = _resolve(s, p, random, b, k, step, stimulus.threshold_sigma, late)
            if time < -1.5:
                continue
            lane = b * LANES + k
            n = spikes.used[0]
            spikes.used[0] += 1
            if n < spikes.entry.size:
                spikes.entry[n], spikes.time[n], spikes.lane[n] = entry, time, lane
            if stimulus.route[lane] >= 0 and pending < pending_time.size:
                pending_time[pending] = time + stimulus.latency
                pending_source[pending] = stimulus.route[lane]
                pending += 1
    return pending


@kernel()
def _charge(charge_key, number, sigma):  # type: ignore[no-untyped-def]
    """Relative charge of the event `number` of an entry."""
    if sigma == 0:
        return np.float32(1)
    return np.float32(1) + np.float32(sigma) * bytes_normal(np.uint32(mix(charge_key + np.uint64(number))))


@kernel()
def run_entries(p, circuits, seed, begin, end, steps, h, stimulus, readout, spikes):  # type: ignore[no-untyped-def]
    """Emulate the batch entries ``begin..end-1`` for `steps` steps of `h` µs.

    Every entry has its own random streams, keyed by (seed, entry, circuit), so results depend neither on the
    number of workers nor on the order of entries. If `spikes` overflows, `used` says by how much.
    """
    blocks = p.size // PARAMETER_BLOCK
    s = np.zeros(blocks * STATE_BLOCK, dtype=np.float32)
    random = np.zeros(blocks * LANES, dtype=np.uint32)
    shown = np.zeros(blocks * LANES, dtype=np.float32)
    flagged = np.zeros(blocks, dtype=np.int64)
    pending_time = np.zeros(8 * blocks * LANES, dtype=np.float64)
    pending_source = np.zeros(8 * blocks * LANES, dtype=np.int64)
    noisy = stimulus.noise_sigma > 0
    for entry in range(begin, end):
        _start(s, p, random, seed, entry, circuits, stimulus)
        event, last_event = stimulus.first[entry], stimulus.first[entry + 1]
        charge_key = key(seed, entry, 1 << 20)
        delivered = 0
        pending = 0
        reset = 0
        next_sample = np.zeros(2, dtype=np.int64)
        for step in range(steps):
            while reset < stimulus.resets.size and stimulus.resets[reset] == step:
                _command_reset(s, p)
                reset += 1
            late = np.float32(0)
            kept = 0
            for i in range(pending):
                if pending_time[i] > step:
                    pending_time[kept], pending_source[kept] = pending_time[i], pending_source[i]
                    kept += 1
                    continue
                source, delay = pending_source[i], np.float32(step - pending_time[i])
                charge = _charge(charge_key, delivered, stimulus.charge_sigma)
                _deliver(s, p, stimulus.exc[source], stimulus.inh[source], delay, charge, np.float32(h))
                late = max(late, delay)
                delivered += 1
            pending = kept
            while event < last_event and stimulus.step[event] == step:
                source = stimulus.source[event]
                charge = _charge(charge_key, delivered, stimulus.charge_sigma)
                _deliver(
                    s, p, stimulus.exc[source], stimulus.inh[source], stimulus.delay[event], charge, np.float32(h)
                )
                late = max(late, stimulus.delay[event])
                delivered += 1
                event += 1
            if _advance(s, p, random, noisy, flagged) > 0:
                pending = _collect(
                    s,
                    p,
                    random,
                    flagged,
                    stimulus,
                    spikes,
                    pending_time,
                    pending_source,
                    pending,
                    entry,
                    step,
                    late,
                )
            for hemisphere in range(2):
                n = next_sample[hemisphere]
                while (
                    n < readout.cadc_count[entry, hemisphere]
                    and readout.cadc_time[entry, hemisphere, n] < (step + 1) * h
                ):
                    fraction = np.float32(readout.cadc_time[entry, hemisphere, n] / h - step)
                    sample_cadc(s, p, random, shown, readout, entry, hemisphere, n, fraction)
                    n += 1
                next_sample[hemisphere] = n
            if readout.madc_lane.size > 0 and step < readout.madc_value.shape[1]:
                sample_madc(s, p, random, readout, entry, step)
            if readout.trace_lane.size > 0:
                store_trace(s, p, readout, entry, step)
