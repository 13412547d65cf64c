"""From addresses to registers: labels, row modes, masks, crossbar nodes, and the synapse of every connection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.mapping.addressing import Addressing
from hxtorch.mapping.classes import SELECT_SHIFT
from hxtorch.mapping.network import Network
from hxtorch.mapping.placement import Placement
from hxtorch.mapping.sources import Sources
from hxtorch.twin.places.coordinates import (
    BUSES,
    CIRCUITS,
    COLUMNS,
    DRIVERS,
    EVENT_OUTPUTS,
    HEMISPHERES,
    LABELS,
    ROWS,
    event_output,
)
from hxtorch.twin.places.crossbar import CHANNELS, FIRST_CHANNEL, FIRST_OFF_CHIP, LABEL_BITS, closed_crossbar
from hxtorch.twin.program.config import RoutingConfig, RowMode

MUTE = 1 << 13  # bit of an external label that no node lets pass
SILENT = 1 << 7  # bit of a neuron's label that tells those apart that nobody hears
SYNAPSES = HEMISPHERES * ROWS * COLUMNS


@dataclass(frozen=True, eq=False)
class Registers:
    """The digital configuration of all connections.

    * `config`: labels, row modes, driver masks, crossbar.
    * `neuron_label` (512,): programmable label of every circuit.
    * `addresses`: the addresses of external sources; those of channel i of input population k are
      ``input_sources[k][i]`` (size, copies), -1 where there are fewer copies.
    * `synapses`: per projection key the flat indices of its excitatory synapses in the weight array, shape
      (parallel, connections); all-to-all ones in the order (post, pre). The inhibitory synapse of a
      connection lies in the row behind, 256 further.
    * `groups`: number of address classes per bus.
    """

    config: RoutingConfig
    neuron_label: NDArray[np.int64]
    addresses: NDArray[np.int64]
    input_sources: dict[int, NDArray[np.int64]]
    synapses: dict[int, NDArray[np.int64]]
    groups: int


def lay(network: Network, placement: Placement, sources: Sources, addressing: Addressing) -> Registers:
    """Write down what a routed network needs."""
    parts = addressing.classes
    label, used = _labels(addressing.choices, parts.count)
    slot = _slots(addressing)
    labels = np.zeros((HEMISPHERES, ROWS, COLUMNS), dtype=np.uint8)
    quiet = np.minimum(used, LABELS - 1)  # what unused synapses store: if there is one, a label that nobody sends
    rows = 2 * parts.drivers
    for offset in range(2):
        labels[:, rows + offset] = quiet[:, None, None]
    row_mode = np.zeros((HEMISPHERES, DRIVERS, 2), dtype=np.uint8)
    flat_labels = labels.reshape(-1)
    synapses = {}
    for projection in network.projections:
        entries = sources.entries[projection.key]
        source, amount = sources.source[entries], projection.parallel
        k = addressing.entry_class[entries]
        number = slot[entries] + np.arange(amount)[:, None]  # (parallel, entries)
        circuits = placement[projection.post]
        count = circuits.shape[1]
        which, driver = (number + k) % count, parts.drivers[k, number // count]
        if sources.per_neuron[projection.post]:
            first = int(np.flatnonzero(sources.listener_population == projection.post)[0])
            circuit = circuits[sources.listener[entries] - first, which]
        else:  # all neurons alike: (parallel, neurons, entries)
            circuit, driver = circuits[:, which].swapaxes(0, 1), driver[:, None]
        driver = np.broadcast_to(driver, circuit.shape)
        side, column = circuit // COLUMNS, circuit % COLUMNS
        excitatory = (side * ROWS + 2 * driver) * COLUMNS + column
        row_mode[side, driver] = RowMode.EXCITATORY, RowMode.INHIBITORY
        stored = label[source, _copy_of(addressing.choices, source, k)].astype(np.uint8)
        flat_labels[excitatory] = flat_labels[excitatory + COLUMNS] = stored
        synapses[projection.key] = np.ascontiguousarray(excitatory.reshape(amount, -1))

    neuron_label, mask, target = _neuron_outputs(network, placement, sources, addressing, label, used)
    addresses, input_sources = _external(network, sources, addressing, label)
    on_bus = np.bincount((addresses[(addresses & MUTE) == 0] >> LABEL_BITS), minlength=CHANNELS) > 0
    for bus in np.flatnonzero(on_bus):
        for hemisphere in range(HEMISPHERES):
            mask[FIRST_CHANNEL + bus, BUSES * hemisphere + bus] = MUTE
            target[FIRST_CHANNEL + bus, BUSES * hemisphere + bus] = 0
    driver_mask = np.full((HEMISPHERES, DRIVERS), parts.mask, dtype=np.uint8)
    config = RoutingConfig(labels, row_mode.reshape(HEMISPHERES, ROWS), driver_mask, mask, target)
    return Registers(config, neuron_label, addresses, input_sources, synapses, parts.groups)


def _labels(choices: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the sources of every class: labels (sources, copies), and how many each class has."""
    flat = choices.reshape(-1)
    valid = np.flatnonzero(flat >= 0)
    order = valid[np.argsort(flat[valid], kind="stable")]
    used = np.bincount(flat[valid], minlength=count)
    label = np.zeros(flat.size, dtype=np.int64)
    label[order] = np.arange(order.size) - np.repeat(np.cumsum(used) - used, used)
    return label.reshape(choices.shape), used


