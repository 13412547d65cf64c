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
from hxtorch.twin.die import Die
from hxtorch.twin.kernels import kernel

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


def charge_matrices(
    table: SynapseTable,
    weights: NDArray[np.uint8],
    sources: int,
    scale_exc: NDArray[np.float32],
    scale_inh: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Drive that one event of each source adds: excitatory and inhibitory, each (sources, lanes).

    `scale_*` (lanes,) is the drive of weight 1 in each circuit.
    """
    exc = np.zeros((sources, scale_exc.size), dtype=np.float32)
    inh = np.zeros((sources, scale_inh.size), dtype=np.float32)
    _add_charges(
        table.source, table.lane, table.synapse, table.inhibitory, table.gain, weights.reshape(-1),
        scale_exc, scale_inh, exc, inh,
    )  # fmt: skip
    return exc, inh


@kernel()
def _add_charges(  # type: ignore[no-untyped-def]
    source, lane, synapse, inhibitory, gain, weights, scale_exc, scale_inh, exc, inh
):
    for m in range(source.size):
        weight = np.float32(weights[synapse[m]])
        if weight == 0:
            continue
        k = lane[m]
        if inhibitory[m]:
            inh[source[m], k] += gain[m] * weight * scale_inh[k]
        else:
            exc[source[m], k] += gain[m] * weight * scale_exc[k]
