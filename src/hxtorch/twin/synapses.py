"""Which synapse hears which event, and with what charge.

The digital part of the array is resolved once per routing: every pair (source of events, synapse) whose bus,
row select and label match becomes one entry of a `SynapseTable`. A new set of weights then only means
to walk along that table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.config import RoutingConfig, RowMode
from hxtorch.twin.coordinates import BUSES, COLUMNS, DRIVERS, DRIVERS_PER_BUS, HEMISPHERES, ROWS
from hxtorch.twin.crossbar import passes
from hxtorch.twin.delivery import Charges
from hxtorch.twin.die import Die
from hxtorch.twin.kernels import kernel
from hxtorch.twin.layout import LANES, aligned
from hxtorch.twin.membranes import Membranes

_SELECT_SHIFT, _LABEL_MASK = 6, 63
_EXCITATORY = int(RowMode.EXCITATORY)


@dataclass(frozen=True, eq=False)
class SynapseTable:
    """All matching (source, synapse) pairs: index arrays of shape (m,) and the synapses' own `gain`.

    `source` indexes the list of addresses, `lane` the list of circuits, `synapse` the flat weight array,
    `inhibitory` tells the sign of the row.
    """

    source: NDArray[np.int32]
    lane: NDArray[np.int32]
    synapse: NDArray[np.int32]
    inhibitory: NDArray[np.bool_]
    gain: NDArray[np.float32]


def synapse_table(
    routing: RoutingConfig, die: Die, addresses: NDArray[np.int64], circuits: NDArray[np.int64]
) -> SynapseTable:
    """Find every synapse of `circuits` that listens to one of `addresses` (see `crossbar.neuron_address`)."""
    buses = passes(routing.crossbar_mask, routing.crossbar_target, addresses)
    lane_of = np.full(HEMISPHERES * COLUMNS, -1, dtype=np.int32)
    lane_of[circuits] = np.arange(circuits.size, dtype=np.int32)
    lanes = lane_of.reshape(HEMISPHERES, COLUMNS)
    size = _count_matches(routing.labels, routing.row_mode, routing.driver_mask, addresses, buses, lanes)
    source, lane, synapse = (np.empty(size, dtype=np.int32) for _ in range(3))
    inhibitory = np.empty(size, dtype=np.bool_)
    gain = np.empty(size, dtype=np.float32)
    _fill_matches(
        routing.labels, routing.row_mode, routing.driver_mask, addresses, buses, lanes, die.synapse, die.driver,
        source, lane, synapse, inhibitory, gain,
    )  # fmt: skip
    return SynapseTable(source, lane, synapse, inhibitory, gain)


@kernel()
def _hears(address, buses, hemisphere, driver, mask):  # type: ignore[no-untyped-def]
    """Whether an event is on the driver's bus, and its masked select bits equal those of the position."""
    select = (address >> _SELECT_SHIFT) & (DRIVERS_PER_BUS - 1)
    position = driver // BUSES
    return buses[hemisphere * BUSES + driver % BUSES] and ((select ^ position) & mask) == 0


@kernel()
def _count_matches(labels, row_mode, driver_mask, addresses, buses, lanes):  # type: ignore[no-untyped-def]
    count = 0
    for a in range(addresses.size):
        label = addresses[a] & _LABEL_MASK
        for h in range(HEMISPHERES):
            for d in range(DRIVERS):
                if not _hears(addresses[a], buses[a], h, d, driver_mask[h, d]):
                    continue
                for row in range(2 * d, 2 * d + 2):
                    if row_mode[h, row] == 0:
                        continue
                    for c in range(COLUMNS):
                        if lanes[h, c] >= 0 and labels[h, row, c] == label:
                            count += 1
    return count


