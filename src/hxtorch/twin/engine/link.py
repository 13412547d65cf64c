"""The way of spikes off the chip: time stamps on the 8 ns grid, and events that are lost under load (chip.md 5.5).

All events leave the chip through one link that carries one event in `LINK_CYCLES`. Those that come faster wait
in a buffer of `LINK_BUFFER` events. An event that finds the buffer full is lost. Of the others a small part is
lost, too: `spike_loss` when the link is idle, growing in proportion to the filled part of the buffer up to
`LINK_BUSY_LOSS` where it is full. Of events in one cycle, none is always first.

The spike counters of the neurons sit in front of the link and miss nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import inner_kernel, kernel
from hxtorch.twin.engine.random import mix


class Link(NamedTuple):
    """Link of one run.

    Times in steps become stamps by ``rint(time * scale + offset)`` cycles, of which `runtime` and fewer are kept.
    `circuits` (lanes,) names the lanes; `sends` (512,) which circuits' events leave the chip, `recorded` (512,)
    which are wanted. `load` (0 or more) multiplies losses beyond `idle_loss`; `buffer` in events, `cycles` per
    event.
    """

    scale: float
    offset: float
    runtime: int
    circuits: NDArray[np.int64]
    sends: NDArray[np.bool_]
    recorded: NDArray[np.bool_]
    idle_loss: float
    busy_loss: float
    load: float
    buffer: float
    cycles: float


@inner_kernel()
def _uniform(key: np.uint64, entry: int, circuit: int, stamp: int) -> float:
    """Uniform number in [0, 1) of one event."""
    z = mix(key + np.uint64(entry) * np.uint64(0xD1B54A32D192ED03))
    z = mix(z + np.uint64(circuit) * np.uint64(0x8CB92BA72F3D8DD7) + np.uint64(stamp))
    return np.float64(z >> np.uint64(11)) / np.float64(9007199254740992.0)


@inner_kernel(allocates=True)
def _sort_by_time(
    entry: NDArray[np.int64], stamp: NDArray[np.int64], lane: NDArray[np.int64], runtime: int
) -> None:
    """Sort the spikes of each entry by stamp and, at the same stamp, by circuit; stamps end at `runtime`."""
    place = np.empty(entry.size + 2, dtype=np.int64)
    other_stamp, other_lane = np.empty(entry.size, dtype=np.int64), np.empty(entry.size, dtype=np.int64)
    begin = 0
    while begin < entry.size:
        end = begin + 1
        while end < entry.size and entry[end] == entry[begin]:
            end += 1
        # Put them into as many equal pieces of time as there are spikes, then in order among their neighbours.
        size = end - begin
        scale = size / (runtime + 1.0)
        place[: size + 1] = 0
        for i in range(begin, end):
            place[np.int64(max(stamp[i], 0) * scale) + 1] += 1
        for piece in range(size):
            place[piece + 1] += place[piece]
        for i in range(begin, end):
            piece = int(max(stamp[i], 0) * scale)
            other_stamp[place[piece]], other_lane[place[piece]] = stamp[i], lane[i]
            place[piece] += 1
        for i in range(size):
            when, circuit = other_stamp[i], other_lane[i]
            j = begin + i
            while j > begin and (stamp[j - 1] > when or (stamp[j - 1] == when and lane[j - 1] > circuit)):
                stamp[j], lane[j] = stamp[j - 1], lane[j - 1]
                j -= 1
            stamp[j], lane[j] = when, circuit
        begin = end


@kernel(allocates=True)
def transmit(
    entry: NDArray[np.int64],
    time: NDArray[np.float64],
    lane: NDArray[np.int64],
    used: int,
    key: np.uint64,
    link: Link,
    counts: NDArray[np.int64],
) -> tuple[NDArray[np.int64], int, int]:
    """Stamp, sort and thin the spikes of one worker, in place.

    Spikes come sorted by entry. Afterwards `lane` holds circuits and `entry`,
    `stamp` the rest of those that arrived; `counts` (B, 512), if it is not empty, the spikes of each circuit
    that were sent. Returns stamps, how many arrived and how many were lost.
    """
    stamp = np.empty(used, dtype=np.int64)
    n = 0
    for i in range(used):
        circuit = link.circuits[lane[i]]
        when = np.int64(np.rint(time[i] * link.scale + link.offset))
        if link.sends[circuit] and when <= link.runtime:
            entry[n], stamp[n], lane[n] = entry[i], when, circuit
            n += 1
    _sort_by_time(entry[:n], stamp, lane, link.runtime)
    survives = np.zeros(n, dtype=np.bool_)
    waiting, last = 0.0, np.int64(0)
    i = 0
    while i < n:
        new_entry = i == 0 or entry[i] != entry[i - 1]
        waiting = 0.0 if new_entry else max(waiting - (stamp[i] - last) / link.cycles, 0.0)
        last = stamp[i]
        size = 1
        while i + size < n and entry[i + size] == entry[i] and stamp[i + size] == last:
            size += 1
        turn = np.int64(_uniform(key, entry[i], 512, last) * size)
        for m in range(size):
            event = i + (m + turn) % size
            full = link.load > 0 and waiting >= link.buffer
            filled = min(link.load * waiting / link.buffer, 1.0)
            chance = link.idle_loss + filled * max(link.busy_loss - link.idle_loss, 0.0)
            survives[event] = not full and _uniform(key, entry[event], lane[event], last) >= chance
            if survives[event]:
                waiting += 1
        i += size
    arrived, lost = 0, 0
    for i in range(n):
        if counts.size > 0:
            counts[entry[i], lane[i]] += 1
        if not link.recorded[lane[i]]:
            continue
        if not survives[i]:
            lost += 1
            continue
        entry[arrived], stamp[arrived], lane[arrived] = entry[i], stamp[i], lane[i]
        arrived += 1
    return stamp, arrived, lost
