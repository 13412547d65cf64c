"""When the converters sample, with which gain, and how their samples come back with time stamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.shapes import Array
from hxtorch.twin.circuits.lanes import LaneParameters
from hxtorch.twin.circuits.translation import relative_capacitance, test_voltage_of, threshold_of
from hxtorch.twin.engine.random import normal, uniform
from hxtorch.twin.engine.readout import ADAPTATION_WEIGHT, BASE, EXC_WEIGHT, INH_WEIGHT, MEMBRANE_WEIGHT, Readout
from hxtorch.twin.pattern import process as p
from hxtorch.twin.pattern.fixed_pattern import FixedPattern
from hxtorch.twin.pattern.noise import Noise
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS, CYCLES_PER_US, HEMISPHERES, QUADRANTS
from hxtorch.twin.program import TRACE_STATES, CadcSamples, MadcSamples, Program, ProgramError, Record, Trace
from hxtorch.twin.program.config import CommonConfig, ReadoutSource


@dataclass(frozen=True, eq=False)
class Sampling:
    """The readout of one run: arrays for the kernel, and the `steps` of `h` µs they need from `origin` on."""

    readout: Readout
    steps: int
    stamps: Array
    cadc_order: NDArray[np.int64] | None
    origin: float
    h: float

    def cadc(self, program: Program) -> CadcSamples | None:
        """CADC samples with the stamps that the chip gives them."""
        if not program.record.cadc.size:
            return None
        value = self.readout.cadc_value
        if self.cadc_order is not None:  # the kernel keeps circuits sorted
            value = value[:, :, np.argsort(self.cadc_order)]
        return CadcSamples(program.record.cadc, self.stamps, self.readout.cadc_count, value)

    def madc(self, program: Program) -> MadcSamples | None:
        """MADC samples."""
        if not program.record.madc.size:
            return None
        samples = self.readout.madc_value.shape[1]
        time = np.arange(1.0, samples + 1) * p.MADC_PERIOD.value * CYCLES_PER_US
        return MadcSamples(program.record.madc, time, self.readout.madc_value)

    def trace(self, program: Program) -> Trace | None:
        """Internal states, at the ends of steps."""
        record = program.record
        if not record.trace.size:
            return None
        time = np.arange(1.0, self.readout.trace.shape[2] + 1) * self.readout.trace_every * self.h + self.origin
        values = dict(zip(record.trace_states, self.readout.trace, strict=True))
        entries = np.flatnonzero(self.readout.trace_slot >= 0)
        return Trace(record.trace, time, entries, values)


@dataclass(frozen=True, eq=False)
class Channels:
    """What does not change from run to run that read the same circuits: fields of `Readout`, and the `order`.

    The kernel wants circuits sorted; `order` sorts those of the program, or is None where they are sorted.
    """

    order: NDArray[np.int64] | None
    cadc_split: int
    cadc_lane: tuple[int, int]
    cadc_circuit: NDArray[np.int64]
    cadc_place: NDArray[np.int64]
    cadc_line: NDArray[np.int64]
    cadc_mux: NDArray[np.float32]
    cadc_gain: NDArray[np.float32]
    cadc_offset: Array
    madc_place: NDArray[np.int64]
    madc_line: NDArray[np.int64]
    madc_mux: NDArray[np.float32]
    trace_place: NDArray[np.int64]
    trace_line: NDArray[np.int64]
    trace_saturation: NDArray[np.float32]


def channels(program: Program, die: FixedPattern, lanes: LaneParameters) -> Channels:
    """Find where the circuits that `program` reads lie in memory, and how the converters see them."""
    record, membranes = program.record, lanes.membranes
    order = np.argsort(record.cadc, kind="stable")
    channel = record.cadc[order]
    gain, offset = cadc_conversion(program.config.common, die)
    mux = _multiplexer(program, die, lanes)
    at_cadc, at_madc, at_trace = (membranes.position(c) for c in (channel, record.madc, record.trace))
    place, line = membranes.place(membranes.lane), membranes.line_place
    split = int(np.count_nonzero(record.cadc < COLUMNS))
    return Channels(
        order=None if np.all(order == np.arange(order.size)) else order,
        cadc_split=split,
        cadc_lane=_first_lanes(membranes.lane[at_cadc], mux[MEMBRANE_WEIGHT, at_cadc], split),
        cadc_circuit=channel.astype(np.int64),
        cadc_place=place[at_cadc],
        cadc_line=line[at_cadc],
        cadc_mux=np.ascontiguousarray(mux[:, at_cadc]),
        cadc_gain=gain[channel].astype(np.float32),
        cadc_offset=offset[channel],
        madc_place=place[at_madc],
        madc_line=line[at_madc],
        madc_mux=np.ascontiguousarray(mux[:, at_madc]),
        trace_place=place[at_trace],
        trace_line=line[at_trace],
        trace_saturation=np.stack([lanes.saturation_exc[at_trace], lanes.saturation_inh[at_trace]]),
    )


def plan_sampling(
    program: Program, die: FixedPattern, noise: Noise, h: float, read: Channels, origin: float, seed: int
) -> Sampling:
    """Lay out the readout of a program in steps of `h` µs, the first of which starts at `origin` µs."""
    record = program.record
    runtime = program.runtime / CYCLES_PER_US
    earliness = 0.0 if die.nominal else p.CADC_EARLINESS.value
    time, count = _cadc_times(program, die, noise, runtime, seed, h)

    offset = read.cadc_offset
    if noise.run_offset and record.cadc.size:
        offset = offset + noise.run_offset * normal(seed, "run offset", read.cadc_circuit)

    end = runtime + (earliness if record.cadc.size else 0.0)
    steps = max(int(np.ceil((end - origin) / h - 1e-9)), 1)
    madc_samples = _madc_samples(record.madc, runtime)
    shape = (program.batch_size, time.shape[2], record.cadc.size)
    every = _trace_stride(record, h)
    slot = _trace_slots(program)
    trace = np.zeros((len(record.trace_states), int(slot.max()) + 1, steps // every, record.trace.size), np.float32)
    readout = Readout(
        cadc_time=time - origin,
        cadc_count=count,
        cadc_split=read.cadc_split,
        cadc_circuit=read.cadc_circuit,
        cadc_place=read.cadc_place,
        cadc_line=read.cadc_line,
        cadc_mux=read.cadc_mux,
        cadc_lane=read.cadc_lane,
        cadc_gain=read.cadc_gain,
        cadc_offset=offset.astype(np.float32),
        cadc_sigma=np.float32(noise.cadc),
        cadc_value=np.zeros(shape, dtype=np.uint8),
        madc_circuit=np.require(record.madc, np.int64, ["C", "W"]),
        madc_place=read.madc_place,
        madc_line=read.madc_line,
        madc_mux=read.madc_mux,
        madc_gain=np.float32(p.MADC_SLOPE.value),
        madc_offset=np.float32(madc_offset(die)),
        madc_sigma=np.float32(noise.madc),
        madc_start=(p.MADC_PERIOD.value - origin) / h,
        madc_spacing=p.MADC_PERIOD.value / h,
        madc_value=np.zeros((program.batch_size, madc_samples, record.madc.size), dtype=np.uint16),
        trace_place=read.trace_place,
        trace_line=read.trace_line,
        trace_saturation=read.trace_saturation,
        trace_state=np.array([TRACE_STATES.index(name) for name in record.trace_states], dtype=np.int64),
        trace_slot=slot,
        trace_every=every,
        trace=trace,
    )
    stamps = (time - earliness) * CYCLES_PER_US
    return Sampling(readout, steps, stamps, read.order, origin, h)


def _first_lanes(lane: NDArray[np.int64], weight: NDArray[np.float32], split: int) -> tuple[int, int]:
    """First lane of each hemisphere's recorded circuits, or -1 if these are not consecutive plain membranes."""

    def first(part: slice) -> int:
        chosen = lane[part]
        plain = bool(np.all(weight[part] == 1)) and bool(np.all(np.diff(chosen) == 1))
        return int(chosen[0]) if chosen.size and plain else -1

    return first(slice(0, split)), first(slice(split, None))


