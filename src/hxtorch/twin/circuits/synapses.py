"""Which synapse hears which event, and with what charge.

The digital part of the array is resolved once per routing: every pair (source of events, synapse) whose bus,
row select and label match becomes one entry of a `SynapseTable`. A new set of weights then only means
to walk along that table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import inner_kernel, kernel
from hxtorch.twin.engine.delivery import Charges
from hxtorch.twin.engine.layout import LANES, aligned
from hxtorch.twin.engine.membranes import Membranes
from hxtorch.twin.pattern.fixed_pattern import FixedPattern
from hxtorch.twin.places.coordinates import BUSES, COLUMNS, DRIVERS, DRIVERS_PER_BUS, HEMISPHERES, ROWS
from hxtorch.twin.places.crossbar import passes
from hxtorch.twin.program.config import RoutingConfig, RowMode

_SELECT_SHIFT, _LABEL_MASK = 6, 63
_EXCITATORY = int(RowMode.EXCITATORY)


class SynapseTable(NamedTuple):
    """All matching (source, synapse) pairs: index arrays of shape (m,) and the synapses' own `gain`.

    `source` indexes the list of addresses, `lane` the list of circuits, `synapse` the flat weight array,
    `inhibitory` tells the sign of the row.
    """

    source: NDArray[np.int32]
    lane: NDArray[np.int32]
    synapse: NDArray[np.int32]
    inhibitory: NDArray[np.bool_]
    gain: NDArray[np.float32]


class _Array(NamedTuple):
    """The synapses as the kernels see them, by hemisphere first.

    `labels` and `gain` (2, 256, 256), `row_mode` (2, 256), `driver_mask` and `driver_gain` (2, 128); `lanes`
    (2, 256) is the lane of each column's circuit or -1.
    """

    labels: NDArray[np.uint8]
    row_mode: NDArray[np.uint8]
    driver_mask: NDArray[np.uint8]
    gain: NDArray[np.float64]
    driver_gain: NDArray[np.float64]
    lanes: NDArray[np.int32]


def synapse_table(
    routing: RoutingConfig, die: FixedPattern, addresses: NDArray[np.int64], circuits: NDArray[np.int64]
) -> SynapseTable:
    """Find every synapse of `circuits` that listens to one of `addresses` (see `crossbar.neuron_address`)."""
    buses = passes(routing.crossbar_mask, routing.crossbar_target, addresses)
    lane_of = np.full(HEMISPHERES * COLUMNS, -1, dtype=np.int32)
    lane_of[circuits] = np.arange(circuits.size, dtype=np.int32)
    lanes = lane_of.reshape(HEMISPHERES, COLUMNS)
    array = _Array(routing.labels, routing.row_mode, routing.driver_mask, die.synapse, die.driver, lanes)
    size = _count_matches(array, addresses, buses)
    source, lane, synapse = (np.empty(size, dtype=np.int32) for _ in range(3))
    table = SynapseTable(
        source, lane, synapse, np.empty(size, dtype=np.bool_), gain=np.empty(size, dtype=np.float32)
    )
    _fill_matches(array, addresses, buses, table)
    return table


@inner_kernel()
def _hears(address: int, buses: NDArray[np.bool_], hemisphere: int, driver: int, mask: int) -> bool:
    """Whether an event is on the driver's bus, and its masked select bits equal those of the position."""
    select = (address >> _SELECT_SHIFT) & (DRIVERS_PER_BUS - 1)
    position = driver // BUSES
    return buses[hemisphere * BUSES + driver % BUSES] and ((select ^ position) & mask) == 0


@inner_kernel()
def _count_driver(array: _Array, h: int, driver: int, label: int) -> int:
    """Count the synapses with a label in both rows of a driver."""
    count = 0
    for row in range(2 * driver, 2 * driver + 2):
        if array.row_mode[h, row] == 0:
            continue
        for c in range(COLUMNS):
            if array.lanes[h, c] >= 0 and array.labels[h, row, c] == label:
                count += 1
    return count


@kernel()
def _count_matches(array: _Array, addresses: NDArray[np.int64], buses: NDArray[np.bool_]) -> int:
    count = 0
    for a in range(addresses.size):
        for h in range(HEMISPHERES):
            for d in range(DRIVERS):
                if _hears(addresses[a], buses[a], h, d, array.driver_mask[h, d]):
                    count += _count_driver(array, h, d, addresses[a] & _LABEL_MASK)
    return count


@inner_kernel()
def _fill_driver(array: _Array, h: int, driver: int, label: int, source: int, table: SynapseTable, m: int) -> int:
    """Write the synapses with a label in both rows of a driver from place `m` on; return the next place."""
    for row in range(2 * driver, 2 * driver + 2):
        if array.row_mode[h, row] == 0:
            continue
        for c in range(COLUMNS):
            if array.lanes[h, c] >= 0 and array.labels[h, row, c] == label:
                table.source[m] = source
                table.lane[m] = array.lanes[h, c]
                table.synapse[m] = (h * ROWS + row) * COLUMNS + c
                table.inhibitory[m] = array.row_mode[h, row] != _EXCITATORY
                table.gain[m] = array.gain[h, row, c] * array.driver_gain[h, driver]
                m += 1
    return m


@kernel()
def _fill_matches(
    array: _Array, addresses: NDArray[np.int64], buses: NDArray[np.bool_], table: SynapseTable
) -> None:
    m = 0
    for a in range(addresses.size):
        for h in range(HEMISPHERES):
            for d in range(DRIVERS):
                if _hears(addresses[a], buses[a], h, d, array.driver_mask[h, d]):
                    m = _fill_driver(array, h, d, addresses[a] & _LABEL_MASK, a, table, m)


