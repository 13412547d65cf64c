"""Every register a program can set, in the chip's own digital units.

CapMem codes are 10 bit (0..1022). They are kept as floating-point numbers because an ideal chip takes
them as they are; every other chip rounds them (`hxtorch.twin.circuits`). All other registers are integers.

Every class is frozen: a changed configuration is a new object (`dataclasses.replace`), so that a chip can
keep what it derived from a part that did not change.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.coordinates import (
    CIRCUITS,
    COLUMNS,
    DRIVERS,
    HEMISPHERES,
    MAX_CAPACITANCE_CODE,
    MAX_CAPMEM_CODE,
    MAX_WEIGHT,
    QUADRANTS,
    ROWS,
)
from hxtorch.twin.crossbar import CROSSBAR_INPUTS, CROSSBAR_OUTPUTS, MAX_LABEL, NodeArray, straight_crossbar

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
ByteArray = NDArray[np.uint8]


class ReadoutSource(IntEnum):
    """What the readout multiplexer of a circuit puts on its CADC channel and the MADC."""

    MEMBRANE = 0
    SYNAPTIC_EXCITATORY = 1
    SYNAPTIC_INHIBITORY = 2


class ConfigError(ValueError):
    """A register was given a value that it cannot hold."""


def _codes(value: float) -> FloatArray:
    return np.full(CIRCUITS, value, dtype=np.float64)


def _freeze(name: str, values: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Check a shape and forbid changes in place: a changed configuration is a new object."""
    if values.shape != shape:
        raise ConfigError(f"{name} has shape {values.shape}, expected {shape}.")
    values.flags.writeable = False


def _check_range(name: str, values: NDArray[Any], low: float, high: float) -> None:
    """Refuse values outside ``low..high`` (NaN included) with the first offender and its place."""
    bad = np.argwhere(~((values >= low) & (values <= high)))
    if bad.size:
        place = tuple(int(i) for i in bad[0])
        raise ConfigError(
            f"{name}{list(place)} is {values[place]}, but the register holds {low:g} to {high:g}. "
            f"Clip the value or choose another setting ({len(bad)} of {values.size} values are outside)."
        )


@dataclass(frozen=True)
class NeuronConfig:
    """The registers of the 512 neuron circuits; every field has shape (512,).

    Voltages and bias currents are CapMem codes, `membrane_capacitance` is a 6-bit code, the refractory
    counter counts ticks of the clock that `refractory_clock` chooses (0 fast, 1 slow).
    """

    v_leak: FloatArray = field(default_factory=lambda: _codes(629))
    v_reset: FloatArray = field(default_factory=lambda: _codes(598))
    v_threshold: FloatArray = field(default_factory=lambda: _codes(322))
    i_bias_leak: FloatArray = field(default_factory=lambda: _codes(95))
    i_bias_reset: FloatArray = field(default_factory=lambda: _codes(1012))
    i_bias_tau_exc: FloatArray = field(default_factory=lambda: _codes(49))
    i_bias_tau_inh: FloatArray = field(default_factory=lambda: _codes(49))
    i_bias_gm_exc: FloatArray = field(default_factory=lambda: _codes(500))
    i_bias_gm_inh: FloatArray = field(default_factory=lambda: _codes(500))
    i_shift_exc: FloatArray = field(default_factory=lambda: _codes(314))
    i_shift_inh: FloatArray = field(default_factory=lambda: _codes(294))
    i_offset: FloatArray = field(default_factory=lambda: _codes(0))
    membrane_capacitance: IntArray = field(
        default_factory=lambda: np.full(CIRCUITS, MAX_CAPACITANCE_CODE, dtype=np.int64)
    )
    enable_exc: BoolArray = field(default_factory=lambda: np.ones(CIRCUITS, dtype=np.bool_))
    enable_inh: BoolArray = field(default_factory=lambda: np.ones(CIRCUITS, dtype=np.bool_))
    enable_threshold: BoolArray = field(default_factory=lambda: np.zeros(CIRCUITS, dtype=np.bool_))
    enable_offset: BoolArray = field(default_factory=lambda: np.zeros(CIRCUITS, dtype=np.bool_))
    refractory_counter: IntArray = field(default_factory=lambda: np.full(CIRCUITS, 31, dtype=np.int64))
    refractory_clock: IntArray = field(default_factory=lambda: np.zeros(CIRCUITS, dtype=np.int64))
    readout_source: IntArray = field(default_factory=lambda: np.zeros(CIRCUITS, dtype=np.int64))
    label: IntArray = field(default_factory=lambda: np.zeros(CIRCUITS, dtype=np.int64))

    def __post_init__(self) -> None:
        for item in fields(self):
            values = getattr(self, item.name)
            _freeze(item.name, values, (CIRCUITS,))
            if item.name.startswith(("v_", "i_")):
                _check_range(item.name, values, 0, MAX_CAPMEM_CODE)
        _check_range("membrane_capacitance", self.membrane_capacitance, 0, MAX_CAPACITANCE_CODE)
        _check_range("refractory_counter", self.refractory_counter, 0, 255)
        _check_range("refractory_clock", self.refractory_clock, 0, 1)
        _check_range("readout_source", self.readout_source, 0, max(ReadoutSource))
        _check_range("label", self.label, 0, 255)


