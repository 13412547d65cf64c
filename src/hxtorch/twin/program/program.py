"""What goes into a chip and what comes out of it: `Program` and `Recording`.

Times are counted in cycles of the 125 MHz FPGA clock (8 ns). Circuits are numbered 0..511, batch entries
0..B-1; every batch entry is emulated from rest, independently of the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hxtorch.shapes import (
    Addresses,
    BatchEntries,
    CadcCodes,
    CadcCounts,
    CadcTimes,
    Circuits,
    Events,
    IntArray,
    MadcCodes,
    SampleTimes,
    SomeCircuits,
    SpikeCounters,
    TracedStates,
)
from hxtorch.twin.places.coordinates import CIRCUITS, MAX_RUNTIME_CYCLES
from hxtorch.twin.program.config import ChipConfig

TRACE_STATES = (
    "membrane", "i_exc", "i_inh", "voltage", "noise", "threshold", "refractory", "adaptation", "current",
    "conductance",
)  # fmt: skip
"""Internal states that a virtual chip can trace.

`membrane`, the `noise` of its leak potential and the `threshold` (with the jitter of the coming spike) are in
CADC LSB; `voltage` is the membrane, too, as the noise acts on it and does not come on top. The drives `i_exc` and
`i_inh` of the circuit's own lines before saturation, the `adaptation` current and the sum `current` of all currents
but that of the leak (with the part of the leak that is its noise) are in LSB/µs; `refractory` is the remaining dead
time in µs, `conductance` that of inputs in conductance mode in 1/µs.
"""


class ProgramError(ValueError):
    """A program asks for something that no chip can do."""


def _no_indices() -> IntArray:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class InputEvents:
    """Spikes sent to the chip, sorted by batch entry and time.

    `time` is in cycles; `source` indexes `addresses`, the addresses that
    the program may send to. An address has 16 bits: bits 14-15 choose the off-chip channel, bits 0-13 are
    the label, of which the crossbar uses any bits, drivers and synapses the lower 11.
    """

    entry: Events = field(default_factory=_no_indices)
    time: Events = field(default_factory=_no_indices)
    source: Events = field(default_factory=_no_indices)
    addresses: Addresses = field(default_factory=_no_indices)


@dataclass(frozen=True)
class Record:
    """What to record: circuits for spikes and CADC, up to two circuits (one even, one odd column) for the MADC.

    `cadc_in_dram` chooses the slow, large CADC buffer. `trace` asks for internal states of these circuits, which
    a virtual chip can give and a real one cannot: `trace_states` names them (`TRACE_STATES`), every
    `trace_period` µs (None: at every step of the engine), of the batch entries `trace_entries` (None: all).
    `counters` reads the 8-bit spike counters of all neurons at the end of every batch entry.
    `loopback` also records the input events for which the crossbar has a way back off the chip.
    """

    spikes: SomeCircuits = field(default_factory=_no_indices)
    cadc: SomeCircuits = field(default_factory=_no_indices)
    madc: SomeCircuits = field(default_factory=_no_indices)
    cadc_in_dram: bool = False
    trace: SomeCircuits = field(default_factory=_no_indices)
    loopback: bool = False
    counters: bool = False
    trace_states: tuple[str, ...] = ("membrane", "i_exc", "i_inh")
    trace_period: float | None = None
    trace_entries: BatchEntries | None = None


@dataclass(frozen=True)
class Program:
    """One experiment: configuration, batch size, run time in cycles, input events and what to record.

    `resets` lists the times (cycles) at which all circuits are reset by command, as a calibration does.
    """

    config: ChipConfig
    batch_size: int
    runtime: int
    events: InputEvents = field(default_factory=InputEvents)
    record: Record = field(default_factory=Record)
    resets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ProgramError(f"The batch size is {self.batch_size}, but a program needs at least one entry.")
        if not 0 < self.runtime <= MAX_RUNTIME_CYCLES:
            raise ProgramError(
                f"The run time is {self.runtime} cycles of 8 ns, but the chip's timer holds 1 to "
                f"{MAX_RUNTIME_CYCLES} (34 s)."
            )
        for time in self.resets:
            if not 0 <= time <= self.runtime:
                raise ProgramError(f"A reset at cycle {time} lies outside of the run, 0 to {self.runtime}.")
        addresses = self.events.addresses
        if addresses.size and not (addresses.min() >= 0 and addresses.max() < 2**16):
            raise ProgramError("InputEvents.addresses holds an address outside of 16 bits, 0 to 65535.")
        self._check_trace()
        for name in ("spikes", "cadc", "madc", "trace"):
            circuits = getattr(self.record, name)
            if circuits.size and not (circuits.min() >= 0 and circuits.max() < CIRCUITS):
                raise ProgramError(f"Record.{name} names a circuit outside 0..{CIRCUITS - 1}.")
            if np.unique(circuits).size != circuits.size:
                raise ProgramError(f"Record.{name} names a circuit twice.")

    def _check_trace(self) -> None:
        record = self.record
        unknown = [name for name in record.trace_states if name not in TRACE_STATES]
        if unknown or len(set(record.trace_states)) != len(record.trace_states):
            raise ProgramError(
                f"Record.trace_states is {', '.join(record.trace_states)}, but it takes each of "
                f"{', '.join(TRACE_STATES)} once at most."
            )
        if record.trace_period is not None and not record.trace_period > 0:
            raise ProgramError(f"Record.trace_period is {record.trace_period} µs, but a period is positive.")
        entries = record.trace_entries
        if entries is not None and not (
            entries.size == np.unique(entries).size
            and np.all((entries >= 0) & (entries < self.batch_size))
            and entries.size
        ):
            raise ProgramError(
                f"Record.trace_entries is {entries.tolist()}, but it takes some of the entries 0 to "
                f"{self.batch_size - 1}, each once."
            )


@dataclass(frozen=True)
class Spikes:
    """Recorded spikes, sorted by batch entry and time: `time` in cycles."""

    entry: Events
    time: Events
    circuit: Events


@dataclass(frozen=True)
class SentEvents:
    """Recorded input events in the order of sending: `time` in cycles."""

    entry: Events
    time: Events
    source: Events


@dataclass(frozen=True)
class CadcSamples:
    """CADC samples of `circuits`.

    * `value`: codes 0..255.
    * `time`: stamps in cycles; the two hemispheres sample independently.
    * `count`: number of valid samples; slots behind it hold nothing.
    """

    circuits: Circuits
    time: CadcTimes
    count: CadcCounts
    value: CadcCodes


@dataclass(frozen=True)
class MadcSamples:
    """MADC samples of one or two `circuits`: `time` in cycles and 10-bit `value`."""

    circuits: Circuits
    time: SampleTimes
    value: MadcCodes


@dataclass(frozen=True)
class Trace:
    """Internal states at the ends of engine steps: `time` in µs, and ``trace[name]`` per state.

    `entries` are the traced batch entries. The states are those of `TRACE_STATES`.
    """

    circuits: Circuits
    time: SampleTimes
    entries: BatchEntries
    values: dict[str, TracedStates]

    def __getitem__(self, name: str) -> TracedStates:
        if name not in self.values:
            raise KeyError(f"{name} was not traced, but {', '.join(self.values)}. Name it in Record.trace_states.")
        return self.values[name]

    @property
    def membrane(self) -> TracedStates:
        """Membrane with its noise, CADC LSB."""
        return self["membrane"]

    @property
    def i_exc(self) -> TracedStates:
        """Excitatory drive, CADC LSB per µs."""
        return self["i_exc"]

    @property
    def i_inh(self) -> TracedStates:
        """Inhibitory drive, CADC LSB per µs."""
        return self["i_inh"]


@dataclass(frozen=True)
class Recording:
    """What a chip returns for one program; parts that were not asked for are None.

    `lost_spikes` counts spikes that were lost on the way off the chip; `counters` are the spike counters,
    which stop at 255 and miss no spike.
    """

    spikes: Spikes | None = None
    cadc: CadcSamples | None = None
    madc: MadcSamples | None = None
    trace: Trace | None = None
    loopback: SentEvents | None = None
    lost_spikes: int = 0
    counters: SpikeCounters | None = None
