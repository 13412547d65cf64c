"""Small measurements through the door of a chip: levels, decays, responses, spikes.

All of them return one value per circuit, shape (512,). Voltages are in CADC LSB, times in µs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxtorch.calibration.bench import ALL, BUS_ROWS, SRAM_RUNTIME, Bench, Settings, Stimulus, cadc_mean, halves
from hxtorch.calibration.psp import PHASES, PspCourse
from hxtorch.shapes import Array, BoolArray, ByteArray
from hxtorch.twin import (
    CommonConfig,
    InputEvents,
    NeuronConfig,
    PlasticityConfig,
    Recording,
    RoutingConfig,
    RowMode,
)
from hxtorch.twin.pattern import process as facts
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS, CYCLES_PER_US, HEMISPHERES, ROWS

ENTRIES = 10  # of a run of SRAM_RUNTIME
FEW_ENTRIES = 4  # where the errors of CapMem cells, which every change of codes draws anew, outweigh the noise
EDGE = 0.3  # µs around a known event in which samples are not trusted


@dataclass(frozen=True, eq=False)
class Train:
    """The same events at `times` (µs) to rows of every circuit; see `stimulus` for how to make one."""

    routing: RoutingConfig
    weights: ByteArray
    times: Array = field(default_factory=lambda: np.empty(0))

    def events(self, entries: int) -> InputEvents:
        """Input events for `entries` batch entries."""
        cycles = np.rint(self.times * CYCLES_PER_US).astype(np.int64)
        zeros = np.zeros(entries * cycles.size, dtype=np.int64)
        entry = np.repeat(np.arange(entries, dtype=np.int64), cycles.size)
        return InputEvents(entry, np.tile(cycles, entries), zeros, np.zeros(1, dtype=np.int64))

    def in_entries(self, entries: int) -> Stimulus:
        """The stimulus of a run with so many batch entries."""
        return Stimulus(self.routing, self.weights, self.events(entries))


def stimulus(mode: RowMode, weight: NDArray[np.int64], rows: int, times: Array) -> Train:
    """Events at `times` (µs) that reach every circuit through `rows` synapses of its `weight` (512,).

    The rows belong to different drivers of one bus, two each, so that the deviations of single synapses
    and drivers average out.
    """
    used = list(BUS_ROWS[:rows])
    row_mode = np.zeros((HEMISPHERES, ROWS), dtype=np.uint8)
    row_mode[:, used] = int(mode)
    weights = np.zeros((HEMISPHERES, ROWS, COLUMNS), dtype=np.uint8)
    weights[:, used] = weight.reshape(HEMISPHERES, 1, COLUMNS).astype(np.uint8)
    routing = RoutingConfig(row_mode=row_mode, driver_mask=np.zeros_like(RoutingConfig().driver_mask))
    return Train(routing, weights, times)


def weakened(given: Train, factor: float) -> Train:
    """Return the same events through weights that are `factor` times as large, of 1 at least."""
    weights = np.where(given.weights > 0, np.maximum(np.rint(factor * given.weights), 1), 0).astype(np.uint8)
    return replace(given, weights=weights)


def membranes(
    bench: Bench,
    neurons: NeuronConfig,
    common: CommonConfig,
    *,
    entries: int,
    runtime: float,
    train: Train | None = None,
    resets: Array | None = None,
    plasticity: PlasticityConfig | None = None,
) -> Recording:
    """Record the CADC of all circuits in `entries` batch entries of `runtime` µs."""
    return bench.run(
        Settings(neurons, common),
        _begun(runtime),
        entries=entries,
        stimulus=None if train is None else train.in_entries(entries),
        cadc=ALL,
        dram=runtime > SRAM_RUNTIME,
        resets=() if resets is None else [_begun(float(time)) for time in resets],
        plasticity=plasticity,
    )


def spike_counts(
    bench: Bench, neurons: NeuronConfig, common: CommonConfig, *, entries: int, runtime: float
) -> NDArray[np.integer[Any]]:
    """Spike counters (entries, 512) after batch entries of `runtime` µs."""
    settings = Settings(neurons, common)
    counters = bench.run(settings, _begun(runtime), entries=entries, counters=True).counters
    assert counters is not None
    return counters


def _begun(time: float) -> float:
    """Time (µs) of the cycle that a moment falls into."""
    return int(time * CYCLES_PER_US) / CYCLES_PER_US


def _halves(recording: Recording) -> list[tuple[Array, ByteArray]]:
    """Per hemisphere: true times (M,) in µs of its valid samples and their codes (M, 256)."""
    return [(time, value) for time, _, value in halves(recording, facts.CADC_EARLINESS.value)]


def _mean(recording: Recording, begin: float, end: float) -> Array:
    """Mean code of the samples taken in ``begin..end`` µs."""
    return cadc_mean(recording, begin, end, facts.CADC_EARLINESS.value)


# --- Levels -------------------------------------------------------------------------------------------------


def rest_level(bench: Bench, neurons: NeuronConfig, common: CommonConfig) -> Array:
    """Mean CADC code of circuits at rest (or of the test voltage that `common` connects)."""
    return _mean(membranes(bench, neurons, common, entries=8, runtime=30.0), 0.0, np.inf)


def reset_level(bench: Bench, neurons: NeuronConfig, common: CommonConfig) -> Array:
    """Mean CADC code while the reset holds the membrane; the refractory time has to be 60 µs or more."""
    settled = 20.0
    recording = membranes(bench, neurons, common, entries=8, runtime=50.0, resets=np.array([1.0]))
    return _mean(recording, settled, 51.0)


def spiking(bench: Bench, neurons: NeuronConfig, common: CommonConfig) -> BoolArray:
    """Whether a circuit fires in at least half of 16 entries of 60 µs."""
    entries = 16
    counters = spike_counts(bench, neurons, common, entries=entries, runtime=60.0)
    return np.asarray(2 * np.count_nonzero(counters, axis=0) >= entries)


def peak_level(bench: Bench, neurons: NeuronConfig, common: CommonConfig) -> Array:
    """Level that one sample in two hundred exceeds: where firing neurons turn round."""
    recording = membranes(bench, neurons, common, entries=16, runtime=SRAM_RUNTIME)
    halves = [np.sort(value, axis=0) for _, value in _halves(recording)]
    return np.concatenate([half[-(1 + len(half) // 200)] for half in halves]).astype(np.float64)


def mean_response(
    bench: Bench,
    neurons: NeuronConfig,
    common: CommonConfig,
    stimulus: Train,
    settling: float,
    entries: int = 16,
) -> Array:
    """Mean deflection (LSB) under a regular train of events, over whole periods once it has settled.

    The mean of a train is the area of one PSP over the period, whatever the phase of the CADC. The baseline
    is taken before the first event of the same run, because it moves from run to run.
    """
    first, period = float(stimulus.times[0]), float(stimulus.times[1] - stimulus.times[0])
    begin = first + settling
    end = begin + np.floor((stimulus.times[-1] + period - begin) / period) * period
    recording = membranes(bench, neurons, common, entries=entries, runtime=float(end), train=stimulus)
    return _mean(recording, begin, float(end)) - _mean(recording, 0.0, first)


def psp_drive(
    bench: Bench,
    neurons: NeuronConfig,
    common: CommonConfig,
    stimulus: Train,
    settling: float,
    course: PspCourse,
    entries: int,
) -> Array:
    """Drive (LSB/µs) that one event of a regular train brings, from the course of the PSPs once they have settled.

    The samples before the first event belong to it: they tell the baseline, which moves from run to run.
    """
    first, period = float(stimulus.times[0]), float(stimulus.times[1] - stimulus.times[0])
    runtime = float(stimulus.times[-1] + period)
    recording = membranes(bench, neurons, common, entries=entries, runtime=runtime, train=stimulus)
    arrival = first + facts.INPUT_LATENCY.value
    parts = []
    for side, (time, value) in enumerate(_halves(recording)):
        settled, quiet = time >= arrival + settling, time < arrival - EDGE
        half = slice(side * COLUMNS, (side + 1) * COLUMNS)
        gathered = _by_phase((time[settled] - arrival) % period, value[settled], period / PHASES)
        parts.append(course.drive(half, gathered, value[quiet].mean(axis=0), int(np.count_nonzero(quiet))))
    return np.concatenate(parts)


def response_by_entry(
    bench: Bench,
    neurons: NeuronConfig,
    common: CommonConfig,
    stimulus: Train,
    settling: float,
    *,
    entries: int,
    plasticity: PlasticityConfig,
) -> Array:
    """Mean deflection (LSB) under a regular train as `mean_response`, but of each batch entry (entries, 512)."""
    first, period = float(stimulus.times[0]), float(stimulus.times[1] - stimulus.times[0])
    begin = first + settling
    end = begin + np.floor((stimulus.times[-1] + period - begin) / period) * period
    recording = membranes(
        bench, neurons, common, entries=entries, runtime=float(end), train=stimulus, plasticity=plasticity
    )
    cadc = recording.cadc
    assert cadc is not None
    time = cadc.time / CYCLES_PER_US + facts.CADC_EARLINESS.value
    valid = np.arange(time.shape[2]) < cadc.count[:, :, None]
    value = cadc.value.astype(np.float32).reshape(entries, -1, HEMISPHERES, COLUMNS)

    def mean(low: float, high: float) -> Array:
        chosen = (valid & (time >= low) & (time < high)).astype(np.float32)
        total = np.einsum("bhs,bshc->bhc", chosen, value)
        number = chosen.sum(axis=2)[:, :, None]
        return np.where(number > 0, total / np.maximum(number, 1), np.nan).reshape(entries, CIRCUITS).astype(float)

    return mean(begin, float(end)) - mean(0.0, first)


# --- Decays -------------------------------------------------------------------------------------------------


def decay_times(
    run: Callable[[float, float, int], tuple[Recording, float]], expected: Array, most: int = ENTRIES
) -> Array:
    """Time constants (µs) of the decays after periodic events; nan where no decay is seen.

    ``run(period, runtime, entries)`` records a run with an event every `period` µs and says when (µs) the
    first decay begins; `entries` is `most` at most. Circuits whose `expected` time constants differ by more than
    a factor of four are measured in different runs.
    """
    result = np.full(CIRCUITS, np.nan)
    scale = np.rint(np.log(expected / expected.max()) / np.log(4.0))
    for group in np.unique(scale):
        members = scale == group
        period = float(np.ceil(5 * expected[members].max() + 3))
        runtime = period * max(3, int(SRAM_RUNTIME // period))
        entries = int(np.clip(most * SRAM_RUNTIME / runtime, min(2, most), most))
        recording, begin = run(period, runtime, entries)
        for side, (time, value) in enumerate(_halves(recording)):
            half = slice(side * COLUMNS, (side + 1) * COLUMNS)
            chosen = np.flatnonzero(members[half])
            phase = (time - begin) % period
            # the first period starts from rest, unlike the others
            kept = (time > begin + period) & (phase > EDGE) & (phase < period - EDGE - 2.0)
            gathered = _by_phase(phase[kept], value[kept][:, chosen], period / PHASES)
            result[half][chosen] = fit_decay(*gathered, expected[half][chosen])
    return result


def _by_phase(
    time: Array, value: ByteArray, width: float
) -> tuple[Array, NDArray[np.float32], NDArray[np.float32]]:
    """Mean time (P,), mean code (P, N) and number of samples (P, N) of all pieces of time `width` with samples.

    Samples at the rails of the CADC do not count.
    """
    piece = np.floor(time / width)
    order = np.argsort(piece, kind="stable")
    begins = np.flatnonzero(np.diff(piece[order], prepend=-1.0))
    if not begins.size:
        nothing = np.zeros((0, value.shape[1]), dtype=np.float32)
        return time, nothing, nothing
    value = value[order]
    seen = ((value > 1) & (value < 254)).astype(np.float32)
    number = np.add.reduceat(seen, begins)
    total: NDArray[np.float32] = np.add.reduceat(seen * value, begins)
    moment = np.add.reduceat(time[order], begins) / np.diff(begins, append=time.size)
    return moment, (total / np.maximum(number, 1)).astype(np.float32), number


def fit_decay(time: Array, value: NDArray[np.float32], weight: NDArray[np.float32], guess: Array) -> Array:
    """Least-squares time constants of ``base + amplitude * exp(-time / tau)``, all circuits at once.

    `time` (M,), `value` and `weight` (M, N), `guess` (N,); Gauss-Newton steps in base, amplitude and log(tau).
    Circuits whose amplitude drowns in noise give nan.
    """
    single = np.float32  # ample for means of 8-bit samples, and exponentials are much faster
    moment, shown = time.astype(single)[:, None], value.astype(single)
    log_tau = np.log(guess)
    base, amplitude = np.zeros(guess.size), np.zeros(guess.size)
    for step in range(7):
        u = moment * np.exp(-log_tau).astype(single)
        e = np.exp(-u)
        columns: list[NDArray[np.float32]] = [np.ones_like(e), e]
        residual = shown - base.astype(single) - amplitude.astype(single) * e
        if step > 0:  # the first step finds base and amplitude for the guessed time constants
            columns += [e * u * amplitude.astype(single)]
        count = len(columns)
        normal, force = np.empty((guess.size, count, count)), np.empty((guess.size, count, 1))
        for i, column in enumerate(columns):
            weighted = weight * column
            force[:, i, 0] = np.einsum("mn,mn->n", weighted, residual)
            for j in range(i + 1):
                normal[:, i, j] = normal[:, j, i] = np.einsum("mn,mn->n", weighted, columns[j])
        moved = np.linalg.solve(normal + 1e-6 * np.eye(count), force)[:, :, 0]
        base, amplitude = base + moved[:, 0], amplitude + moved[:, 1]
        if step > 0:
            log_tau = log_tau + np.clip(moved[:, 2], -0.5, 0.5)
            log_tau = np.clip(log_tau, np.log(guess) - 3, np.log(guess) + 3)
    clear = np.abs(amplitude) > 8.0
    return np.where(clear, np.exp(log_tau), np.nan)
