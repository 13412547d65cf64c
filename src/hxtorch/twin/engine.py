"""The time loop: batch entries one after the other, each of them block by block and step by step.

One step: deliver the events that arrive in it (`delivery`), sum up the currents and advance the membranes (`step`,
`terms`), place spikes and resets at their own times (`spiking`), let compartments exchange charge (`coupling`),
and sample (`readout`). Blocks that need nothing from each other make all their steps one after the other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import inner_kernel, kernel
from hxtorch.twin.coupling import Coupling, couple
from hxtorch.twin.delivery import (
    AHEAD,
    ON_TIME,
    Charges,
    Deliveries,
    add_delivery,
    deliver,
    deliveries,
    most_deliveries,
)
from hxtorch.twin.layout import (
    CONDUCTANCE_MODE,
    LANES,
    LAYER_ROWS,
    MEMBRANE_ROWS,
    WITH_ADAPTATION,
    WITH_EXPONENTIAL,
    WORD,
    aligned,
)
from hxtorch.twin.madc import Arrivals, arrivals, note_arrival, sample_madc
from hxtorch.twin.plasticity import Plasticity, efficacy
from hxtorch.twin.random import bytes_normal, key, mix
from hxtorch.twin.readout import (
    Readout,
    cadc_due,
    first_sample,
    next_sample,
    sample_block,
    sample_channels,
    start_readout,
    store_trace,
)
from hxtorch.twin.spiking import NO_SPIKE, command_reset, lowest_lane, resolve
from hxtorch.twin.start import start_membranes
from hxtorch.twin.step import advance_lines, advance_membrane, begin_step, busy_lanes
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


@inner_kernel(inline=True)
def _charge(charge_key, number, sigma):  # type: ignore[no-untyped-def]
    """Relative charge of the event `number` of an entry."""
    if sigma == 0:
        return np.float32(1)
    return np.float32(1) + sigma * bytes_normal(np.uint32(mix(charge_key + np.uint64(number))))


@inner_kernel(inline=True)
def _announce(scratch, n, board, charges, plasticity, readout, source, step, f, strength):  # type: ignore[no-untyped-def]
    """Note what the lines get from one event, `f` steps after the start of `step`; `n` are noted already."""
    driver, q = -1, strength
    for at in range(charges.first[source], charges.first[source + 1]):
        row = charges.row[at]
        if charges.driver[row] >= 0 and charges.driver[row] != driver:
            driver = charges.driver[row]
            q = strength * efficacy(plasticity, scratch.drivers, driver, step + f)
        add_delivery(scratch.deliveries, n, charges, step, row, f, q if driver >= 0 else strength)
        n += 1
        if readout.madc_place.size > 0 and f > ON_TIME:
            note_arrival(scratch.arrivals, scratch.rows, board, charges, row, q, f, readout)
    return n


@inner_kernel(inline=True)
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
    """Memory of one worker: the membranes, events on their way, states of drivers and converters."""

    rows: NDArray[np.float32]
    deliveries: Deliveries
    pending_time: NDArray[np.float64]
    pending_source: NDArray[np.int64]
    drivers: NDArray[np.float32]
    converter_random: NDArray[np.uint32]
    shown: NDArray[np.float32]
    next_sample: NDArray[np.int64]
    arrivals: Arrivals
    cell: NDArray[np.float32]


def scratch(
    board: Board, charges: Charges, stimulus: Stimulus, plasticity: Plasticity, coupling: Coupling, readout: Readout
) -> Scratch:
    """Memory for one worker; `run_entries` allocates none."""
    events = 4 * board.layers.size * LANES
    per_event = int(np.max(np.diff(charges.first), initial=0))
    rows = aligned(board.rows.shape)
    rows[:] = board.rows
    return Scratch(
        rows=rows,
        deliveries=deliveries(events * per_event + most_deliveries(stimulus.first, stimulus.source, charges.first)),
        pending_time=np.zeros(events),
        pending_source=np.zeros(events, dtype=np.int64),
        drivers=np.zeros((2, plasticity.recover.size), dtype=np.float32),
        converter_random=np.zeros(readout.cadc_place.size + readout.madc_place.size, dtype=np.uint32),
        shown=aligned((max(LANES, readout.cadc_place.size),)),
        next_sample=np.zeros((2, 2), dtype=np.int64),
        arrivals=arrivals(),
        cell=np.zeros(int(coupling.size.max(initial=0)), dtype=np.float32),
    )


def blocks_are_independent(board: Board, coupling: Coupling, readout: Readout) -> bool:
    """Whether no block of membranes needs to know of the others, nor a converter of several blocks at a time."""
    lanes = (readout.cadc_lane[0] >= 0 or readout.cadc_split == 0) and (
        readout.cadc_lane[1] >= 0 or readout.cadc_split == readout.cadc_place.size
    )
    others = coupling.size.size + readout.madc_place.size + readout.trace_place.size
    return bool(lanes and others == 0 and np.all(board.route < 0))


@inner_kernel(inline=True)
def _resolve_block(a, b, board, stimulus, entry, step, spikes, pending_time, pending_source, pending):  # type: ignore[no-untyped-def]
    """Place spikes and resets of a block inside the last step; return how many of its events wait on the chip."""
    low, high = busy_lanes(a, b)
    while low | high != 0:
        if low != 0:
            k = lowest_lane(low)
            low = np.uint32(low & np.uint32(low - np.uint32(1)))
        else:
            k = WORD + lowest_lane(high)
            high = np.uint32(high & np.uint32(high - np.uint32(1)))
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
    return pending


@kernel()
def run_entries(  # type: ignore[no-untyped-def]
    scratch, board, charges, stimulus, plasticity, coupling, readout, seed, begin, end, steps, together, h, spikes
):
    """Emulate the batch entries ``begin..end-1`` for `steps` steps of `h` µs in the memory of one worker.

    A block of membranes makes `together` steps, then the next block makes the same ones: all steps where
    `blocks_are_independent`, which keeps what a block needs in the nearest cache, else one. Every entry has its own
    random streams, keyed by (seed, entry, circuit), so results depend neither on the number of workers nor on
    the order of entries. `spikes` are sorted by entry; if they overflow, `used` says by how much.
    """
    a = scratch.rows
    blocks, flat = board.layers.size, a.reshape(-1)
    layers, features = board.layers, board.features
    pending_time, pending_source = scratch.pending_time, scratch.pending_source
    drivers, sample, start = scratch.drivers, scratch.next_sample[0], scratch.next_sample[1]
    random, shown, arrived = scratch.converter_random, scratch.shown, scratch.arrivals
    noise_decay, noise_step = stimulus.noise_decay, stimulus.noise_step
    columns, rows, lanes = charges.charge.shape
    charge = charges.charge.reshape((columns, rows * lanes))
    later = 0 if together == 1 else AHEAD  # what a block gets next, or the next block gets
    parts = 2 if coupling.size.size > 0 else 1  # coupled membranes are sampled after all blocks have made the step
    for entry in range(begin, end):
        start_membranes(a, board, stimulus, seed, entry)
        start_readout(random, readout, seed, entry)
        for i in range(plasticity.recover.size):
            drivers[0, i], drivers[1, i] = plasticity.recover[i], 0
        event, last_event = stimulus.first[entry], stimulus.first[entry + 1]
        charge_key = key(seed, entry, np.int64(1 << 20))
        delivered, pending, reset, madc = 0, 0, 0, np.int64(0)  # as a literal, sample_madc would be compiled twice
        start[0] = start[1] = 0
        for window in range(0, steps, together):
            window_end = min(window + together, steps)
            noted, kept, waiting = 0, 0, 0
            while True:  # events on the chip that arrive before the window ends, then those from outside
                if waiting < pending:
                    due, source = pending_time[waiting], pending_source[waiting]
                    waiting += 1
                    if due >= window_end:
                        pending_time[kept], pending_source[kept] = due, source
                        kept += 1
                        continue
                    step, f = window, np.float32(due - window)
                elif event < last_event and stimulus.step[event] < window_end:
                    source, step, f = stimulus.source[event], stimulus.step[event], stimulus.fraction[event]
                    event += 1
                else:
                    break
                strength = _charge(charge_key, delivered, stimulus.charge_sigma)
                noted = _announce(scratch, noted, board, charges, plasticity, readout, source, step, f, strength)
                delivered += 1
            pending = kept
            r = reset
            samples = window <= next_sample(readout, entry, start, h) < window_end
            for part in range(parts):
                if parts > 1:
                    couple(flat, coupling, scratch.cell)
                for b in range(blocks):
                    last, r = np.int64(0), reset  # as a literal, deliver would be compiled twice
                    due = -1
                    if samples and part == parts - 1:
                        due = first_sample(readout, entry, b, start, sample, h)
                    for step in range(window, window_end):
                        if part == 0:
                            while r < stimulus.resets.size and stimulus.resets[r] == step:
                                command_reset(a, b)
                                r += 1
                            first = last
                            while last < noted and scratch.deliveries.step[last] == step:
                                last += 1
                            for layer in range(layers[b] if last > first else 0):
                                lines, column = a[b, MEMBRANE_ROWS + layer * LAYER_ROWS :], board.column[b] + layer
                                coming = charge[min(column + 1, columns - 1) if together == 1 else column]
                                deliver(
                                    lines, charge[column], coming, scratch.deliveries, first, last, later, b, lanes
                                )  # fmt: skip
                            if _advance(a, b, layers[b], features[b], board.rails, noise_decay, noise_step):
                                pending = _resolve_block(
                                    a, b, board, stimulus, entry, step, spikes, pending_time, pending_source,
                                    pending,
                                )  # fmt: skip
                            if features[b] & WITH_ADAPTATION:
                                advance_adaptation(a, b)
                        if step == due:
                            for side in range(2):
                                n = sample[side]
                                while cadc_due(readout, entry, side, n, (step + 1) * h):
                                    fraction = np.float32(readout.cadc_time[entry, side, n] / h - step)
                                    sample_block(a, b, random, shown, readout, entry, side, n, fraction)
                                    n += 1
                                sample[side] = n
                            due = next_sample(readout, entry, sample, h)
            reset = r
            step = window_end - 1  # what follows sees all blocks at once, and makes one step at a time
            for side in range(2):
                n = start[side]
                while cadc_due(readout, entry, side, n, (step + 1) * h):
                    if readout.cadc_lane[side] < 0:
                        fraction = np.float32(readout.cadc_time[entry, side, n] / h - step)
                        sample_channels(flat, random, shown, readout, entry, side, n, fraction)
                    n += 1
                start[side] = n
            if readout.madc_place.size > 0:
                n, fraction = madc, readout.madc_start + madc * readout.madc_spacing - step
                while madc < readout.madc_value.shape[1] and (
                    readout.madc_start + madc * readout.madc_spacing < step + 1.000001
                ):
                    madc += 1
                sample_madc(
                    flat, random, readout, arrived, entry, n, madc,
                    np.float32(min(max(fraction, 0.0), 1.0)), np.float32(readout.madc_spacing),
                )  # fmt: skip
                for j in range(readout.madc_place.size):
                    arrived.number[j] = 0
            if readout.trace_place.size > 0 and (step + 1) % readout.trace_every == 0:
                store_trace(flat, readout, entry, (step + 1) // readout.trace_every - 1, np.float32(h))