def madc_offset(die: FixedPattern) -> float:
    """MADC code (before rounding) of 0 CADC LSB."""
    return p.MADC_AT_ANCHOR.value - p.MADC_SLOPE.value * p.POTENTIAL_ANCHOR.value + die.madc_offset


def _trace_stride(record: Record, h: float) -> int:
    """Every how many steps to trace: the nearest number to the period asked for."""
    return 1 if record.trace_period is None else max(round(record.trace_period / h), 1)


def _trace_slots(program: Program) -> NDArray[np.int64]:
    """Where each batch entry goes in the trace, or -1."""
    chosen = program.record.trace_entries
    if chosen is None:
        return np.arange(program.batch_size)
    slot = np.full(program.batch_size, -1, dtype=np.int64)
    slot[np.sort(chosen)] = np.arange(chosen.size)
    return slot


def cadc_conversion(common: CommonConfig, die: FixedPattern) -> tuple[Array, Array]:
    """Gain and offset (512,) that turn a voltage (CADC LSB) into a CADC code before rounding.

    The ramp's slope sets the gain of a quadrant, its start the offset; every channel adds its own offset,
    which the digital offset register can cancel.
    """
    slope_code, offset_code = common.cadc_ramp_slope, common.cadc_ramp_offset
    if not die.nominal:
        slope_code, offset_code = np.rint(slope_code), np.rint(offset_code)
    gain = die.cadc_gain * p.CADC_RAMP_SLOPE_CODE.value / slope_code
    start = offset_code - p.CADC_RAMP_OFFSET_CODE.value - die.cadc_ramp
    per_quadrant = CIRCUITS // QUADRANTS
    offset = np.repeat(p.CADC_RAMP_OFFSET_SLOPE.value * start, per_quadrant)
    return np.repeat(gain, per_quadrant), offset + die.cadc_channel + common.cadc_offset


