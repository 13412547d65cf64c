"""Indices of spikes: which inputs fired in each row (one time step of one batch entry).

An index is a copy of what a tensor holds at the moment when it is made. It belongs to the run that makes it and is
carried by what a layer hands on (`carried`); nothing keeps one with a tensor, whose memory others may write to.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxtorch.shapes import RowPlaces, SpikeColumns
from hxtorch.snn.functional.kernels.sparse import find_spikes
from hxtorch.snn.functional.kernels.threads import share
from hxtorch.snn.functional.memory.carried import Carried, Fill, blank
from hxtorch.snn.functional.memory.workspace import empty
from hxtorch.snn.shapes import Inputs, SpikeRows

PARALLEL_FROM = 200_000  # elements
SMALL = 100_000  # elements
LARGEST_SHARE = 4  # of the elements of a large tensor may be spikes: one in so many


@dataclass(frozen=True)
class SpikeIndex:
    """Spikes of row r are `columns[start[r]:stop[r]]`, ascending; every one counts as 1."""

    start: RowPlaces
    stop: RowPlaces
    columns: SpikeColumns
    size: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.start)

    @cached_property
    def count(self) -> int:
        """Number of spikes."""
        return int(self.stop.sum() - self.start.sum())

    def part(self, begin: int, end: int) -> SpikeIndex:
        """The rows begin..end-1."""
        return SpikeIndex(self.start[begin:end], self.stop[begin:end], self.columns, self.size)

    def places(self, order: NDArray[np.int64] | None = None) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Row and column of every spike, row by row; `order` is another order of the rows."""
        rows = np.arange(self.rows) if order is None else order
        start, per_row = self.start[rows], (self.stop - self.start)[rows]
        # the lists of the rows need not follow each other without a gap
        place = np.arange(per_row.sum()) + np.repeat(start - np.cumsum(per_row) + per_row, per_row)
        return np.repeat(rows, per_row), self.columns[place]

    def dense(self) -> SpikeRows:
        """The spikes as float32."""
        spikes = empty((self.rows, self.size)).zero_()
        spikes.numpy()[self.places()] = 1
        return spikes


def index_of(spikes: Inputs) -> SpikeIndex | None:
    """The index of a float32 tensor (..., size) on the CPU, as it is now.

    None if it has entries other than 0 and 1, or so many spikes that no product from indices pays.
    """
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


class CarriedSpikes(Carried):
    """Spikes (..., size) of a run, with their index once somebody has asked for it.

    An `index` given from the start may stand for the numbers of a tensor that is still to be filled.
    """

    def __init__(self, tensor: Inputs, index: SpikeIndex | None = None, fill: Fill | None = None) -> None:
        super().__init__(tensor, fill)
        self._index = index
        self._looked = index is not None

    @property
    def has_index(self) -> bool:
        """Whether there is an index already."""
        return self.is_private and self._index is not None

    def index(self) -> SpikeIndex | None:
        """What `index_of` finds, once as long as nobody outside of the run can write to the spikes."""
        if not self.is_private:
            return index_of(self.values())
        if not self._looked:
            self._index, self._looked = index_of(self.values()), True
        return self._index

    def read(self) -> Tensor:
        """The tensor for scripts. Those may write to it, so the index no longer counts."""
        tensor = super().read()
        self._index = None
        return tensor


def indexed_spikes(index: SpikeIndex, shape: torch.Size) -> CarriedSpikes:
    """Spikes of which only the index is in memory, until somebody reads them."""
    return CarriedSpikes(blank(shape), index, lambda: index.dense().view(shape))


def carried_spikes(value: Tensor | Carried) -> CarriedSpikes:
    """Spikes as carried ones; of a tensor that somebody else holds, nothing is remembered."""
    if isinstance(value, CarriedSpikes):
        return value
    made = CarriedSpikes(value.read() if isinstance(value, Carried) else value)
    made.read()
    return made


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
