"""Where the membranes of a run lie in the engine's memory: one to a lane, their circuits' lines in layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hxtorch.shapes import BoolArray, IntArray
from hxtorch.twin.engine.layout import LANES, LAYER_ROWS, MEMBRANE_ROWS
from hxtorch.twin.places.coordinates import CIRCUITS


@dataclass(frozen=True, eq=False)
class Membranes:
    """The membranes of a chip in use, in the order of their lanes.

    * `circuits` (n,): all circuits of these membranes, sorted by membrane; `lane` (n,) is the membrane of each
      and `layer` (n,) its place among the circuits of the membrane.
    * `speaker` (m,): the circuit of each membrane that spikes (the lowest where none does), which also keys
      its random numbers.
    * `layers`, `column` (blocks,): how many layers a block has and its first block of columns in the matrix of
      charges.
    """

    circuits: IntArray
    lane: IntArray
    layer: IntArray
    speaker: IntArray
    layers: IntArray
    column: IntArray

    @property
    def lanes(self) -> int:
        """Number of lanes, padding included."""
        return int(self.layers.size) * LANES

    @property
    def stride(self) -> int:
        """Size of the row of one block: odd in vectors, which spreads the blocks over the cache."""
        vectors = (MEMBRANE_ROWS + int(self.layers.max()) * LAYER_ROWS) // LANES
        return (vectors | 1) * LANES

    def place(self, lanes: IntArray) -> IntArray:
        """Where these lanes begin in the flat array of blocks; add the offset of a quantity of membranes."""
        return np.asarray(lanes // LANES * self.stride + lanes % LANES)

    @property
    def line_place(self) -> IntArray:
        """Where the lines of each circuit (n,) begin in the flat array; add the offset of a quantity of lines."""
        return np.asarray(self.place(self.lane) + MEMBRANE_ROWS + self.layer * LAYER_ROWS)

    @property
    def charge_column(self) -> IntArray:
        """Column of each circuit (n,) in the matrix of charges."""
        block = self.column[self.lane // LANES] + self.layer
        return np.asarray(block * LANES + self.lane % LANES)

    def position(self, circuits: IntArray) -> IntArray:
        """Place of some circuits in `circuits`."""
        where = np.full(CIRCUITS, -1, dtype=np.int64)
        where[self.circuits] = np.arange(self.circuits.size)
        return where[circuits]


def membranes_in_use(group: IntArray, threshold: BoolArray, used: BoolArray) -> Membranes:
    """Lay out the membranes (`group`, see `places.joined_circuits.membrane_groups`) of which any circuit is `used`.

    Membranes of few circuits come first, so that a block has no more layers than it needs.
    """
    needed = np.zeros(CIRCUITS, dtype=np.bool_)
    needed[group[used]] = True
    circuits = np.flatnonzero(needed[group])
    size = np.bincount(group[circuits], minlength=CIRCUITS)
    roots = np.flatnonzero(size)
    roots = roots[np.argsort(size[roots], kind="stable")]
    lane_of = np.full(CIRCUITS, -1, dtype=np.int64)
    lane_of[roots] = np.arange(roots.size)
    order = np.argsort(lane_of[group[circuits]], kind="stable")
    circuits = circuits[order]
    lane = lane_of[group[circuits]]
    start = np.searchsorted(lane, np.arange(roots.size))
    layer = np.arange(circuits.size) - start[lane]
    speaker = roots.copy()
    speaking = circuits[threshold[circuits]]
    speaker[lane_of[group[speaking]]] = speaking
    blocks = -(-roots.size // LANES)
    layers = np.ones(blocks, dtype=np.int64)
    np.maximum.at(layers, lane // LANES, layer + 1)
    column = np.concatenate([[0], np.cumsum(layers)[:-1]])
    return Membranes(circuits, lane, layer, speaker, layers, column.astype(np.int64))
