"""The membranes of a run and what acts on them, as the kernels see them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Rails = tuple[np.float32, np.float32, np.float32, np.float32]
"""Floor, 1 / its width, ceiling, 1 / its width."""


class Board(NamedTuple):
    """The membranes of a run: see `membranes.Membranes` and `lanes.LaneParameters`.

    `circuits` (lanes,) keys the random numbers of each lane, `route` (lanes,) is the source of events that its
    spikes are, or -1; `spike_delay` (lanes,) counts the steps from crossing the threshold to the spike.
    """

    rows: NDArray[np.float32]
    layers: NDArray[np.int64]
    column: NDArray[np.int64]
    features: NDArray[np.int64]
    rails: Rails
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
