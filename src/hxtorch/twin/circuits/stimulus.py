"""A program's input events and its way of spikes, in the steps and units of the engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import kernel
from hxtorch.twin.engine.board import Stimulus
from hxtorch.twin.engine.link import Link
from hxtorch.twin.pattern import process
from hxtorch.twin.pattern.fixed_pattern import FixedPattern
from hxtorch.twin.pattern.noise import Noise
from hxtorch.twin.places.coordinates import CIRCUITS, CYCLES_PER_US
from hxtorch.twin.program import InputEvents, Program, ProgramError

_UNIFORM_TO_NORMAL = np.sqrt(3.0)  # a uniform number in (-1, 1) has variance 1/3


def input_stimulus(program: Program, die: FixedPattern, noise: Noise, h: float, origin: float) -> Stimulus:
    """Sort events into steps of `h` µs, the first of which starts at `origin` µs; refuse unsorted ones."""
    events = program.events
    _check_events(events, program.batch_size)
    latency = 0.0 if die.nominal else process.INPUT_LATENCY.value
    step, fraction = np.empty(events.time.size, dtype=np.int64), np.empty(events.time.size, dtype=np.float32)
    _place_events(events.time, 1 / (CYCLES_PER_US * h), (latency - origin) / h, step, fraction)
    resets = np.rint((np.asarray(sorted(program.resets)) / CYCLES_PER_US - origin) / h)
    decay = np.exp(-h / noise.membrane_time)
    return Stimulus(
        first=np.searchsorted(events.entry, np.arange(program.batch_size + 1)).astype(np.int64),
        step=step,
        fraction=fraction,
        source=np.require(events.source, np.int64, ["C", "W"]),  # one layout: one compiled kernel
        resets=resets.astype(np.int64),
        latency=0.0 if die.nominal else process.ONCHIP_LATENCY.value / h,
        charge_sigma=np.float32(noise.charge),
        threshold_sigma=np.float32(noise.threshold),
        noise_sigma=np.float32(noise.membrane),
        noise_rate=np.float32(h / noise.membrane_time),
        noise_decay=np.float32(decay),
        noise_step=np.float32(noise.membrane * np.sqrt(1 - decay**2) * _UNIFORM_TO_NORMAL),
    )


def spike_link(
    program: Program, die: FixedPattern, noise: Noise, circuits: NDArray[np.int64], h: float, origin: float
) -> Link:
    """Link of a run whose lanes are `circuits` (larger numbers than those of circuits do not spike)."""
    recorded = np.zeros(CIRCUITS, dtype=np.bool_)
    recorded[program.record.spikes] = True
    latency = 0.0 if die.nominal else process.SPIKE_LATENCY.value
    return Link(
        scale=h * CYCLES_PER_US,
        offset=(origin + latency) * CYCLES_PER_US,
        runtime=program.runtime,
        circuits=circuits,
        sends=np.require(program.config.enable_events, np.bool_, ["C", "W"]),
        recorded=recorded,
        idle_loss=float(noise.spike_loss),
        busy_loss=process.LINK_BUSY_LOSS.value,
        load=float(noise.link_load),
        buffer=process.LINK_BUFFER.value,
        cycles=process.LINK_CYCLES.value,
    )


def _check_events(events: InputEvents, batch_size: int) -> None:
    if events.entry.size == 0:
        return
    if not events.entry.shape == events.time.shape == events.source.shape:
        raise ProgramError("Input events need one entry, one time and one source each.")
    fault = _first_fault(events.entry, events.time, events.source, batch_size, events.addresses.size)
    if fault == 1:
        raise ProgramError(f"An input event belongs to no batch entry 0..{batch_size - 1}.")
    if fault == 2:
        raise ProgramError("An input event has a source without an address.")
    if fault == 3:
        raise ProgramError("An input event lies before the start of the run.")
    if fault == 4:
        raise ProgramError("Input events must be sorted by batch entry and time.")


@kernel()
def _place_events(
    time: NDArray[np.int64], scale: float, shift: float, step: NDArray[np.int64], fraction: NDArray[np.float32]
) -> None:
    """Step in which each event arrives, and how much of it (in steps) is over by then."""
    for i in range(time.size):
        arrival = time[i] * scale + shift
        whole = np.floor(arrival + 1e-6)
        step[i], fraction[i] = np.int64(whole), np.float32(max(arrival - whole, 0.0))


@kernel()
def _first_fault(
    entry: NDArray[np.int64], time: NDArray[np.int64], source: NDArray[np.int64], entries: int, sources: int
) -> int:
    """What is wrong with the first event that has a fault (see `_check_events`), or 0."""
    for i in range(entry.size):
        if entry[i] < 0 or entry[i] >= entries:
            return 1
        if source[i] < 0 or source[i] >= sources:
            return 2
        if time[i] < 0:
            return 3
        if i > 0 and (entry[i] < entry[i - 1] or (entry[i] == entry[i - 1] and time[i] < time[i - 1])):
            return 4
    return 0
