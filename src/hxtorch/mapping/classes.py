"""Address classes: which drivers hear an event, decided by its bus and the masked bits of its row select.

All drivers of the chip use one mask, so the drivers of a bus fall into G = 1, 2, 4, ... 32 classes of 32 / G
drivers, and an event is heard by exactly one class, in both hemispheres. Within a class, 64 labels tell the
sources apart: G trades the number of sources on a bus, 64 G, against the rows at which each can be heard.

External events choose all bits of their label. Neurons choose bits 0 and 1 of the row select; bits 2 to 4
are the number of their event output (chip.md 1.2), of which bits 2 and 3 are the same on the whole bus and
bit 4 tells the halves of the chip apart. A mask therefore takes its bits in the order 0, 1, 4, 2, 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.places.coordinates import BUSES, DRIVERS_PER_BUS, LABELS

_BITS = (0, 1, 4, 2, 3)
MOST_GROUPS = DRIVERS_PER_BUS
MOST_GROUPS_OF_NEURONS = 8  # with more, the neurons of a bus would not reach all of its drivers
SELECT_SHIFT = 6  # of the row select within a label


@dataclass(frozen=True)
class Classes:
    """Partition of the drivers of every bus into `groups` classes; class ``bus * groups + g``."""

    groups: int

    @property
    def count(self) -> int:
        """Number of classes on the chip."""
        return BUSES * self.groups

    @property
    def drivers_per_class(self) -> int:
        """Drivers of a class in each hemisphere."""
        return DRIVERS_PER_BUS // self.groups

    @property
    def labels(self) -> int:
        """Sources that the chip tells apart."""
        return self.count * LABELS

    @cached_property
    def mask(self) -> int:
        """Row-select mask of all drivers."""
        return sum(1 << bit for bit in self._bits)

    @property
    def _bits(self) -> tuple[int, ...]:
        return _BITS[: self.groups.bit_length() - 1]

    @cached_property
    def bus(self) -> NDArray[np.int64]:
        """Bus of every class."""
        return np.arange(self.count) // self.groups

    @cached_property
    def select(self) -> NDArray[np.int64]:
        """Row select of the events of every class; bits outside of the mask are 0."""
        group = np.arange(self.count) % self.groups
        return np.asarray(sum(((group >> i) & 1) << bit for i, bit in enumerate(self._bits)) + np.zeros_like(group))

    @cached_property
    def drivers(self) -> NDArray[np.int64]:
        """Drivers (classes, drivers per class) that hear a class."""
        positions = np.arange(DRIVERS_PER_BUS)
        hears = ((positions ^ self.select[:, None]) & self.mask) == 0
        return np.stack([BUSES * np.flatnonzero(row) + bus for row, bus in zip(hears, self.bus, strict=True)])

    @cached_property
    def of_output(self) -> NDArray[np.bool_]:
        """Classes (event outputs, classes) that the neurons of an event output can choose."""
        output = np.arange(2 * BUSES)[:, None]
        fixed = self.mask & 0b11100
        same_bus = self.bus == output % BUSES
        return np.asarray(same_bus & (((self.select ^ (output << 2)) & fixed) == 0))


@lru_cache(maxsize=8)
def classes(groups: int) -> Classes:
    """Classes of a number of groups, made once."""
    return Classes(groups)