@kernel()
def _fill_matches(  # type: ignore[no-untyped-def]
    labels, row_mode, driver_mask, addresses, buses, lanes, synapse_gain, driver_gain,
    source, lane, synapse, inhibitory, gain,
):  # fmt: skip
    m = 0
    for a in range(addresses.size):
        label = addresses[a] & _LABEL_MASK
        for h in range(HEMISPHERES):
            for d in range(DRIVERS):
                if not _hears(addresses[a], buses[a], h, d, driver_mask[h, d]):
                    continue
                for row in range(2 * d, 2 * d + 2):
                    if row_mode[h, row] == 0:
                        continue
                    for c in range(COLUMNS):
                        if lanes[h, c] >= 0 and labels[h, row, c] == label:
                            source[m] = a
                            lane[m] = lanes[h, c]
                            synapse[m] = (h * ROWS + row) * COLUMNS + c
                            inhibitory[m] = row_mode[h, row] != _EXCITATORY
                            gain[m] = synapse_gain[h, row, c] * driver_gain[h, d]
                            m += 1


@dataclass(frozen=True, eq=False)
class ChargeRows:
    """Rows of the matrix of charges: one per source, and more for its drivers with short-term plasticity.

    `source` and `driver` (-1: all drivers without plasticity) tell what a row is, `of_synapse` and `column` (m,)
    to which row and column each entry of a `SynapseTable` belongs, `block_of_column` to which block of membranes
    each block of columns.
    """

    source: NDArray[np.int64]
    driver: NDArray[np.int64]
    of_synapse: NDArray[np.int32]
    column: NDArray[np.int32]
    block_of_column: NDArray[np.int64]


def charge_rows(table: SynapseTable, plastic: NDArray[np.bool_], membranes: Membranes) -> ChargeRows:
    """Decide which synapses share a row; `plastic` (2, 128) tells the drivers with short-term plasticity."""
    kinds = plastic.size + 1  # of drivers
    kind = table.source.astype(np.int64) * kinds
    if np.any(plastic):
        driver_of = table.synapse // (2 * COLUMNS)
        kind += np.where(plastic.reshape(-1)[driver_of], driver_of + 1, 0)
    rows, of_synapse = np.unique(kind, return_inverse=True)
    block_of_column = np.repeat(np.arange(membranes.layers.size), membranes.layers)
    column = membranes.charge_column[table.lane].astype(np.int32)
    return ChargeRows(rows // kinds, rows % kinds - 1, of_synapse.astype(np.int32), column, block_of_column)


def charges(
    table: SynapseTable,
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
    charge, inh = aligned(shape), np.zeros(shape, dtype=np.float32)
    _add_charges(
        rows.of_synapse, rows.column, table.lane, table.synapse, table.inhibitory, table.gain,
        weights.reshape(-1), scale_exc, scale_inh, charge, inh,
    )  # fmt: skip
    both = np.zeros(rows.source.size, dtype=np.bool_)
    _join_signs(charge, inh, both)
    source, driver = rows.source, rows.driver
    if np.any(both):
        signed = charge
        charge = aligned((shape[0], shape[1] + int(np.count_nonzero(both)), LANES))
        charge[:, : shape[1]], charge[:, shape[1] :] = signed, -inh[:, both]
        source, driver = np.concatenate([source, source[both]]), np.concatenate([driver, driver[both]])
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
def _find_extent(charge, block_of_column, begin, end, signs):  # type: ignore[no-untyped-def]
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
def _join_signs(charge, inh, both):  # type: ignore[no-untyped-def]
    """Subtract inhibitory charges from the excitatory ones of rows in which no column has both."""
    columns, rows, lanes = charge.shape
    for column in range(columns):
        for row in range(rows):
            clash = np.int32(0)
            for k in range(lanes):
                clash |= np.int32((charge[column, row, k] != 0) & (inh[column, row, k] != 0))
            both[row] |= clash != 0
    for column in range(columns):
        for row in range(rows):
            if not both[row]:
                for k in range(lanes):
                    charge[column, row, k] -= inh[column, row, k]


@kernel()
def _add_charges(  # type: ignore[no-untyped-def]
    row, column, lane, synapse, inhibitory, gain, weights, scale_exc, scale_inh, exc, inh
):
    for m in range(row.size):
        weight = np.float32(weights[synapse[m]])
        if weight == 0:
            continue
        block, k = column[m] // LANES, column[m] % LANES
        if inhibitory[m]:
            inh[block, row[m], k] += gain[m] * weight * scale_inh[lane[m]]
        else:
            exc[block, row[m], k] += gain[m] * weight * scale_exc[lane[m]]
