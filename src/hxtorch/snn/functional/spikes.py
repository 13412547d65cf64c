"""Indices of spikes: which inputs fired in each row (one time step of one batch entry).

An index is made once per tensor and kept with it, so that all synapses that read the same spikes, and their
backward passes, share it. Writing to the tensor afterwards makes it void.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxtorch.snn.functional.kernels.sparse import find_spikes
from hxtorch.snn.functional.threads import share
from hxtorch.snn.functional.workspace import empty

PARALLEL_FROM = 200_000  # elements
SMALL = 100_000  # elements
LARGEST_SHARE = 4  # of the elements of a large tensor may be spikes: one in so many


@dataclass(frozen=True)
class SpikeIndex:
    """Spikes of row r are `columns[start[r]:stop[r]]`, ascending; every one counts as 1."""

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    columns: NDArray[np.int32]
    size: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.start)

    @cached_property
    def count(self) -> int:
        """Number of spikes."""
        return int(self.stop.sum() - self.start.sum())


def index_of(spikes: Tensor) -> SpikeIndex | None:
    """The index of a float32 tensor (..., size) on the CPU.

    None if it has entries other than 0 and 1, or so many spikes that no product from indices pays.
    """
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
    """Room in which a kernel lists the spikes of rows (R, size)."""

    def __init__(self, rows: int, size: int) -> None:
        self.size = size
        self.start = np.empty(rows, np.int64)
        self.stop = np.empty(rows, np.int64)
        self.columns = empty((_room(rows * size),), torch.int32).numpy()

    def index(self) -> SpikeIndex | None:
        """The index of all listed spikes; None if the room was too small."""
        if int(self.stop.min()) < 0:
            return None
        return SpikeIndex(self.start, self.stop, self.columns, self.size)


def _room(entries: int) -> int:
    """Entries of a list. Of large tensors with more spikes than that, dense products are faster anyway."""
    return entries if entries < SMALL else entries // LARGEST_SHARE


def _build(spikes: Tensor) -> SpikeIndex | None:
    size = spikes.shape[-1]
    flat = spikes.detach().contiguous().numpy().reshape(-1, size)
    rows = flat.shape[0]
    made = SpikeList(rows, size)
    room = len(made.columns)
    found: list[int] = []

    def find(begin: int, end: int) -> None:
        place, limit = room * begin // rows, room * end // rows
        found.append(find_spikes(flat, made.start, made.stop, made.columns, begin, end, place, limit))

    share(find, rows, parallel=flat.size >= PARALLEL_FROM)
    return None if any(found) else SpikeIndex(made.start, made.stop, made.columns, size)
