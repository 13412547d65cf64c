"""Indices of spikes: which inputs fired in each row (one time step of one batch entry).

An index is made once per tensor and kept with it, so that all synapses that read the same spikes, and their
backward passes, share it. Writing to the tensor afterwards makes it void.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxtorch.snn.functional.kernels.sparse import count_spikes, fill_columns, sum_counts
from hxtorch.snn.functional.threads import share

PARALLEL_FROM = 200_000  # elements
MAX_SPIKES = 2**31 - 1


@dataclass(frozen=True)
class SpikeIndex:
    """Spikes of row r are `columns[start[r]:start[r + 1]]`, ascending; every one counts as 1."""

    start: NDArray[np.int32]
    columns: NDArray[np.int32]
    rows: int
    size: int

    @property
    def density(self) -> float:
        """Spikes per row and input."""
        return len(self.columns) / max(1, self.rows * self.size)


def index_of(spikes: Tensor) -> SpikeIndex | None:
    """The index of a float32 tensor (..., size) on the CPU; None if it has entries other than 0 and 1."""
    kept: tuple[int, SpikeIndex | None] | None = getattr(spikes, "_hxtorch_index", None)
    if kept is not None and kept[0] == spikes._version:
        return kept[1]
    index = _build(spikes)
    spikes._hxtorch_index = (spikes._version, index)  # type: ignore[attr-defined]  # torch lets tensors carry more
    return index


def _build(spikes: Tensor) -> SpikeIndex | None:
    size = spikes.shape[-1]
    flat = spikes.detach().contiguous().numpy().reshape(-1, size)
    rows = flat.shape[0]
    parallel = flat.size >= PARALLEL_FROM
    counts = np.empty(rows, np.int32)
    threads = torch.get_num_threads() + 1
    graded = np.zeros(threads, np.int64)

    def count(begin: int, end: int) -> None:
        # ranges are at least a thread's share long, so every one has a slot of its own
        count_spikes(flat, counts, graded, begin * threads // (rows + 1), begin, end)

    share(count, rows, parallel)
    if graded.any():
        return None
    start = np.empty(rows + 1, np.int32)
    sum_counts(counts, start)
    columns = np.empty(start[-1], np.int32)
    share(lambda begin, end: fill_columns(flat, start, columns, begin, end), rows, parallel)
    return SpikeIndex(start, columns, rows, size)
