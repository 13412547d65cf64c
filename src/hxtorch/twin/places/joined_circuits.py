"""Which circuits are joined: by switches between neighbours, or over the soma line, into one membrane."""

from __future__ import annotations

import numpy as np

from hxtorch.shapes import BoolArray, IntArray
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS


def membrane_groups(
    connect_right: BoolArray, connect_vertical: BoolArray, connect_soma: BoolArray, connect_soma_right: BoolArray
) -> IntArray:
    """Which membrane each circuit (512,) belongs to: the lowest circuit of all those joined with it.

    Circuits are joined directly, or because both are tied to the same soma line.
    """
    right = np.flatnonzero(connect_right)
    vertical = np.flatnonzero(connect_vertical[:COLUMNS] | connect_vertical[COLUMNS:])
    tied = np.flatnonzero(connect_soma)
    line = soma_lines(connect_soma_right)[tied]
    tied = tied[np.argsort(line, kind="stable")]
    line = np.sort(line)
    same = line[1:] == line[:-1]
    return lowest_connected(
        np.concatenate([right, vertical, tied[:-1][same]]),
        np.concatenate([right + 1, vertical + COLUMNS, tied[1:][same]]),
    )


def soma_lines(connect_soma_right: BoolArray) -> IntArray:
    """Soma line (512,) that the piece of each circuit belongs to: its lowest circuit."""
    joined = np.flatnonzero(connect_soma_right)
    return lowest_connected(joined, joined + 1)


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
