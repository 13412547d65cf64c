"""When the converters sample, with which gain, and how their samples come back with time stamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin import process as p
from hxtorch.twin.circuits import relative_capacitance, test_voltage_of
from hxtorch.twin.config import CommonConfig, ReadoutSource
from hxtorch.twin.coordinates import CIRCUITS, COLUMNS, CYCLES_PER_US, HEMISPHERES, QUADRANTS
from hxtorch.twin.die import Die
from hxtorch.twin.noise import Noise
from hxtorch.twin.program import CadcSamples, MadcSamples, Program, ProgramError, Trace
from hxtorch.twin.random import normal, uniform
from hxtorch.twin.readout import BASE, EXC_WEIGHT, INH_WEIGHT, MEMBRANE_WEIGHT, Readout

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sampling:
    """The readout of one run: arrays for the kernel, and the `steps` of `h` µs they need from `origin` on."""

    readout: Readout
    steps: int
    stamps: Array
    origin: float
    h: float

    def cadc(self, program: Program) -> CadcSamples | None:
        """CADC samples with the stamps that the chip gives them."""
        if not program.record.cadc.size:
            return None
        return CadcSamples(program.record.cadc, self.stamps, self.readout.cadc_count, self.readout.cadc_value)

    def madc(self, program: Program) -> MadcSamples | None:
        """MADC samples, one per engine step."""
        if not program.record.madc.size:
            return None
        samples = self.readout.madc_value.shape[1]
        time = (np.arange(1.0, samples + 1) * self.h + self.origin) * CYCLES_PER_US
        return MadcSamples(program.record.madc, time, self.readout.madc_value)

    def trace(self, program: Program) -> Trace | None:
        """Internal states at the end of every step."""
        if not program.record.trace.size:
            return None
        time = np.arange(1.0, self.steps + 1) * self.h + self.origin
        return Trace(program.record.trace, time, *self.readout.trace)


def plan_sampling(
    program: Program,
    die: Die,
    noise: Noise,
    circuits: NDArray[np.int64],
    lanes: int,
    h: float,
    origin: float,
    seed: int,
) -> Sampling:
    """Lay out the readout of a program on the lanes of `circuits`; the first step starts at `origin` µs."""
    record, common = program.record, program.config.common
    runtime = program.runtime / CYCLES_PER_US
    earliness = 0.0 if die.nominal else p.CADC_EARLINESS.value
    time, count = _cadc_times(program, die, noise, runtime, seed, h)
    lane_of = np.full(CIRCUITS, -1, dtype=np.int64)
    lane_of[circuits] = np.arange(circuits.size)

    column = np.argsort(record.cadc, kind="stable")
    cadc_lane = lane_of[record.cadc[column]]
    gain, offset = cadc_conversion(common, die)
    if noise.run_offset and record.cadc.size:
        offset = offset + noise.run_offset * normal(seed, "run offset", np.arange(CIRCUITS))
    weights, reads_lines = _multiplexer(program, die, circuits, lanes)
    gain_lanes, offset_lanes = np.ones(lanes), np.zeros(lanes)
    gain_lanes[: circuits.size], offset_lanes[: circuits.size] = gain[circuits], offset[circuits]

    end = runtime + (earliness if record.cadc.size else 0.0)
    steps = int(np.ceil((end - origin) / h - 1e-9))
    madc_samples = _madc_samples(record.madc, runtime)
    shape = (program.batch_size, time.shape[2], record.cadc.size)
    readout = Readout(
        weights=weights,
        reads_lines=reads_lines,
        cadc_time=time - origin,
        cadc_count=count,
        cadc_lane=cadc_lane,
        cadc_split=int(np.count_nonzero(record.cadc < COLUMNS)),
        cadc_column=column.astype(np.int64),
        cadc_gain=gain_lanes.astype(np.float32),
        cadc_offset=offset_lanes.astype(np.float32),
        cadc_sigma=noise.cadc,
        cadc_value=np.zeros(shape, dtype=np.uint8),
        madc_lane=lane_of[record.madc],
        madc_gain=p.MADC_SLOPE.value,
        madc_offset=p.MADC_AT_ANCHOR.value - p.MADC_SLOPE.value * p.POTENTIAL_ANCHOR.value + die.madc_offset,
        madc_sigma=noise.madc,
        madc_value=np.zeros((program.batch_size, madc_samples, record.madc.size), dtype=np.uint16),
        trace_lane=lane_of[record.trace],
        trace=np.zeros((3, program.batch_size, steps, record.trace.size), dtype=np.float32),
    )
    return Sampling(readout, max(steps, 1), (time - earliness) * CYCLES_PER_US, origin, h)


def cadc_conversion(common: CommonConfig, die: Die) -> tuple[Array, Array]:
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


def _multiplexer(
    program: Program, die: Die, circuits: NDArray[np.int64], lanes: int
) -> tuple[NDArray[np.float32], bool]:
    """Weights of membrane and lines in what the readout of each lane shows.

    A line shows its charge, before the gain of the OTA that turns it into a current.
    """
    weights = np.zeros((4, lanes), dtype=np.float32)
    weights[MEMBRANE_WEIGHT] = 1
    test_voltage = program.config.common.cadc_test_voltage
    if test_voltage is not None:
        weights[MEMBRANE_WEIGHT] = 0
        weights[BASE] = test_voltage_of(test_voltage)
        return weights, True
    neurons = program.config.neurons
    source = neurons.readout_source[circuits]
    for kind, row, sign in (
        (ReadoutSource.SYNAPTIC_EXCITATORY, EXC_WEIGHT, "exc"),
        (ReadoutSource.SYNAPTIC_INHIBITORY, INH_WEIGHT, "inh"),
    ):
        chosen = np.flatnonzero(source == kind)
        ota = getattr(die, f"gain_{sign}") * getattr(neurons, f"i_bias_gm_{sign}") / p.GM_REFERENCE.value
        ota = np.maximum(ota / relative_capacitance(neurons.membrane_capacitance), 1e-6)[circuits[chosen]]
        weights[MEMBRANE_WEIGHT, chosen] = 0
        weights[row, chosen] = -p.LINE_READOUT_SLOPE.value / ota
        weights[BASE, chosen] = p.LINE_READOUT_REST.value
    return weights, bool(np.any(source != ReadoutSource.MEMBRANE))


def _cadc_times(
    program: Program, die: Die, noise: Noise, runtime: float, seed: int, h: float
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