@dataclass(frozen=True, eq=False)
class ChargeRows:
    """Rows of the matrix of charges: one per source, and more for its drivers with short-term plasticity.

    `source` and `driver` (-1: all drivers without plasticity) tell what a row is, `block_of_column` to which block
    of membranes each block of columns belongs. The entries of a `SynapseTable` follow, sorted by their place in the
    matrix, excitatory ones first: `cell` (m,) is that place, `synapse` and `gain` are the table's, `line` is twice
    the lane, and one more for inhibitory ones.
    """

    source: NDArray[np.int64]
    driver: NDArray[np.int64]
    block_of_column: NDArray[np.int64]
    cell: NDArray[np.int32]
    synapse: NDArray[np.int32]
    line: NDArray[np.int32]
    gain: NDArray[np.float32]


def charge_rows(table: SynapseTable, plastic: NDArray[np.bool_], membranes: Membranes) -> ChargeRows:
    """Decide which synapses share a row; `plastic` (2, 128) tells the drivers with short-term plasticity."""
    kinds = plastic.size + 1  # of drivers
    kind = table.source.astype(np.int64) * kinds
    if np.any(plastic):
        driver_of = table.synapse // (2 * COLUMNS)
        kind += np.where(plastic.reshape(-1)[driver_of], driver_of + 1, 0)
    rows, row = np.unique(kind, return_inverse=True)
    column = membranes.charge_column[table.lane]
    cell = (column // LANES * rows.size + row) * LANES + column % LANES
    order = np.argsort(2 * cell + table.inhibitory, kind="stable")
    return ChargeRows(
        source=rows // kinds,
        driver=rows % kinds - 1,
        block_of_column=np.repeat(np.arange(membranes.layers.size), membranes.layers),
        cell=cell[order].astype(np.int32),
        synapse=table.synapse[order],
        line=2 * table.lane[order] + table.inhibitory[order],
        gain=table.gain[order],
    )


def charges(
    rows: ChargeRows,
    weights: NDArray[np.uint8],
    sources: int,
    scale_exc: NDArray[np.float32],
    scale_inh: NDArray[np.float32],
) -> Charges:
    """Charge that one event of each source brings to each line, as the engine wants it.

    `scale_*` (n,) is the charge of weight 1 in each circuit. Excitatory and inhibitory charges of a row share
    one row of signed numbers; where a circuit gets both from one source, the inhibitory ones have a row more.
    """
    shape = rows.block_of_column.size, rows.source.size, LANES
    scale = np.stack([scale_exc, -scale_inh], axis=1).reshape(-1)
    source, driver = rows.source, rows.driver
    charge = aligned(shape)
    both = np.zeros(source.size, dtype=np.bool_)
    _add_charges(
        rows.cell, rows.synapse, rows.line, rows.gain, weights.reshape(-1), scale, charge.reshape(-1), both
    )
    if np.any(both):
        extra = np.cumsum(both) - 1 + source.size  # where the inhibitory part of a row goes
        source, driver = np.concatenate([source, source[both]]), np.concatenate([driver, driver[both]])
        charge = aligned((shape[0], source.size, LANES))
        block, row, lane = np.unravel_index(rows.cell, shape)
        row = np.where(both[row] & (rows.line % 2 == 1), extra[row], row)
        cell = ((block * source.size + row) * LANES + lane).astype(np.int32)
        both = np.zeros(source.size, dtype=np.bool_)
        _add_charges(cell, rows.synapse, rows.line, rows.gain, weights.reshape(-1), scale, charge.reshape(-1), both)
    begin, end, signs = (np.zeros(source.size, dtype=np.int64) for _ in range(3))
    _find_extent(charge, rows.block_of_column, begin, end, signs)
    order = np.lexsort((driver, source))
    order = order[signs[order] > 0]
    return Charges(
        first=np.searchsorted(source[order], np.arange(sources + 1)).astype(np.int64),
        row=order.astype(np.int64),
        charge=charge,
        begin=begin,
        end=end,
        signs=signs,
        driver=driver,
    )


@kernel()
def _find_extent(
    charge: NDArray[np.float32],
    block_of_column: NDArray[np.int64],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    signs: NDArray[np.int64],
) -> None:
    """First block of each row in which a charge is not zero, the one after the last, and `Charges.signs`."""
    for column in range(charge.shape[0]):
        for row in range(charge.shape[1]):
            found = np.int32(0)
            for k in range(charge.shape[2]):
                q = charge[column, row, k]
                found |= np.int32(q > 0) | np.int32(np.int32(q < 0) << np.int32(1))
            if found != 0:
                if signs[row] == 0:
                    begin[row] = block_of_column[column]
                end[row] = block_of_column[column] + 1
                signs[row] |= found


@kernel()
def _add_charges(
    cell: NDArray[np.int32],
    synapse: NDArray[np.int32],
    line: NDArray[np.int32],
    gain: NDArray[np.float32],
    weights: NDArray[np.uint8],
    scale: NDArray[np.float32],
    charge: NDArray[np.float32],
    both: NDArray[np.bool_],
) -> None:
    """Sum up the charges of all synapses; `both` tells the rows of which a cell has some of both signs."""
    rows = both.size
    for m in range(cell.size):
        before, more = charge[cell[m]], gain[m] * np.float32(weights[synapse[m]]) * scale[line[m]]
        if (before > 0) & (more < 0):  # a cell's excitatory synapses come first
            both[cell[m] // LANES % rows] = True
        charge[cell[m]] = before + more