def _slots(addressing: Addressing) -> NDArray[np.int64]:
    """First of the synapses that each entry takes, counted per listener and class."""
    demand, classes = addressing.demand, addressing.classes.count
    cell = demand.listener * classes + addressing.entry_class
    order = np.argsort(cell, kind="stable")
    amount = demand.amount[order]
    before = np.cumsum(amount) - amount
    begins = np.flatnonzero(np.diff(cell[order], prepend=-1))
    slot = np.empty(cell.size, dtype=np.int64)
    slot[order] = before - np.repeat(before[begins], np.diff(np.append(begins, cell.size)))
    return slot


def _copy_of(choices: NDArray[np.int64], source: NDArray[np.int64], k: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which copy of its source an entry of class k listens to."""
    return np.asarray(np.argmax(choices[source] == k[:, None], axis=1))


def _neuron_outputs(
    network: Network,
    placement: Placement,
    sources: Sources,
    addressing: Addressing,
    label: NDArray[np.int64],
    used: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint16]]:
    """Labels of all circuits, and the crossbar nodes behind the neurons' outputs.

    Every neuron of an output has a label of its own, by which it is recognised off the chip. Neurons that
    nobody hears must not be mistaken for others: the nodes of an output without other neurons are closed,
    nodes of mixed outputs do not let bit 7 pass, and where address classes need that bit, such neurons have
    labels that no synapse stores.
    """
    parts = addressing.classes
    mask, target = closed_crossbar()
    outputs, buses = np.arange(EVENT_OUTPUTS), np.arange(EVENT_OUTPUTS) % BUSES
    target[outputs, FIRST_OFF_CHIP + buses] = 0
    heard = np.flatnonzero(sources.heard_outputs)
    free_bit = parts.groups <= 2
    for hemisphere in range(HEMISPHERES):
        mask[heard, BUSES * hemisphere + heard % BUSES] = SILENT if free_bit else 0
        target[heard, BUSES * hemisphere + heard % BUSES] = 0
    neuron_label = np.zeros(CIRCUITS, dtype=np.int64)
    counted = used.copy()
    next_silent = np.zeros(EVENT_OUTPUTS, dtype=np.int64)
    for population in network.neurons:
        if not population.spiking:
            continue
        main, number = placement[population.key][:, 0], sources.number[population.key]
        own = number >= 0
        k = addressing.choices[number[own], 0]
        neuron_label[main[own]] = ((parts.select[k] & 3) << SELECT_SHIFT) | label[number[own], 0]
        for circuit in main[~own]:
            output = int(event_output(int(circuit)))
            if sources.heard_outputs[output] and not free_bit:
                options = np.flatnonzero(parts.of_output[output])
                k_silent = int(options[np.argmin(counted[options])])
                neuron_label[circuit] = ((int(parts.select[k_silent]) & 3) << SELECT_SHIFT) | int(counted[k_silent])
                counted[k_silent] += 1
            else:
                neuron_label[circuit] = SILENT | int(next_silent[output])
                next_silent[output] += 1
    return neuron_label, mask, target


def _external(
    network: Network, sources: Sources, addressing: Addressing, label: NDArray[np.int64]
) -> tuple[NDArray[np.int64], dict[int, NDArray[np.int64]]]:
    """Addresses of the external sources; a channel that nobody hears has one that goes nowhere."""
    parts = addressing.classes
    addresses: list[NDArray[np.int64]] = []
    input_sources = {}
    total = 0
    for population in network.inputs:
        number = sources.number[population.key]
        choices = np.where((number >= 0)[:, None], addressing.choices[number], -1) if sources.count else None
        if choices is None:
            choices = np.full((population.size, 1), -1, dtype=np.int64)
        k = np.where(choices >= 0, choices, 0)
        labels = label[number] if sources.count else k
        address = (parts.bus[k] << LABEL_BITS) | (parts.select[k] << SELECT_SHIFT) | labels
        deaf = number < 0
        address[deaf, 0], choices[deaf, 0] = MUTE, 0
        valid = choices >= 0
        indices = np.full(choices.shape, -1, dtype=np.int64)
        indices[valid] = total + np.arange(int(valid.sum()))
        total += int(valid.sum())
        addresses.append(address[valid])
        input_sources[population.key] = indices
    joined = np.concatenate(addresses) if addresses else np.empty(0, dtype=np.int64)
    return joined.astype(np.int64), input_sources
