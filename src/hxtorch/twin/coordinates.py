"""Places on the chip: how many circuits, rows, drivers and buses there are, and how they are numbered.

Circuit ``c`` (0..511) sits in hemisphere ``c // 256`` (0 top, 1 bottom) and column ``c % 256``; the four
quadrants are numbered top left, top right, bottom left, bottom right (chip.md 1.1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HEMISPHERES = 2
COLUMNS = 256
CIRCUITS = HEMISPHERES * COLUMNS
QUADRANTS = 4
ROWS = 256  # synapse rows per hemisphere
DRIVERS = 128  # synapse drivers per hemisphere; driver d drives the rows 2 d and 2 d + 1
BUSES = 4  # PADI bus indices; each exists once per hemisphere
DRIVERS_PER_BUS = DRIVERS // BUSES  # 32 positions on a bus
LABELS = 64  # 6-bit synapse labels
EVENT_OUTPUTS = 8  # each collects the events of 32 neighbouring columns of both hemispheres

MAX_WEIGHT = 63
MAX_CAPMEM_CODE = 1022  # code 1023 switches the refresh of a cell off
MAX_CAPACITANCE_CODE = 63

CYCLES_PER_US = 125  # FPGA clock: 8 ns
MAX_RUNTIME_CYCLES = 2**32 - 1  # 32-bit experiment timer


def hemisphere(circuit: NDArray[np.integer] | int) -> NDArray[np.integer] | int:
    """Hemisphere (0 top, 1 bottom) of a circuit."""
    return circuit // COLUMNS


def column(circuit: NDArray[np.integer] | int) -> NDArray[np.integer] | int:
    """Column 0..255 of a circuit."""
    return circuit % COLUMNS


def quadrant(circuit: NDArray[np.integer] | int) -> NDArray[np.integer] | int:
    """Quadrant 0..3 (top left, top right, bottom left, bottom right) of a circuit."""
    return circuit // (CIRCUITS // QUADRANTS)


def event_output(circuit: NDArray[np.integer] | int) -> NDArray[np.integer] | int:
    """Neuron event output 0..7 that carries the spikes of a circuit."""
    return column(circuit) // (COLUMNS // EVENT_OUTPUTS)


def output_bus(circuit: NDArray[np.integer] | int) -> NDArray[np.integer] | int:
    """The only PADI bus index that the spikes of a circuit can reach (chip.md 1.3)."""
    return event_output(circuit) % BUSES


def driver_bus(driver: NDArray[np.integer] | int) -> NDArray[np.integer] | int:
    """PADI bus that a synapse driver listens to."""
    return driver % BUSES


def driver_position(driver: NDArray[np.integer] | int) -> NDArray[np.integer] | int:
    """Position 0..31 of a synapse driver on its bus, against which the row select of an event is compared."""
    return driver // BUSES
