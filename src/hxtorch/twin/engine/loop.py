"""The time loop: batch entries one after the other, each of them block by block and step by step.

One step: deliver the events that arrive in it (`delivery`), sum up the currents and advance the membranes (`step`,
`terms`), place spikes and resets at their own times (`spiking`), let compartments exchange charge (`coupling`),
and sample (`readout`, `madc`). Blocks that need nothing from each other make all their steps one after the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import inner_kernel, kernel
from hxtorch.twin.engine.arguments import Run, Scratch, SpikeBuffer
from hxtorch.twin.engine.board import Board, Rails, Stimulus
from hxtorch.twin.engine.coupling import couple
from hxtorch.twin.engine.delivery import AHEAD, ON_TIME, add_delivery, deliver
from hxtorch.twin.engine.layout import (
    CONDUCTANCE_MODE,
    LANES,
    LAYER_ROWS,
    MEMBRANE_ROWS,
    WITH_ADAPTATION,
    WITH_EXPONENTIAL,
    WORD,
    Index,
)
from hxtorch.twin.engine.madc import note_arrival, sample_madc
from hxtorch.twin.engine.plasticity import Plasticity, efficacy
from hxtorch.twin.engine.random import bytes_normal, key, mix
from hxtorch.twin.engine.readout import (
    Readout,
    cadc_due,
    first_sample,
    next_sample,
    sample_block,
    sample_channels,
    start_readout,
    store_trace,
)
from hxtorch.twin.engine.spiking import NO_SPIKE, command_reset, lowest_lane, resolve
from hxtorch.twin.engine.start import start_membranes
from hxtorch.twin.engine.step import advance_lines, advance_membrane, begin_step, busy_lanes
from hxtorch.twin.engine.terms import (
    add_adaptation,
    add_conductances,
    advance_adaptation,
    apply_conductances,
    crossed_again,
    exponential_flow,
    find_conductances,
)


@kernel()
def run_entries(run: Run, scratch: Scratch, spikes: SpikeBuffer, begin: int, end: int) -> None:
    """Emulate the batch entries ``begin..end-1`` of a `Run` in the memory of one worker (`Scratch`).

    Every entry has its own random streams, keyed by (seed, entry, circuit), so results depend neither on the number
    of workers nor on the order of entries. `spikes` (`SpikeBuffer`) are sorted by entry; if they overflow, `used`
    says by how much.
    """
    board, stimulus, readout = run.board, run.stimulus, run.readout
    flat = scratch.rows.reshape(-1)
    columns, rows, lanes = run.charges.charge.shape
    charge = run.charges.charge.reshape((columns, rows * lanes))
    for entry in range(begin, end):
        start_membranes(scratch.rows, board, stimulus, run.seed, entry)
        start_readout(scratch.converter_random, readout, run.seed, entry)
        _start_drivers(scratch.drivers, run.plasticity)
        charge_key = key(run.seed, entry, np.int64(1 << 20))
        scratch.next_sample[1, 0] = scratch.next_sample[1, 1] = 0
        event, delivered, pending, reset = stimulus.first[entry], 0, 0, 0
        madc: Index = np.int64(0)  # as a literal, sample_madc would be compiled twice
        for window in range(0, run.steps, run.together):
            window_end = min(window + run.together, run.steps)
            noted, event, delivered, pending = _collect(
                scratch, run, charge_key, window, window_end, event, stimulus.first[entry + 1], delivered, pending
            )
            reset, pending = _advance_window(
                flat, scratch, run, charge, spikes, entry, window, window_end, noted, reset, pending
            )
            madc = _sample_circuits(flat, scratch, readout, entry, window_end - 1, run.h, madc)


@inner_kernel(inline=True)
def _start_drivers(drivers: NDArray[np.float32], plasticity: Plasticity) -> None:
    """Let all drivers with plasticity be recovered."""
    for i in range(plasticity.recover.size):
        drivers[0, i], drivers[1, i] = plasticity.recover[i], 0


# --- Events -------------------------------------------------------------------------------------------------


@inner_kernel(inline=True)
def _collect(
    scratch: Scratch,
    run: Run,
    charge_key: np.uint64,
    window: int,
    window_end: int,
    event: int,
    last: int,
    delivered: int,
    pending: int,
) -> tuple[int, int, int, int]:
    """Note what the lines get from the events that arrive in a window: those on the chip, then those from outside.

    `event` is the next one from outside, `delivered` counts all of this entry, `pending` those that wait on the
    chip. Returns how many deliveries are noted, and these three.
    """
    stimulus = run.stimulus
    noted, kept, waiting = 0, 0, 0
    while True:
        if waiting < pending:
            due, source = scratch.pending_time[waiting], scratch.pending_source[waiting]
            waiting += 1
            if due >= window_end:
                scratch.pending_time[kept], scratch.pending_source[kept] = due, source
                kept += 1
                continue
            step, f = window, np.float32(due - window)
        elif event < last and stimulus.step[event] < window_end:
            source, step, f = stimulus.source[event], stimulus.step[event], stimulus.fraction[event]
            event += 1
        else:
            break
        strength = _charge(charge_key, delivered, stimulus.charge_sigma)
        noted = _note(scratch, noted, run, source, step, f, strength)
        delivered += 1
    return noted, event, delivered, kept


@inner_kernel(inline=True)
def _charge(charge_key: np.uint64, number: int, sigma: np.float32) -> np.float32:
    """Relative charge of the event `number` of an entry."""
    if sigma == 0:
        return np.float32(1)
    return np.float32(1) + sigma * bytes_normal(np.uint32(mix(charge_key + np.uint64(number))))


@inner_kernel(inline=True)
def _note(scratch: Scratch, n: int, run: Run, source: int, step: int, f: np.float32, strength: np.float32) -> int:
    """Note what the lines get from one event, `f` steps after the start of `step`; `n` are noted already."""
    charges, readout = run.charges, run.readout
    driver, q = -1, strength
    for at in range(charges.first[source], charges.first[source + 1]):
        row = charges.row[at]
        if charges.driver[row] >= 0 and charges.driver[row] != driver:
            driver = charges.driver[row]
            q = strength * efficacy(run.plasticity, scratch.drivers, driver, step + f)
        add_delivery(scratch.deliveries, n, charges, step, row, f, q if driver >= 0 else strength)
        n += 1
        if readout.madc_place.size > 0 and f > ON_TIME:
            note_arrival(scratch.arrivals, scratch.rows, run.board, charges, row, q, f, readout)
    return n


# --- Membranes ----------------------------------------------------------------------------------------------


@inner_kernel(inline=True)
def _advance_window(
    flat: NDArray[np.float32],
    scratch: Scratch,
    run: Run,
    charge: NDArray[np.float32],
    spikes: SpikeBuffer,
    entry: int,
    window: int,
    window_end: int,
    noted: int,
    reset: int,
    pending: int,
) -> tuple[int, int]:
    """Let all blocks make the steps of a window; `reset` is the next commanded one, `charge` has a row per column.

    Returns the next reset, and how many events wait on the chip.
    """
    board, coupling, readout, h = run.board, run.coupling, run.readout, run.h
    start, sample = scratch.next_sample[1], scratch.next_sample[0]
    samples = window <= next_sample(readout, entry, start, h) < window_end
    parts = 2 if coupling.size.size > 0 else 1  # coupled membranes are sampled after all blocks have made the step
    r = reset
    for part in range(parts):
        if parts > 1:
            couple(flat, coupling, scratch.cell)
        for b in range(board.layers.size):
            due: Index = -1
            last: Index = np.int64(0)  # as a literal, deliver would be compiled twice
            if part == 0:
                r = reset
            if samples and part == parts - 1:
                due = first_sample(readout, entry, b, start, sample, h)
            for step in range(window, window_end):
                if part == 0:
                    r = _reset_block(scratch.rows, b, run.stimulus, step, r)
                    last = _deliver_step(scratch, run, charge, b, noted, last, step)
                    pending = _advance_step(scratch, run, spikes, entry, b, step, pending)
                if step == due:
                    due = _sample_membranes(scratch, readout, entry, b, step, h)
    return r, pending


@inner_kernel(inline=True)
def _reset_block(a: NDArray[np.float32], b: int, stimulus: Stimulus, step: int, r: int) -> int:
    """Reset a block where that is commanded in this step, number `r` and what follows; return the next one."""
    while r < stimulus.resets.size and stimulus.resets[r] == step:
        command_reset(a, b)
        r += 1
    return r


@inner_kernel(inline=True)
def _deliver_step(
    scratch: Scratch, run: Run, charge: NDArray[np.float32], b: int, noted: int, first: Index, step: int
) -> Index:
    """Bring the deliveries from `first` on that belong to a step to block `b`; return the next one."""
    a, board, deliveries = scratch.rows, run.board, scratch.deliveries
    last = first
    while last < noted and deliveries.step[last] == step:
        last += 1
    for layer in range(board.layers[b] if last > first else 0):
        lines, column = a[b, MEMBRANE_ROWS + layer * LAYER_ROWS :], board.column[b] + layer
        # what this block gets next, or the next block gets
        later, coming = AHEAD, charge[column]
        if run.together == 1:
            later, coming = 0, charge[min(column + 1, charge.shape[0] - 1)]
        deliver(lines, charge[column], coming, deliveries, first, last, later, b, run.charges.charge.shape[2])
    return last


@inner_kernel(inline=True)
def _advance_step(
    scratch: Scratch, run: Run, spikes: SpikeBuffer, entry: int, b: int, step: int, pending: int
) -> int:
    """Let block `b` make one step; return how many events wait on the chip."""
    a, board, stimulus = scratch.rows, run.board, run.stimulus
    if _advance(a, b, board.layers[b], board.features[b], board.rails, stimulus.noise_decay, stimulus.noise_step):
        pending = _resolve_block(scratch, board, stimulus, spikes, entry, b, step, pending)
    if board.features[b] & WITH_ADAPTATION:
        advance_adaptation(a, b)
    return pending


@inner_kernel(inline=True)
def _advance(
    a: NDArray[np.float32],
    b: int,
    layers: int,
    features: int,
    rails: Rails,
    decay: np.float32,
    noise_step: np.float32,
) -> np.int32:
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


@inner_kernel(inline=True)
def _resolve_block(
    scratch: Scratch,
    board: Board,
    stimulus: Stimulus,
    spikes: SpikeBuffer,
    entry: int,
    b: int,
    step: int,
    pending: int,
) -> int:
    """Place spikes and resets of a block inside the last step; return how many of its events wait on the chip."""
    a = scratch.rows
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
        if board.route[lane] >= 0 and pending < scratch.pending_time.size:
            scratch.pending_time[pending] = time + stimulus.latency
            scratch.pending_source[pending] = board.route[lane]
            pending += 1
    return pending


# --- Converters ---------------------------------------------------------------------------------------------


@inner_kernel(inline=True)
def _sample_membranes(scratch: Scratch, readout: Readout, entry: int, b: int, step: int, h: float) -> Index:
    """Take the CADC samples of a step of those circuits whose membranes lie in block `b`, one to a lane.

    Returns the step of the next samples, or -1.
    """
    sample = scratch.next_sample[0]
    for side in range(2):
        n = sample[side]
        while cadc_due(readout, entry, side, n, (step + 1) * h):
            fraction = np.float32(readout.cadc_time[entry, side, n] / h - step)
            sample_block(
                scratch.rows, b, scratch.converter_random, scratch.shown, readout, entry, side, n, fraction
            )
            n += 1
        sample[side] = n
    return next_sample(readout, entry, sample, h)


@inner_kernel(inline=True)
def _sample_circuits(
    flat: NDArray[np.float32], scratch: Scratch, readout: Readout, entry: int, step: int, h: float, madc: Index
) -> Index:
    """Sample what needs to see all blocks at once, which make one step at a time; return the next MADC sample."""
    random, start = scratch.converter_random, scratch.next_sample[1]
    for side in range(2):
        n = start[side]
        while cadc_due(readout, entry, side, n, (step + 1) * h):
            if readout.cadc_lane[side] < 0:
                fraction = np.float32(readout.cadc_time[entry, side, n] / h - step)
                sample_channels(flat, random, scratch.shown, readout, entry, side, n, fraction)
            n += 1
        start[side] = n
    if readout.madc_place.size > 0:
        n, since = madc, readout.madc_start + madc * readout.madc_spacing - step
        while madc < readout.madc_value.shape[1] and (
            readout.madc_start + madc * readout.madc_spacing < step + 1.000001
        ):
            madc += 1
        sample_madc(
            flat, random, readout, scratch.arrivals, entry, n, madc,
            np.float32(min(max(since, 0.0), 1.0)), np.float32(readout.madc_spacing),
        )  # fmt: skip
        for j in range(readout.madc_place.size):
            scratch.arrivals.number[j] = 0
    if readout.trace_place.size > 0 and (step + 1) % readout.trace_every == 0:
        store_trace(flat, readout, entry, (step + 1) // readout.trace_every - 1, np.float32(h))
    return madc
