"""Which circuits share a membrane: the switches between neighbouring circuits, resolved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.coordinates import CIRCUITS, COLUMNS

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def membrane_groups(connect_right: BoolArray, connect_vertical: BoolArray) -> IntArray:
    """Which membrane each circuit (512,) belongs to: the lowest circuit of all those joined with it."""
    right = np.flatnonzero(connect_right)
    vertical = np.flatnonzero(connect_vertical[:COLUMNS] | connect_vertical[COLUMNS:])
    return lowest_connected(np.concatenate([right, vertical]), np.concatenate([right + 1, vertical + COLUMNS]))


def lowest_connected(ends: IntArray, others: IntArray) -> IntArray:
    """Lowest circuit (512,) that each circuit is connected with by links from `ends` to `others`."""
    lowest = np.arange(CIRCUITS)
    while True:
        link = np.minimum(lowest[ends], lowest[others])
        joined = lowest.copy()
        np.minimum.at(joined, ends, link)
        np.minimum.at(joined, others, link)
        joined = joined[joined]
        if np.array_equal(joined, lowest):
            return lowest
        lowest = joined
