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

from hxtorch.snn.functional.kernels.sparse import find_spikes
from hxtorch.snn.functional.threads import share
from hxtorch.snn.functional.workspace import empty

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
    start = np.zeros(rows + 1, np.int32)
    room = empty((flat.size,), torch.int32).numpy()
    found: list[tuple[int, int, int]] = []  # first row, spikes, graded spikes of a range of rows

    def find(begin: int, end: int) -> None:
        found.append((begin, *find_spikes(flat, start, room, begin, end)))

    share(find, rows, parallel=flat.size >= PARALLEL_FROM)
    if any(graded for _, _, graded in found):
        return None
    found.sort()
    pieces = [room[begin * size : begin * size + count] for begin, count, _ in found]
    before = 0
    for (begin, count, _), (end, _, _) in zip(found, [*found[1:], (rows, 0, 0)], strict=True):
        if before:
            start[begin + 1 : end + 1] += before
        before += count
    return SpikeIndex(start, np.concatenate(pieces), rows, size)
