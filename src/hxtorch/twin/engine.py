"""The time loop: batch entries one after the other, each of them step by step (`hxtorch.twin.step`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.kernels import kernel
from hxtorch.twin.lanes import DEAD, LANES, NOISE, PARAMETER_BLOCK, STATE_BLOCK, THRESHOLD, V
from hxtorch.twin.random import bytes_normal, key, mix
from hxtorch.twin.readout import sample_cadc, sample_madc, store_trace
from hxtorch.twin.step import advance, command_reset, deliver, resolve, start


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
            time = resolve(s, p, random, b, k, step, stimulus.threshold_sigma, late)
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
        start(s, p, random, seed, entry, circuits, stimulus)
        event, last_event = stimulus.first[entry], stimulus.first[entry + 1]
        charge_key = key(seed, entry, 1 << 20)
        delivered = 0
        pending = 0
        reset = 0
        next_sample = np.zeros(2, dtype=np.int64)
        for step in range(steps):
            while reset < stimulus.resets.size and stimulus.resets[reset] == step:
                command_reset(s, p)
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
                deliver(s, p, stimulus.exc[source], stimulus.inh[source], delay, charge, np.float32(h))
                late = max(late, delay)
                delivered += 1
            pending = kept
            while event < last_event and stimulus.step[event] == step:
                source = stimulus.source[event]
                charge = _charge(charge_key, delivered, stimulus.charge_sigma)
                deliver(
                    s, p, stimulus.exc[source], stimulus.inh[source], stimulus.delay[event], charge, np.float32(h)
                )
                late = max(late, stimulus.delay[event])
                delivered += 1
                event += 1
            if advance(s, p, random, noisy, flagged) > 0:
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
