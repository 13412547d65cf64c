"""The time loop: batch entries one after the other, each of them step by step.

One step: deliver the events that arrive in it (`delivery`), sum up the currents and advance the membranes (`step`,
`terms`), place spikes and resets at their own times (`spiking`), let compartments exchange charge (`coupling`),
and sample (`readout`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.coupling import Coupling, couple
from hxtorch.twin.delivery import deliver, deliver_inside
from hxtorch.twin.kernels import kernel
from hxtorch.twin.layout import (
    ADAPT_START,
    ADAPTATION,
    ARMED,
    CONDUCTANCE_MODE,
    LANES,
    NOISE,
    RANDOM,
    RATE_MEM,
    REST,
    START_SPREAD,
    THRESHOLD,
    THRESHOLD_MEAN,
    V_BEFORE,
    WITH_ADAPTATION,
    WITH_EXPONENTIAL,
    V,
    aligned,
)
from hxtorch.twin.madc import Arrivals, arrivals, note_arrival, sample_madc
from hxtorch.twin.plasticity import Plasticity, efficacy
from hxtorch.twin.random import bytes_normal, circuit_key, entry_key, key, mix, next_bits
from hxtorch.twin.readout import Readout, sample_cadc, start_readout, store_trace
from hxtorch.twin.spiking import NO_SPIKE, command_reset, lowest_lane, resolve
from hxtorch.twin.step import advance_lines, advance_membrane, begin_step, busy_lanes, forget_parts
from hxtorch.twin.terms import (
    add_adaptation,
    add_conductances,
    advance_adaptation,
    apply_conductances,
    crossed_again,
    exponential_flow,
    find_conductances,
)


class Board(NamedTuple):
    """The membranes of a run: see `membranes.Membranes` and `lanes.LaneParameters`.

    `circuits` (lanes,) keys the random numbers of each lane, `route` (lanes,) is the source of events that its
    spikes are, or -1; `spike_delay` (lanes,) counts the steps from crossing the threshold to the spike.
    """

    rows: NDArray[np.float32]
    layers: NDArray[np.int64]
    column: NDArray[np.int64]
    features: NDArray[np.int64]
    rails: tuple[np.float32, np.float32, np.float32, np.float32]
    circuits: NDArray[np.int64]
    route: NDArray[np.int64]
    spike_delay: NDArray[np.float64]


class Stimulus(NamedTuple):
    """Input events per step, and the strengths of the noise that acts on the dynamics.

    Events of entry b are ``first[b]:first[b + 1]``, each with the `step` in which it arrives, the `fraction` of
    that step before its arrival and its `source`. `resets` lists commanded resets (steps). `latency` (steps)
    is that of spikes on the chip. The noise loses `noise_rate` per step, of which `noise_decay` is left.
    """

    first: NDArray[np.int64]
    step: NDArray[np.int64]
    fraction: NDArray[np.float32]
    source: NDArray[np.int64]
    resets: NDArray[np.int64]
    latency: float
    charge_sigma: np.float32
    threshold_sigma: np.float32
    noise_sigma: np.float32
    noise_rate: np.float32
    noise_decay: np.float32
    noise_step: np.float32


class SpikeBuffer(NamedTuple):
    """Growing list of spikes of one worker: entry, time (steps) and lane; `used[0]` are valid."""

    entry: NDArray[np.int64]
    time: NDArray[np.float64]
    lane: NDArray[np.int64]
    used: NDArray[np.int64]


@kernel()
def _start(a, board, stimulus, seed, entry):  # type: ignore[no-untyped-def]
    """Put every lane to rest; neurons that fire without input start somewhere on their rise."""
    common = entry_key(seed, entry)
    for b in range(board.layers.size):
        for k in range(a.shape[1]):
            a[b, k] = board.rows[b, k]
        for k in range(LANES):
            stream = circuit_key(common, board.circuits[b * LANES + k])
            bits = np.uint32(stream >> np.uint64(32))
            bits = bits if bits != 0 else np.uint32(1)
            phase = np.float32(bits & np.uint32(65535)) / np.float32(65536)
            first, second = next_bits(bits), next_bits(next_bits(bits))
            a[b, RANDOM + k] = np.uint32(second).view(np.float32)
            rest = a[b, REST + k] + phase * a[b, START_SPREAD + k]
            noise = stimulus.noise_sigma * bytes_normal(first)
            # The membrane has followed the noise for a long time: variance and covariance are sigma^2 times this.
            share = a[b, RATE_MEM + k] / (a[b, RATE_MEM + k] + stimulus.noise_rate)
            other = np.float32(math.sqrt(share - share * share)) * bytes_normal(np.uint32(stream))
            rest += share * noise + stimulus.noise_sigma * other
            a[b, V + k] = rest
            a[b, V_BEFORE + k] = rest
            a[b, NOISE + k] = noise
            a[b, ADAPTATION + k] = a[b, ADAPT_START + k]
            a[b, THRESHOLD + k] = a[b, THRESHOLD_MEAN + k] + stimulus.threshold_sigma * bytes_normal(second)
            a[b, ARMED + k] = a[b, THRESHOLD + k]


@kernel(inline=True)
def _charge(charge_key, number, sigma):  # type: ignore[no-untyped-def]
    """Relative charge of the event `number` of an entry."""
    if sigma == 0:
        return np.float32(1)
    return np.float32(1) + sigma * bytes_normal(np.uint32(mix(charge_key + np.uint64(number))))


@kernel(inline=True)
def _deliver(a, board, charges, plasticity, drivers, arrived, readout, source, step, f, strength):  # type: ignore[no-untyped-def]
    """Deliver one event to all lines that it reaches, `f` steps after the start of `step`."""
    layers, column, charge, begin, end = board.layers, board.column, charges.charge, charges.begin, charges.end
    on_time = abs(f) < np.float32(1e-5)
    for row in range(charges.first[source], charges.first[source + 1]):
        q = strength
        if charges.driver[row] >= 0:
            q *= efficacy(plasticity, drivers, charges.driver[row], step + f)
        if on_time:
            deliver(a, layers, column, charge[row], begin[row], end[row], q)
        else:
            deliver_inside(a, layers, column, charge[row], begin[row], end[row], q, f)
            if readout.madc_place.size > 0 and f > 0:
                note_arrival(arrived, a, layers, column, charge[row], begin[row], end[row], q, f, readout)
    return not on_time


@kernel(inline=True)
def _advance(a, b, layers, features, rails, decay, noise_step):  # type: ignore[no-untyped-def]
    """Advance one block; return whether a membrane needs to be resolved."""
    if features & CONDUCTANCE_MODE:
        find_conductances(a, b, layers)
    begin_step(a, b, decay, noise_step)
    if layers > 1:
        advance_lines(a, b, layers)
    if features & CONDUCTANCE_MODE:
        add_conductances(a, b)
    if features & WITH_ADAPTATION:
        add_adaptation(a, b)
    if features & WITH_EXPONENTIAL:
        exponential_flow(a, b, rails[2])
    events = advance_membrane(a, b, rails)
    if features & CONDUCTANCE_MODE:
        apply_conductances(a, b)
    if features & WITH_EXPONENTIAL:
        exponential_flow(a, b, rails[2])
    if features & (CONDUCTANCE_MODE | WITH_EXPONENTIAL):
        events |= crossed_again(a, b)
    return events


class Scratch(NamedTuple):
    """Memory of one worker: the membranes, events on their way on the chip, states of drivers and converters."""

    rows: NDArray[np.float32]
    pending_time: NDArray[np.float64]
    pending_source: NDArray[np.int64]
    drivers: NDArray[np.float32]
    converter_random: NDArray[np.uint32]
    shown: NDArray[np.float32]
    next_sample: NDArray[np.int64]
    arrivals: Arrivals
    cell: NDArray[np.float32]


def scratch(board: Board, plasticity: Plasticity, coupling: Coupling, readout: Readout) -> Scratch:
    """Memory for one worker; `run_entries` allocates none."""
    events = 4 * board.layers.size * LANES
    return Scratch(
        rows=aligned(board.rows.shape),
        pending_time=np.zeros(events),
        pending_source=np.zeros(events, dtype=np.int64),
        drivers=np.zeros((2, plasticity.recover.size), dtype=np.float32),
        converter_random=np.zeros(readout.cadc_place.size + readout.madc_place.size, dtype=np.uint32),
        shown=aligned((max(board.layers.size, -(-readout.cadc_place.size // LANES)), LANES)),
        next_sample=np.zeros(2, dtype=np.int64),
        arrivals=arrivals(),
        cell=np.zeros(int(coupling.size.max(initial=0)), dtype=np.float32),
    )


@kernel()
def run_entries(  # type: ignore[no-untyped-def]
    scratch, board, charges, stimulus, plasticity, coupling, readout, seed, begin, end, steps, h, spikes
):
    """Emulate the batch entries ``begin..end-1`` for `steps` steps of `h` µs in the memory of one worker.

    Every entry has its own random streams, keyed by (seed, entry,
    circuit), so results depend neither on the number of workers nor on the order of entries. If `spikes`
    overflows, `used` says by how much.
    """
    a = scratch.rows
    blocks, flat = board.layers.size, a.reshape(-1)
    layers = board.layers
    pending_time, pending_source = scratch.pending_time, scratch.pending_source
    drivers, next_sample = scratch.drivers, scratch.next_sample
    converter_random, shown, arrived = scratch.converter_random, scratch.shown, scratch.arrivals
    features = board.features
    noise_decay, noise_step = stimulus.noise_decay, stimulus.noise_step
    for entry in range(begin, end):
        _start(a, board, stimulus, seed, entry)
        start_readout(converter_random, readout, seed, entry)
        for i in range(plasticity.recover.size):
            drivers[0, i], drivers[1, i] = plasticity.recover[i], 0
        event, last_event = stimulus.first[entry], stimulus.first[entry + 1]
        charge_key = key(seed, entry, 1 << 20)
        delivered, pending, reset, madc = 0, 0, 0, 0
        next_sample[0] = next_sample[1] = 0
        for step in range(steps):
            while reset < stimulus.resets.size and stimulus.resets[reset] == step:
                for b in range(blocks):
                    command_reset(a, b)
                reset += 1
            inside = False
            kept = 0
            for i in range(pending):
                if pending_time[i] >= step + 1:
                    pending_time[kept], pending_source[kept] = pending_time[i], pending_source[i]
                    kept += 1
                    continue
                strength = _charge(charge_key, delivered, stimulus.charge_sigma)
                f = np.float32(pending_time[i] - step)
                inside |= _deliver(
                    a, board, charges, plasticity, drivers, arrived, readout, pending_source[i], step, f, strength
                )
                delivered += 1
            pending = kept
            while event < last_event and stimulus.step[event] == step:
                strength = _charge(charge_key, delivered, stimulus.charge_sigma)
                source, f = stimulus.source[event], stimulus.fraction[event]
                inside |= _deliver(
                    a, board, charges, plasticity, drivers, arrived, readout, source, step, f, strength
                )
                delivered += 1
                event += 1
            if coupling.size.size > 0:
                couple(flat, coupling, scratch.cell)
            for b in range(blocks):
                if _advance(a, b, layers[b], features[b], board.rails, noise_decay, noise_step):
                    lanes = busy_lanes(a, b)
                    while lanes != 0:
                        k = lowest_lane(lanes)
                        lanes = np.uint32(lanes & np.uint32(lanes - np.uint32(1)))
                        fraction = resolve(a, b, k, board.rails, stimulus.threshold_sigma)
                        if fraction == NO_SPIKE:
                            continue
                        lane = b * LANES + k
                        time = step + np.float64(fraction) + board.spike_delay[lane]
                        n = spikes.used[0]
                        spikes.used[0] += 1
                        if n < spikes.entry.size:
                            spikes.entry[n], spikes.time[n], spikes.lane[n] = entry, time, lane
                        if board.route[lane] >= 0 and pending < pending_time.size:
                            pending_time[pending] = time + stimulus.latency
                            pending_source[pending] = board.route[lane]
                            pending += 1
                if features[b] & WITH_ADAPTATION:
                    advance_adaptation(a, b)
                if inside:
                    forget_parts(a, b, layers[b])
            if coupling.size.size > 0:
                couple(flat, coupling, scratch.cell)
            for hemisphere in range(2):
                n = next_sample[hemisphere]
                while (
                    n < readout.cadc_count[entry, hemisphere]
                    and readout.cadc_time[entry, hemisphere, n] < (step + 1) * h
                ):
                    fraction = np.float32(readout.cadc_time[entry, hemisphere, n] / h - step)
                    sample_cadc(a, converter_random, shown, readout, entry, hemisphere, n, fraction)
                    n += 1
                next_sample[hemisphere] = n
            if readout.madc_place.size > 0:
                n, fraction = madc, readout.madc_start + madc * readout.madc_spacing - step
                while madc < readout.madc_value.shape[1] and (
                    readout.madc_start + madc * readout.madc_spacing < step + 1.000001
                ):
                    madc += 1
                sample_madc(
                    flat, converter_random, readout, arrived, entry, n, madc,
                    np.float32(min(max(fraction, 0.0), 1.0)), np.float32(readout.madc_spacing),
                )  # fmt: skip
                for j in range(readout.madc_place.size):
                    arrived.number[j] = 0
            if readout.trace_place.size > 0 and (step + 1) % readout.trace_every == 0:
                store_trace(flat, readout, entry, (step + 1) // readout.trace_every - 1, np.float32(h))
