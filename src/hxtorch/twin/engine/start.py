"""Where the membranes are when a batch entry begins."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import inner_kernel
from hxtorch.twin.engine.board import Board, Stimulus
from hxtorch.twin.engine.layout import (
    ADAPT_START,
    ADAPTATION,
    ARMED,
    LANES,
    LAYER_ROWS,
    MEMBRANE_ROWS,
    NOISE,
    PART_EXC,
    PART_INH,
    RANDOM,
    RATE_MEM,
    REST,
    START_SPREAD,
    STATE_ROWS,
    THRESHOLD,
    THRESHOLD_MEAN,
    V_BEFORE,
    X_EXC,
    X_INH,
    V,
)
from hxtorch.twin.engine.random import bytes_normal, circuit_key, entry_key, next_bits


@inner_kernel(inline=True)
def start_membranes(a: NDArray[np.float32], board: Board, stimulus: Stimulus, seed: np.uint64, entry: int) -> None:
    """Put every lane to rest; neurons that fire without input start somewhere on their rise."""
    common, zero = entry_key(seed, entry), np.float32(0)
    for b in range(board.layers.size):
        for k in range(STATE_ROWS * LANES):  # parameters stay
            a[b, k] = board.rows[b, k]
        for layer in range(board.layers[b]):
            lines = a[b, MEMBRANE_ROWS + layer * LAYER_ROWS :]
            for k in range(LANES):
                lines[X_EXC + k] = lines[X_INH + k] = zero
                lines[PART_EXC + k] = lines[PART_INH + k] = zero
        _draw_start(a, b, board.circuits[b * LANES :], stimulus, common)


@inner_kernel(inline=True)
def _draw_start(
    a: NDArray[np.float32], b: int, circuits: NDArray[np.int64], stimulus: Stimulus, common: np.uint64
) -> None:
    """Draw where the membranes of a block are, and the first numbers of their random streams."""
    sigma, jitter, noise_rate = stimulus.noise_sigma, stimulus.threshold_sigma, stimulus.noise_rate
    for lane in range(LANES):
        k = np.uint64(lane)  # none counts from the end
        stream = circuit_key(common, circuits[k])
        bits = np.uint32(stream >> np.uint64(32))
        bits = max(bits, np.uint32(1))
        phase = np.float32(np.int32(bits & np.uint32(65535))) / np.float32(65536)
        first = next_bits(bits)
        second = next_bits(first)
        rest = a[b, REST + k] + phase * a[b, START_SPREAD + k]
        noise = sigma * bytes_normal(first)
        # The membrane has followed the noise for a long time: variance and covariance are sigma^2 times this.
        share = a[b, RATE_MEM + k] / (a[b, RATE_MEM + k] + noise_rate)
        other = np.float32(math.sqrt(share - share * share)) * bytes_normal(np.uint32(stream))
        rest += share * noise + sigma * other
        threshold = a[b, THRESHOLD_MEAN + k] + jitter * bytes_normal(second)
        a[b, RANDOM + k] = np.uint32(second).view(np.float32)
        a[b, V + k] = rest
        a[b, V_BEFORE + k] = rest
        a[b, NOISE + k] = noise
        a[b, ADAPTATION + k] = a[b, ADAPT_START + k]
        a[b, THRESHOLD + k] = threshold
        a[b, ARMED + k] = threshold
