"""Compartments that exchange charge: cells of membranes, each with the propagator of half a step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import inner_kernel
from hxtorch.twin.engine.layout import V


class Coupling(NamedTuple):
    """Cells of membranes that exchange charge: cell c has `size[c]` members, whose places follow in `place`.

    `matrix` holds, one cell after the other, the propagator of half a step.
    """

    size: NDArray[np.int64]
    place: NDArray[np.int64]
    matrix: NDArray[np.float32]


def no_coupling() -> Coupling:
    """Return what the kernel gets where no compartments are coupled."""
    return Coupling(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32))


@inner_kernel()
def couple(a: NDArray[np.float32], coupling: Coupling, before: NDArray[np.float32]) -> None:
    """Let the compartments exchange charge for half a step; `before` is scratch for the largest cell."""
    first, m = 0, 0
    for c in range(coupling.size.size):
        n = coupling.size[c]
        for i in range(n):
            before[i] = a[coupling.place[first + i] + V]
        for i in range(n):
            v = np.float32(0)
            for j in range(n):
                v += coupling.matrix[m + i * n + j] * before[j]
            a[coupling.place[first + i] + V] = v
        first += n
        m += n * n
