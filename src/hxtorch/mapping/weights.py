"""Weights of a projection in the rows of its synapses; a kernel of its own, which need not know a mapping."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import kernel
from hxtorch.twin.places.coordinates import COLUMNS, MAX_WEIGHT


@kernel()
def write_weights(matrix: NDArray[np.int64], synapses: NDArray[np.int64], weights: NDArray[np.uint8]) -> bool:
    """Write flat signed `matrix` into the rows of its `synapses`; returns whether all of them fit."""
    for i in range(matrix.size):
        weight = matrix[i]
        offset = 0
        if weight < 0:
            weight, offset = -weight, COLUMNS
        for p in range(synapses.shape[0]):
            part = min(weight, MAX_WEIGHT)
            weights[synapses[p, i] + offset] = part
            weight -= part
        if weight > 0:
            return False
    return True
