"""The bench on which a chip is measured: registers, input events, and runs through the chip's public door.

Calibrations and the measurements of `hxtorch.fidelity` share it. Nothing here looks into a die. Voltages are in
CADC LSB, times in µs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from hxtorch.shapes import Array, ByteArray, IntArray
from hxtorch.twin import (
    Chip,
    ChipConfig,
    CommonConfig,
    InputEvents,
    NeuronConfig,
    PlasticityConfig,
    Program,
    Record,
    Recording,
    RoutingConfig,
    checked,
)
from hxtorch.twin.pattern import process as facts
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS, CYCLES_PER_US, HEMISPHERES, ROWS

ALL: IntArray = np.arange(CIRCUITS, dtype=np.int64)
SRAM_RUNTIME = facts.CADC_SRAM_SAMPLES.value * facts.CADC_PERIOD.value
BUS_ROWS = tuple(8 * k + j for k in range(32) for j in range(2))  # the rows of the drivers on bus 0
RUNS = 1 << 16  # that a trial has seeds for

_NONE: IntArray = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Settings:
    """Registers of the circuits and those they share."""

    neurons: NeuronConfig = field(default_factory=NeuronConfig)
    common: CommonConfig = field(default_factory=CommonConfig)


@dataclass(frozen=True, eq=False)
class Stimulus:
    """Synapses of every circuit, and what to send: cycle and source of the events of each entry."""

    routing: RoutingConfig
    weights: ByteArray
    events: InputEvents


class Bench:
    """A chip on the bench: runs programs on it, every run with a trial seed of its own.

    Trial `trial_seed` has the seeds of its `runs` one after another.
    """

    def __init__(self, chip: Chip, trial_seed: int = 0, *, runs: int = RUNS) -> None:
        self.chip = chip
        self._seeds = count(trial_seed * runs)
        # the same objects in every run: a virtual chip remembers what it made of them
        self._silent = Stimulus(
            RoutingConfig(), np.zeros((HEMISPHERES, ROWS, COLUMNS), dtype=np.uint8), InputEvents()
        )

    def run(
        self,
        settings: Settings,
        runtime: float,
        *,
        entries: int = 1,
        stimulus: Stimulus | None = None,
        cadc: IntArray | None = None,
        madc: IntArray | None = None,
        spikes: IntArray | None = None,
        counters: bool = False,
        resets: Iterable[float] = (),
        dram: bool = False,
        plasticity: PlasticityConfig | None = None,
    ) -> Recording:
        """Run `entries` batch entries of `runtime` µs and record what is asked for.

        `cadc`, `madc`, `spikes`: circuits; `counters`: the spike counters; `dram`: whether CADC samples go to the
        larger memory; `resets`: times (µs) at which all neurons are reset.
        """
        sent = self._silent if stimulus is None else stimulus
        config = ChipConfig(settings.neurons, settings.common, sent.routing, sent.weights)
        if plasticity is not None:
            config = replace(config, plasticity=plasticity)
        program = Program(
            config=config,
            batch_size=entries,
            runtime=round(runtime * CYCLES_PER_US),
            events=sent.events,
            record=Record(
                spikes=_NONE if spikes is None else spikes,
                cadc=_NONE if cadc is None else cadc,
                madc=_NONE if madc is None else madc,
                cadc_in_dram=dram,
                counters=counters,
            ),
            resets=tuple(round(time * CYCLES_PER_US) for time in resets),
        )
        return checked(self.chip.run(program, next(self._seeds)), self.chip, program)


def halves(recording: Recording, later: float = 0.0) -> list[tuple[Array, IntArray, ByteArray]]:
    """Per hemisphere with recorded circuits: times (µs), entries (M,) and codes (M, N) of the CADC samples.

    Times are the stamps of the samples and so much `later`. The recorded circuits must be sorted.
    """
    cadc = recording.cadc
    assert cadc is not None
    valid = np.arange(cadc.time.shape[2]) < cadc.count[:, :, None]
    split = int(np.count_nonzero(cadc.circuits < COLUMNS))
    parts = (slice(0, split), slice(split, cadc.circuits.size))
    found = []
    for side, part in enumerate(parts):
        if part.stop > part.start:
            entry = np.nonzero(valid[:, side])[0]
            time = cadc.time[:, side][valid[:, side]] / CYCLES_PER_US + later
            found.append((time, entry, cadc.value[:, :, part][valid[:, side]]))
    return found


def cadc_mean(recording: Recording, begin: float = -np.inf, end: float = np.inf, later: float = 0.0) -> Array:
    """Mean code (N,) of every circuit over the samples at ``begin..end`` µs (see `halves`); nan without samples."""
    means = []
    for time, _, value in halves(recording, later):
        chosen = value[(time >= begin) & (time < end)]
        means.append(chosen.mean(axis=0) if len(chosen) else np.full(value.shape[1], np.nan))
    return np.concatenate(means)
