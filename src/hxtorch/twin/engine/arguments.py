"""What the time loop is given, by name: groups of arrays, and the memory of one worker."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.engine.board import Board, Stimulus
from hxtorch.twin.engine.coupling import Coupling
from hxtorch.twin.engine.delivery import Charges, Deliveries, deliveries, most_deliveries
from hxtorch.twin.engine.layout import LANES, aligned
from hxtorch.twin.engine.madc import Arrivals, arrivals
from hxtorch.twin.engine.plasticity import Plasticity
from hxtorch.twin.engine.readout import Readout


class Run(NamedTuple):
    """What all batch entries of a run have in common.

    A block of membranes makes `together` of the `steps` of `h` µs, then the next block makes the same ones: all
    steps where `blocks_are_independent`, which keeps what a block needs in the nearest cache, else one. `seed` is
    that of the trial, from which each lane of each entry gets its random numbers.
    """

    board: Board
    charges: Charges
    stimulus: Stimulus
    plasticity: Plasticity
    coupling: Coupling
    readout: Readout
    seed: np.uint64
    steps: int
    together: int
    h: float


class SpikeBuffer(NamedTuple):
    """Growing list of spikes of one worker: entry, time (steps) and lane; `used[0]` are valid."""

    entry: NDArray[np.int64]
    time: NDArray[np.float64]
    lane: NDArray[np.int64]
    used: NDArray[np.int64]


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
