"""Every register a program can set, in the chip's own digital units.

CapMem codes are 10 bit (0..1022). They are kept as floating-point numbers because an ideal chip takes
them as they are; every other chip rounds them (`hxtorch.twin.circuits`). All other registers are integers.

Every class is frozen: a changed configuration is a new object (`dataclasses.replace`), so that a chip can
keep what it derived from a part that did not change. Arrays that can be written to are copied, see
`hxtorch.twin.frozen`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxtorch.shapes import (
    BoolArray,
    CircuitCodes,
    CircuitNumbers,
    CircuitSwitches,
    CrossbarNodes,
    DriverNumbers,
    DriverSwitches,
    QuadrantCodes,
    Rows,
    Synapses,
)
from hxtorch.twin.frozen import Frozen, frozen
from hxtorch.twin.places.coordinates import (
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
from hxtorch.twin.places.crossbar import CROSSBAR_INPUTS, CROSSBAR_OUTPUTS, MAX_LABEL, straight_crossbar
from hxtorch.twin.places.joined_circuits import membrane_groups

MAX_HOLDOFF = 15  # 4 bit


class ReadoutSource(IntEnum):
    """What the readout multiplexer of a circuit puts on its CADC channel and the MADC."""

    MEMBRANE = 0
    SYNAPTIC_EXCITATORY = 1
    SYNAPTIC_INHIBITORY = 2
    ADAPTATION = 3


class ConfigError(ValueError):
    """A register was given a value that it cannot hold."""


def _codes(value: float) -> Any:
    return field(default_factory=lambda: np.full(CIRCUITS, value, dtype=np.float64))


def _numbers(value: int) -> Any:
    return field(default_factory=lambda: np.full(CIRCUITS, value, dtype=np.int64))


def _switch(on: bool) -> Any:
    return field(default_factory=lambda: np.full(CIRCUITS, on, dtype=np.bool_))


def _check_shape(name: str, values: NDArray[Any], shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise ConfigError(f"{name} has shape {values.shape}, expected {shape}.")


def _check_range(name: str, values: NDArray[Any], low: float, high: float) -> None:
    """Refuse values outside ``low..high`` (NaN included) with the first offender and its place."""
    bad = np.argwhere(~((values >= low) & (values <= high)))
    if bad.size:
        place = tuple(int(i) for i in bad[0])
        raise ConfigError(
            f"{name}{list(place)} is {values[place]}, but the register holds {low:g} to {high:g}. "
            f"Clip the value or choose another setting ({len(bad)} of {values.size} values are outside)."
        )


def _refuse_beyond_the_row(name: str, switches: BoolArray) -> None:
    last = np.arange(COLUMNS - 1, CIRCUITS, COLUMNS)
    for circuit in last[switches[last]]:
        raise ConfigError(
            f"{name}[{circuit}] is on, but circuit {circuit} is in the last column ({COLUMNS - 1}) of its row and "
            "has no neighbour to the right. Switch it off."
        )


@dataclass(frozen=True)
class NeuronConfig(Frozen):
    """The registers of the 512 neuron circuits.

    Voltages and bias currents are CapMem codes, the others integers or switches.

    * Leak, reset: `enable_leak` connects the leak; multiplication is x8, division /8 of the conductance.
    * Refractory: `refractory_counter` (8 bit) counts ticks of the clock that `refractory_clock` chooses (0
      fast, 1 slow); the reset ends ``31 - 2 reset_holdoff`` ticks before it does. `enable_pause` cuts
      synaptic input and exponential current during the reset, and in this twin the adaptation current.
    * Synaptic input: `enable_high_resistance_*` makes the line slow, `enable_small_capacitance_*` fast and
      strong; `enable_coba_*` lets the difference between `v_rev_coba_*` and the membrane modulate its
      transconductance with the strength of `i_bias_coba_*`.
    * Constant current: `enable_offset`, from a source, or into a sink if `offset_sink`.
    * AdEx: `enable_exponential` with `v_exp`, `i_bias_exp`; `enable_adaptation` with reference, leak, time
      constant, `i_bias_adapt_a` and, in pulses at spikes, `i_bias_adapt_b`; their signs can be inverted.
    * Joined circuits: `connect_right` shorts the membrane with that of the next column, `connect_vertical`
      with the other circuit of the column (either of the two sets it). All joined circuits are one membrane.
    * Compartments: `connect_soma` ties the membrane to its piece of the soma line, `connect_soma_right` joins
      that piece with the one of the next column, `enable_icc` connects membrane and line by a conductance
      (`i_bias_icc`, multiplication x4, division /4).
    * `readout_source` (`ReadoutSource`), `label`: the 8 programmable bits of a spike's label.
    """

    v_leak: CircuitCodes = _codes(629)
    v_reset: CircuitCodes = _codes(598)
    v_threshold: CircuitCodes = _codes(322)
    i_bias_leak: CircuitCodes = _codes(95)
    i_bias_reset: CircuitCodes = _codes(1012)
    i_bias_tau_exc: CircuitCodes = _codes(49)
    i_bias_tau_inh: CircuitCodes = _codes(49)
    i_bias_gm_exc: CircuitCodes = _codes(500)
    i_bias_gm_inh: CircuitCodes = _codes(500)
    i_shift_exc: CircuitCodes = _codes(314)
    i_shift_inh: CircuitCodes = _codes(294)
    i_offset: CircuitCodes = _codes(0)
    membrane_capacitance: CircuitNumbers = _numbers(MAX_CAPACITANCE_CODE)
    enable_exc: CircuitSwitches = _switch(True)
    enable_inh: CircuitSwitches = _switch(True)
    enable_threshold: CircuitSwitches = _switch(False)
    enable_offset: CircuitSwitches = _switch(False)
    refractory_counter: CircuitNumbers = _numbers(31)
    refractory_clock: CircuitNumbers = _numbers(0)
    readout_source: CircuitNumbers = _numbers(0)
    label: CircuitNumbers = _numbers(0)
    enable_leak: CircuitSwitches = _switch(True)
    enable_leak_multiplication: CircuitSwitches = _switch(False)
    enable_leak_division: CircuitSwitches = _switch(False)
    enable_reset_multiplication: CircuitSwitches = _switch(True)
    enable_reset_division: CircuitSwitches = _switch(False)
    reset_holdoff: CircuitNumbers = _numbers(MAX_HOLDOFF)
    enable_pause: CircuitSwitches = _switch(False)
    enable_high_resistance_exc: CircuitSwitches = _switch(False)
    enable_high_resistance_inh: CircuitSwitches = _switch(False)
    enable_small_capacitance_exc: CircuitSwitches = _switch(False)
    enable_small_capacitance_inh: CircuitSwitches = _switch(False)
    enable_coba_exc: CircuitSwitches = _switch(False)
    enable_coba_inh: CircuitSwitches = _switch(False)
    v_rev_coba_exc: CircuitCodes = _codes(293)
    v_rev_coba_inh: CircuitCodes = _codes(293)
    i_bias_coba_exc: CircuitCodes = _codes(0)
    i_bias_coba_inh: CircuitCodes = _codes(0)
    offset_sink: CircuitSwitches = _switch(False)
    enable_exponential: CircuitSwitches = _switch(False)
    v_exp: CircuitCodes = _codes(322)
    i_bias_exp: CircuitCodes = _codes(500)
    enable_adaptation: CircuitSwitches = _switch(False)
    v_adapt_ref: CircuitCodes = _codes(350)
    v_adapt_leak: CircuitCodes = _codes(221)
    i_bias_adapt_tau: CircuitCodes = _codes(100)
    i_bias_adapt_a: CircuitCodes = _codes(0)
    i_bias_adapt_b: CircuitCodes = _codes(0)
    invert_adapt_a: CircuitSwitches = _switch(False)
    invert_adapt_b: CircuitSwitches = _switch(False)
    connect_right: CircuitSwitches = _switch(False)
    connect_vertical: CircuitSwitches = _switch(False)
    connect_soma: CircuitSwitches = _switch(False)
    connect_soma_right: CircuitSwitches = _switch(False)
    enable_icc: CircuitSwitches = _switch(False)
    i_bias_icc: CircuitCodes = _codes(500)
    enable_icc_multiplication: CircuitSwitches = _switch(False)
    enable_icc_division: CircuitSwitches = _switch(False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for item in fields(self):
            values = getattr(self, item.name)
            _check_shape(item.name, values, (CIRCUITS,))
            if item.name.startswith(("v_", "i_")):
                _check_range(item.name, values, 0, MAX_CAPMEM_CODE)
        _check_range("membrane_capacitance", self.membrane_capacitance, 0, MAX_CAPACITANCE_CODE)
        _check_range("refractory_counter", self.refractory_counter, 0, 255)
        _check_range("refractory_clock", self.refractory_clock, 0, 1)
        _check_range("readout_source", self.readout_source, 0, max(ReadoutSource))
        _check_range("label", self.label, 0, 255)
        _check_range("reset_holdoff", self.reset_holdoff, 0, MAX_HOLDOFF)
        for name in ("connect_right", "connect_soma_right"):
            _refuse_beyond_the_row(name, getattr(self, name))
        self._check_one_threshold()

    @cached_property
    def membrane(self) -> CircuitNumbers:
        """Membrane of each circuit: the lowest of all circuits that are joined with it."""
        return membrane_groups(
            self.connect_right, self.connect_vertical, self.connect_soma, self.connect_soma_right
        )

    def _check_one_threshold(self) -> None:
        """Refuse joined circuits of which more than one may spike."""
        spiking = np.bincount(self.membrane[self.enable_threshold], minlength=CIRCUITS)
        for root in np.flatnonzero(spiking > 1):
            members = np.flatnonzero((self.membrane == root) & self.enable_threshold)
            raise ConfigError(
                f"enable_threshold is on for the circuits {members.tolist()}, whose membranes are joined, but one "
                "circuit of a membrane at most may spike. Switch the threshold of the others off."
            )


@dataclass(frozen=True)
class CommonConfig(Frozen):
    """Registers shared by many circuits.

    * `synapse_dac_bias`: CapMem code per quadrant, scales the charge of every synapse of the quadrant.
    * `refractory_clock_scale`: exponents ``s`` of the fast and the slow refractory clock, whose frequency
      is 250 MHz / 2**(s + 1).
    * `v_bias_casc_n`: CapMem code per quadrant, a bias shared by the circuits. The default is that of a
      calibrated chip; after power-up it is 0, and resets are slow.
    * `cadc_ramp_offset`, `cadc_ramp_slope`: CapMem codes per quadrant of the CADC's ramp.
    * `cadc_offset`: digital offset of the CADC channel of every circuit, -128..127.
    * `adaptation_pulse_scale`: exponent ``s`` of the adaptation pulse at a spike, 2**(s + 1) / 250 MHz long.
    * `cadc_test_voltage`: None reads the circuits; a CapMem code connects all channels to that test voltage.
    """

    synapse_dac_bias: QuadrantCodes = field(default_factory=lambda: np.full(QUADRANTS, 600.0))
    refractory_clock_scale: tuple[int, int] = (3, 10)
    adaptation_pulse_scale: int = 4
    v_bias_casc_n: QuadrantCodes = field(default_factory=lambda: np.full(QUADRANTS, 250.0))
    cadc_ramp_offset: QuadrantCodes = field(default_factory=lambda: np.full(QUADRANTS, 31.0))
    cadc_ramp_slope: QuadrantCodes = field(default_factory=lambda: np.full(QUADRANTS, 369.0))
    cadc_offset: CircuitNumbers = field(default_factory=lambda: np.zeros(CIRCUITS, dtype=np.int64))
    cadc_test_voltage: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "refractory_clock_scale", tuple(self.refractory_clock_scale))
        for name in ("synapse_dac_bias", "v_bias_casc_n", "cadc_ramp_offset", "cadc_ramp_slope"):
            _check_shape(name, getattr(self, name), (QUADRANTS,))
            _check_range(name, getattr(self, name), 0, MAX_CAPMEM_CODE)
        _check_range("cadc_ramp_slope", self.cadc_ramp_slope, 1, MAX_CAPMEM_CODE)
        _check_shape("cadc_offset", self.cadc_offset, (CIRCUITS,))
        _check_range("cadc_offset", self.cadc_offset, -128, 127)
        if len(self.refractory_clock_scale) != 2:
            raise ConfigError(
                f"refractory_clock_scale has {len(self.refractory_clock_scale)} entries, expected 2: fast and slow."
            )
        if self.cadc_test_voltage is not None:
            _check_range("cadc_test_voltage", np.asarray([self.cadc_test_voltage]), 0, MAX_CAPMEM_CODE)
        _check_range("refractory_clock_scale", np.asarray(self.refractory_clock_scale), 0, 15)
        _check_range("adaptation_pulse_scale", np.asarray([self.adaptation_pulse_scale]), 0, 15)


class RowMode(IntEnum):
    """Sign of a synapse row; it belongs to the driver, never to a synapse (chip.md 1.2)."""

    OFF = 0
    EXCITATORY = 1
    INHIBITORY = 2


@dataclass(frozen=True)
class RoutingConfig(Frozen):
    """Which events reach which synapses: labels, row modes, address masks of the drivers and the crossbar.

    An event carries a 14-bit label. The crossbar sends it to PADI buses (`hxtorch.twin.places.crossbar`; masks and
    targets have shape (20, 12)). There, bits 0-5 are compared with the label stored in each synapse, bits
    6-10 (row select) with the position of each driver on the bus, under the driver's mask.
    """

    labels: Synapses = field(default_factory=lambda: np.zeros((HEMISPHERES, ROWS, COLUMNS), dtype=np.uint8))
    row_mode: Rows = field(default_factory=lambda: np.zeros((HEMISPHERES, ROWS), dtype=np.uint8))
    driver_mask: DriverNumbers = field(default_factory=lambda: np.full((HEMISPHERES, DRIVERS), 31, dtype=np.uint8))
    crossbar_mask: CrossbarNodes = field(default_factory=lambda: straight_crossbar()[0])
    crossbar_target: CrossbarNodes = field(default_factory=lambda: straight_crossbar()[1])

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("crossbar_mask", "crossbar_target"):
            _check_shape(name, getattr(self, name), (CROSSBAR_INPUTS, CROSSBAR_OUTPUTS))
            _check_range(name, getattr(self, name), 0, MAX_LABEL)
        _check_shape("labels", self.labels, (HEMISPHERES, ROWS, COLUMNS))
        _check_shape("row_mode", self.row_mode, (HEMISPHERES, ROWS))
        _check_shape("driver_mask", self.driver_mask, (HEMISPHERES, DRIVERS))
        _check_range("labels", self.labels, 0, 63)
        _check_range("row_mode", self.row_mode, 0, max(RowMode))
        _check_range("driver_mask", self.driver_mask, 0, 31)


@dataclass(frozen=True)
class PlasticityConfig(Frozen):
    """Short-term plasticity of the synapse drivers; off by default.

    Per driver, shape (2, 128): `enable`, the 4-bit `utilization`, `recovery` and `offset`, and `voltage_set`
    (0 or 1), which chooses among the two pairs of CapMem codes `v_charge` and `v_recover`. Common to all:
    `i_ramp`, `v_stp` (CapMem codes) and the `clock_scale` of the recovery, 0..15.
    """

    enable: DriverSwitches = field(default_factory=lambda: np.zeros((HEMISPHERES, DRIVERS), dtype=np.bool_))
    utilization: DriverNumbers = field(default_factory=lambda: np.full((HEMISPHERES, DRIVERS), 8, dtype=np.uint8))
    recovery: DriverNumbers = field(default_factory=lambda: np.full((HEMISPHERES, DRIVERS), 8, dtype=np.uint8))
    offset: DriverNumbers = field(default_factory=lambda: np.full((HEMISPHERES, DRIVERS), 8, dtype=np.uint8))
    voltage_set: DriverNumbers = field(default_factory=lambda: np.zeros((HEMISPHERES, DRIVERS), dtype=np.uint8))
    v_charge: tuple[float, float] = (100.0, 330.0)
    v_recover: tuple[float, float] = (400.0, 50.0)
    i_ramp: float = 600.0
    v_stp: float = 180.0
    clock_scale: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_shape("enable", self.enable, (HEMISPHERES, DRIVERS))
        for name, limit in (("utilization", 15), ("recovery", 15), ("offset", 15), ("voltage_set", 1)):
            _check_shape(name, getattr(self, name), (HEMISPHERES, DRIVERS))
            _check_range(name, getattr(self, name), 0, limit)
        for name in ("v_charge", "v_recover"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            _check_shape(name, np.asarray(getattr(self, name)), (2,))
            _check_range(name, np.asarray(getattr(self, name)), 0, MAX_CAPMEM_CODE)
        _check_range("i_ramp", np.asarray([self.i_ramp]), 1, MAX_CAPMEM_CODE)
        _check_range("v_stp", np.asarray([self.v_stp]), 0, MAX_CAPMEM_CODE)
        _check_range("clock_scale", np.asarray([self.clock_scale]), 0, 15)


# One object for all: a chip keeps what it derived from the parts of a configuration that did not change.
_NO_PLASTICITY = PlasticityConfig()


@dataclass(frozen=True)
class ChipConfig:
    """The whole chip: circuits, common registers, routing and the 6-bit `weights` (hemisphere, row, column).

    `enable_events` (512,) switches the event output of each circuit: one that is off fires and resets, but
    nobody hears of it. `weights` alone may be changed in place between runs.
    """

    neurons: NeuronConfig = field(default_factory=NeuronConfig)
    common: CommonConfig = field(default_factory=CommonConfig)
    routing: RoutingConfig = field(default_factory=RoutingConfig)
    weights: Synapses = field(default_factory=lambda: np.zeros((HEMISPHERES, ROWS, COLUMNS), dtype=np.uint8))
    enable_events: CircuitSwitches = field(default_factory=lambda: np.ones(CIRCUITS, dtype=np.bool_))
    plasticity: PlasticityConfig = _NO_PLASTICITY

    def __post_init__(self) -> None:
        object.__setattr__(self, "enable_events", frozen(self.enable_events))
        _check_shape("enable_events", self.enable_events, (CIRCUITS,))
        if self.weights.shape != (HEMISPHERES, ROWS, COLUMNS) or self.weights.dtype != np.uint8:
            raise ConfigError(
                f"weights are {self.weights.dtype} of shape {self.weights.shape}, "
                f"expected uint8 of shape {(HEMISPHERES, ROWS, COLUMNS)}."
            )
        if int(self.weights.max()) > MAX_WEIGHT:
            raise ConfigError(f"A weight is {int(self.weights.max())}, but a synapse holds 0 to {MAX_WEIGHT}.")
