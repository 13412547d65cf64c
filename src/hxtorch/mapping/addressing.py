"""What routing finds: address classes for all sources, and the class over which every connection goes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.mapping.assignment import Demand
from hxtorch.mapping.classes import Classes


@dataclass(frozen=True, eq=False)
class Addressing:
    """The class of every source, and over which one every connection goes: what a search found.

    * `classes`: the partition of the drivers.
    * `choices` (sources, copies): classes of every source, -1 where there are fewer.
    * `entry_class` (entries,): the class over which every connection goes.
    """

    classes: Classes
    choices: NDArray[np.int64]
    entry_class: NDArray[np.int64]
    demand: Demand
