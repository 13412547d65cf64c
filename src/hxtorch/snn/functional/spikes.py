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

from hxtorch.snn.functional.kernels.sparse import find_spikes, pack_spikes
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
    known, index = _kept(spikes)
    if not known:
        index = _build(spikes)
        keep_index(spikes, index)
    return index


def has_index(spikes: Tensor) -> bool:
    """Whether the index was made before."""
    return _kept(spikes)[1] is not None


def keep_index(spikes: Tensor, index: SpikeIndex | None) -> None:
    """Keep what `index_of` returns, as long as the memory of `spikes` lives and is not written to."""
    if not spikes.is_inference():  # nobody notes whether such a tensor was written to
        # The storage outlives this view of it: the tensor that autograd saved is another one.
        spikes.untyped_storage()._hxtorch_index = (_key(spikes), index)  # type: ignore[attr-defined]


def _kept(spikes: Tensor) -> tuple[bool, SpikeIndex | None]:
    if spikes.is_inference() or not spikes.is_contiguous():
        return False, None
    key, index = getattr(spikes.untyped_storage(), "_hxtorch_index", (None, None))
    return (True, index) if key == _key(spikes) else (False, None)


def _key(spikes: Tensor) -> tuple[int, ...]:
    place = int(spikes.storage_offset()), spikes.shape[-1], spikes.numel()
    return spikes._version, *place, int(spikes.is_contiguous())


class SpikeList:
    """Room in which a kernel lists the spikes (T, B, N) that it makes."""

    def __init__(self, steps: int, entries: int, size: int) -> None:
        self.size = size
        self.places = np.empty(steps * entries, np.int64)
        self.counts = np.empty(steps * entries, np.int32)
        self.room = empty((steps * entries * size,), torch.int32).numpy()

    def index(self) -> SpikeIndex:
        """The index of all listed spikes."""
        rows = len(self.counts)
        start = np.zeros(rows + 1, np.int32)
        np.cumsum(self.counts, out=start[1:])
        columns = np.empty(start[-1], np.int32)
        share(
            lambda begin, end: pack_spikes(self.places, self.room, start, columns, begin, end),
            rows,
            parallel=len(columns) >= PARALLEL_FROM,
        )
        return SpikeIndex(start, columns, rows, self.size)


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