@dataclass(frozen=True)
class CommonConfig:
    """Registers shared by many circuits.

    * `synapse_dac_bias`: CapMem code per quadrant, scales the charge of every synapse of the quadrant.
    * `refractory_clock_scale`: exponents ``s`` of the fast and the slow refractory clock, whose frequency
      is 250 MHz / 2**(s + 1).
    * `cadc_ramp_offset`, `cadc_ramp_slope`: CapMem codes per quadrant of the CADC's ramp.
    * `cadc_offset`: digital offset of the CADC channel of every circuit, -128..127.
    * `cadc_test_voltage`: None reads the circuits; a CapMem code connects all channels to that test voltage.
    """

    synapse_dac_bias: FloatArray = field(default_factory=lambda: np.full(QUADRANTS, 600.0))
    refractory_clock_scale: tuple[int, int] = (3, 10)
    cadc_ramp_offset: FloatArray = field(default_factory=lambda: np.full(QUADRANTS, 31.0))
    cadc_ramp_slope: FloatArray = field(default_factory=lambda: np.full(QUADRANTS, 369.0))
    cadc_offset: IntArray = field(default_factory=lambda: np.zeros(CIRCUITS, dtype=np.int64))
    cadc_test_voltage: float | None = None

    def __post_init__(self) -> None:
        for name in ("synapse_dac_bias", "cadc_ramp_offset", "cadc_ramp_slope"):
            _freeze(name, getattr(self, name), (QUADRANTS,))
            _check_range(name, getattr(self, name), 0, MAX_CAPMEM_CODE)
        _check_range("cadc_ramp_slope", self.cadc_ramp_slope, 1, MAX_CAPMEM_CODE)
        _freeze("cadc_offset", self.cadc_offset, (CIRCUITS,))
        _check_range("cadc_offset", self.cadc_offset, -128, 127)
        if len(self.refractory_clock_scale) != 2:
            raise ConfigError(
                f"refractory_clock_scale has {len(self.refractory_clock_scale)} entries, expected 2: fast and slow."
            )
        if self.cadc_test_voltage is not None:
            _check_range("cadc_test_voltage", np.asarray([self.cadc_test_voltage]), 0, MAX_CAPMEM_CODE)
        _check_range("refractory_clock_scale", np.asarray(self.refractory_clock_scale), 0, 15)


class RowMode(IntEnum):
    """Sign of a synapse row; it belongs to the driver, never to a synapse (chip.md 1.2)."""

    OFF = 0
    EXCITATORY = 1
    INHIBITORY = 2


@dataclass(frozen=True)
class RoutingConfig:
    """Which events reach which synapses: labels, row modes, address masks of the drivers and the crossbar.

    An event carries a 14-bit label. The crossbar sends it to PADI buses (`hxtorch.twin.crossbar`; masks and
    targets have shape (20, 12)). There, bits 0-5 are compared with the label stored in each synapse, bits
    6-10 (row select) with the position of each driver on the bus, under the driver's mask.
    """

    labels: ByteArray = field(default_factory=lambda: np.zeros((HEMISPHERES, ROWS, COLUMNS), dtype=np.uint8))
    row_mode: ByteArray = field(default_factory=lambda: np.zeros((HEMISPHERES, ROWS), dtype=np.uint8))
    driver_mask: ByteArray = field(default_factory=lambda: np.full((HEMISPHERES, DRIVERS), 31, dtype=np.uint8))
    crossbar_mask: NodeArray = field(default_factory=lambda: straight_crossbar()[0])
    crossbar_target: NodeArray = field(default_factory=lambda: straight_crossbar()[1])

    def __post_init__(self) -> None:
        for name in ("crossbar_mask", "crossbar_target"):
            _freeze(name, getattr(self, name), (CROSSBAR_INPUTS, CROSSBAR_OUTPUTS))
            _check_range(name, getattr(self, name), 0, MAX_LABEL)
        _freeze("labels", self.labels, (HEMISPHERES, ROWS, COLUMNS))
        _freeze("row_mode", self.row_mode, (HEMISPHERES, ROWS))
        _freeze("driver_mask", self.driver_mask, (HEMISPHERES, DRIVERS))
        _check_range("labels", self.labels, 0, 63)
        _check_range("row_mode", self.row_mode, 0, max(RowMode))
        _check_range("driver_mask", self.driver_mask, 0, 31)


@dataclass(frozen=True)
class ChipConfig:
    """The whole chip: circuits, common registers, routing and the 6-bit `weights` (hemisphere, row, column).

    `enable_events` (512,) switches the event output of each circuit: one that is off fires and resets, but
    nobody hears of it.
    """

    neurons: NeuronConfig = field(default_factory=NeuronConfig)
    common: CommonConfig = field(default_factory=CommonConfig)
    routing: RoutingConfig = field(default_factory=RoutingConfig)
    weights: ByteArray = field(default_factory=lambda: np.zeros((HEMISPHERES, ROWS, COLUMNS), dtype=np.uint8))
    enable_events: BoolArray = field(default_factory=lambda: np.ones(CIRCUITS, dtype=np.bool_))

    def __post_init__(self) -> None:
        _freeze("enable_events", self.enable_events, (CIRCUITS,))
        if self.weights.shape != (HEMISPHERES, ROWS, COLUMNS) or self.weights.dtype != np.uint8:
            raise ConfigError(
                f"weights are {self.weights.dtype} of shape {self.weights.shape}, "
                f"expected uint8 of shape {(HEMISPHERES, ROWS, COLUMNS)}."
            )
        if int(self.weights.max()) > MAX_WEIGHT:
            raise ConfigError(f"A weight is {int(self.weights.max())}, but a synapse holds 0 to {MAX_WEIGHT}.")
