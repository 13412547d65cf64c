"""The routing crossbar: which events reach which PADI buses, and which leave the chip (chip.md 1.3).

20 inputs times 12 outputs, of which 76 nodes exist. Every node has a 14-bit mask and a 14-bit target and
passes the events whose ``label & mask`` equals the target; a target with bits outside of its mask is never
met, which closes the node.

Inputs: 0-7 neuron event outputs (0-3 of the left, 4-7 of the right half), 8-11 off-chip channels, 12-19
background sources. Outputs: 0-3 PADI buses of the top, 4-7 of the bottom hemisphere, 8-11 off-chip channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.places.coordinates import BUSES, EVENT_OUTPUTS, HEMISPHERES, event_output

CHANNELS = 4  # off-chip channels, each way
LABEL_BITS = 14
MAX_LABEL = 2**LABEL_BITS - 1
CROSSBAR_INPUTS = EVENT_OUTPUTS + CHANNELS + 8
CROSSBAR_OUTPUTS = HEMISPHERES * BUSES + CHANNELS
FIRST_CHANNEL = EVENT_OUTPUTS  # input that off-chip channel 0 is
FIRST_OFF_CHIP = HEMISPHERES * BUSES  # output that off-chip channel 0 is
CLOSED = MAX_LABEL  # as target of an empty mask: nothing passes
BUS_BITS = 3 << 11  # of a label on channel 0, in the crossbar's state after power-up

NodeArray = NDArray[np.uint16]


def _existing_nodes() -> NDArray[np.bool_]:
    nodes = np.zeros((CROSSBAR_INPUTS, CROSSBAR_OUTPUTS), dtype=np.bool_)
    buses = np.arange(BUSES)
    for side in range(2):  # left, right half of the neurons
        for output in (buses, BUSES + buses, FIRST_OFF_CHIP + buses):
            nodes[BUSES * side + buses, output] = True
    nodes[FIRST_CHANNEL : FIRST_CHANNEL + CHANNELS, :FIRST_OFF_CHIP] = True
    nodes[FIRST_CHANNEL + buses, FIRST_OFF_CHIP + buses] = True
    for hemisphere in range(HEMISPHERES):
        sources = FIRST_CHANNEL + CHANNELS + BUSES * hemisphere + buses
        nodes[sources, BUSES * hemisphere + buses] = True
        nodes[sources, FIRST_OFF_CHIP + buses] = True
    return nodes


NODES = _existing_nodes()
"""(20, 12): whether a node exists."""


def closed_crossbar() -> tuple[NodeArray, NodeArray]:
    """Masks and targets (20, 12) with which no event passes anywhere."""
    shape = (CROSSBAR_INPUTS, CROSSBAR_OUTPUTS)
    return np.zeros(shape, dtype=np.uint16), np.full(shape, CLOSED, dtype=np.uint16)


def straight_crossbar() -> tuple[NodeArray, NodeArray]:
    """Masks and targets (20, 12) of a plain crossbar.

    Neuron events reach their bus in both hemispheres and leave the chip; events of off-chip channel 0 reach
    the bus that bits 11 and 12 of their label name, in both hemispheres. All other nodes are closed.
    """
    mask, target = closed_crossbar()
    target[:EVENT_OUTPUTS][NODES[:EVENT_OUTPUTS]] = 0
    for hemisphere in range(HEMISPHERES):
        for bus in range(BUSES):
            mask[FIRST_CHANNEL, BUSES * hemisphere + bus] = BUS_BITS
            target[FIRST_CHANNEL, BUSES * hemisphere + bus] = bus << 11
    return mask, target


def neuron_address(circuit: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Address of the events of a circuit whose programmable label (8 bits) is `label`.

    An address is ``input << 14 | label``. External ones have the off-chip channel 0-3 in front, those of
    neurons 4 plus their event output. Bits 8-10 of a neuron's 14-bit label come from its event output and
    cannot be chosen (chip.md 1.2).
    """
    output = np.asarray(event_output(circuit), dtype=np.int64)
    return ((CHANNELS + output) << LABEL_BITS) | (output << 8) | label


def passes(mask: NodeArray, target: NodeArray, addresses: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which outputs (n, 12) the events of `addresses` (n,) reach."""
    place = addresses >> LABEL_BITS
    source = np.where(place < CHANNELS, FIRST_CHANNEL + place, place - CHANNELS)
    label = (addresses & MAX_LABEL)[:, None]
    return np.asarray(((label & mask[source]) == target[source]) & NODES[source])