def _multiplexer(program: Program, die: FixedPattern, lanes: LaneParameters) -> NDArray[np.float32]:
    """Weights (5, n) of membrane, lines and adaptation in what the readout of each circuit in use shows.

    A line shows its charge, before the gain of the OTA that turns it into a current.
    """
    circuits = lanes.membranes.circuits
    mux = np.zeros((5, circuits.size), dtype=np.float32)
    mux[MEMBRANE_WEIGHT] = 1
    test_voltage = program.config.common.cadc_test_voltage
    if test_voltage is not None:
        mux[MEMBRANE_WEIGHT] = 0
        mux[BASE] = test_voltage_of(test_voltage)
        return mux
    neurons = program.config.neurons
    source = neurons.readout_source[circuits]
    for kind, row, sign in (
        (ReadoutSource.SYNAPTIC_EXCITATORY, EXC_WEIGHT, "exc"),
        (ReadoutSource.SYNAPTIC_INHIBITORY, INH_WEIGHT, "inh"),
    ):
        chosen = np.flatnonzero(source == kind)
        if not chosen.size:
            continue
        ota = getattr(die, f"gain_{sign}") * getattr(neurons, f"i_bias_gm_{sign}") / p.GM_REFERENCE.value
        ota = np.maximum(ota / relative_capacitance(neurons.membrane_capacitance), 1e-6)[circuits[chosen]]
        mux[MEMBRANE_WEIGHT, chosen] = 0
        mux[row, chosen] = -p.LINE_READOUT_SLOPE.value / ota * getattr(lanes, f"saturation_{sign}")[chosen]
        mux[BASE, chosen] = p.LINE_READOUT_REST.value
    chosen = np.flatnonzero(source == ReadoutSource.ADAPTATION)
    if not chosen.size:
        return mux
    mux[MEMBRANE_WEIGHT, chosen] = 0
    mux[ADAPTATION_WEIGHT, chosen] = p.ADAPT_READOUT_SLOPE.value
    mux[BASE, chosen] = threshold_of(neurons.v_adapt_ref)[circuits[chosen]]
    return mux


def _cadc_times(
    program: Program, die: FixedPattern, noise: Noise, runtime: float, seed: int, h: float
) -> tuple[Array, NDArray[np.int64]]:
    """True sample times (µs), shape (B, 2, S), and how many of them are stamped inside the run.

    The hemispheres sample independently, each with a phase of its own in every batch entry. An ideal chip
    samples in every engine step.
    """
    batch = program.batch_size
    if not program.record.cadc.size:
        return np.zeros((batch, HEMISPHERES, 0)), np.zeros((batch, HEMISPHERES), dtype=np.int64)
    if die.nominal:
        samples = int(np.ceil(runtime / h - 1e-9))
        grid = np.broadcast_to(np.arange(samples) * h, (batch, HEMISPHERES, samples))
        return np.ascontiguousarray(grid), np.full((batch, HEMISPHERES), samples, dtype=np.int64)
    dram = program.record.cadc_in_dram
    period = (p.CADC_PERIOD_DRAM if dram else p.CADC_PERIOD).value
    limit = int((p.CADC_DRAM_SAMPLES if dram else p.CADC_SRAM_SAMPLES).value)
    samples = int(np.ceil(runtime / period))
    if samples > limit:
        advice = "Make the run shorter." if dram else "Make the run shorter or record into DRAM."
        raise ProgramError(
            f"A run of {runtime:g} µs takes {samples} CADC samples, but the "
            f"{'DRAM' if dram else 'SRAM'} buffer holds {limit} ({limit * period:g} µs). {advice}"
        )
    entry, side = np.meshgrid(np.arange(batch), np.arange(HEMISPHERES), indexing="ij")
    phase = noise.cadc_phase * period * uniform(seed, "CADC phase", entry, side)
    stamped = phase[:, :, None] + np.arange(samples) * period
    count = np.count_nonzero(stamped < runtime, axis=2)
    return stamped + p.CADC_EARLINESS.value, count.astype(np.int64)


def _madc_samples(circuits: NDArray[np.int64], runtime: float) -> int:
    """Return the number of MADC samples in a run, after checking the converter's limits."""
    if not circuits.size:
        return 0
    if circuits.size > 2 or (circuits.size == 2 and circuits[0] % 2 == circuits[1] % 2):
        raise ProgramError(
            f"The MADC was asked for circuits {circuits.tolist()}, but it samples two circuits at most, one in "
            "an even and one in an odd column."
        )
    samples = int(runtime / p.MADC_PERIOD.value + 1e-9)
    limit = int(p.MADC_SAMPLES.value)
    if samples > limit:
        raise ProgramError(
            f"A run of {runtime:g} µs takes {samples} MADC samples, but the buffer holds {limit} "
            f"({limit * p.MADC_PERIOD.value:g} µs). Make the run shorter or switch the MADC off."
        )
    return samples
