"""Firing patterns of the AdEx model (Naud et al. 2008, Biol. Cybern. 99, table 1), reached by parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hxtorch.fidelity.bench import CalibratedBench, Settings, Stimulus, codes, switch
from hxtorch.fidelity.row import Measured, Row, protocol
from hxtorch.shapes import Array, IntArray
from hxtorch.twin import InputEvents, RoutingConfig, RowMode
from hxtorch.twin.circuits import code_for_threshold
from hxtorch.twin.pattern import process as facts
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS, CYCLES_PER_US, EVENT_OUTPUTS, HEMISPHERES, ROWS
from hxtorch.twin.places.crossbar import CLOSED, FIRST_OFF_CHIP, straight_crossbar

ONSET, RUNTIME = 20.0, 400.0  # µs
NEURONS = 64
WEIGHT, WIDTH_CODE, HEADROOM = 5, 250.0, 20.0  # of the train; Delta_T of 4 LSB; threshold above the onset, LSB
DRIFT = 8.1  # LSB that one event per µs and weight LSB adds to the membrane: area of a PSP of 0.30 LSB, tau 10 µs


@dataclass(frozen=True)
class Pattern:
    """Potentials in CADC LSB (leak 80), codes of the adaptation, and the step by which the train lifts the rest.

    The values are those of Naud et al., 2 LSB for 1 mV and their membrane time constants scaled to 10 µs; codes by
    the estimates in `hxtorch.twin.pattern.process`. Bursts need a reset near the onset of the exponential current.
    """

    onset: float
    reset: float
    a: float
    tau: float
    b: float
    step: float


PATTERNS = {
    "tonic": Pattern(120.0, 104.0, 100.0, 333.0, 0.0, 100.0),
    "adaptation": Pattern(120.0, 104.0, 83.0, 28.0, 500.0, 83.0),
    "initial burst": Pattern(96.0, 90.0, 111.0, 24.0, 667.0, 44.0),
    "regular bursting": Pattern(96.0, 104.0, 100.0, 83.0, 800.0, 46.0),
    "transient": Pattern(110.0, 104.0, 1000.0, 20.0, 1000.0, 45.0),
}


def is_tonic(spikes: Array) -> bool:
    """Ten intervals at least, equal to 10 %, and no trend of a third."""
    gap = np.diff(spikes)
    return bool(gap.size >= 10 and gap[1:].std() < 0.1 * gap[1:].mean() and 0.75 < gap[-3:].mean() / gap[0] < 1.33)


def is_adapting(spikes: Array) -> bool:
    """Intervals grow by half at least, smoothly, towards a regular rhythm."""
    gap = np.diff(spikes)
    if gap.size < 5:
        return False
    smooth = np.max(gap[1:] / gap[:-1]) < 2.2
    return bool(gap[-3:].mean() > 1.5 * gap[0] and smooth and gap[-3:].std() < 0.15 * gap[-3:].mean())


def is_initial_burst(spikes: Array) -> bool:
    """Intervals of less than a third of the later ones at the start, a jump, and long ones from there on."""
    gap = np.diff(spikes)
    if gap.size < 5:
        return False
    rhythm = gap[-3:].mean()
    late = gap > 0.6 * rhythm
    first = int(np.argmax(late))
    jump = np.max(gap[1:] / gap[:-1]) >= 2.2
    return bool(first >= 1 and gap[0] < rhythm / 3 and jump and np.all(late[first:]))


def is_bursting(spikes: Array) -> bool:
    """Two pauses at least, four times as long as the intervals of bursts, which have two spikes at least."""
    gap = np.diff(spikes)
    if gap.size < 5:
        return False
    inside = np.median(np.sort(gap)[: max(3, gap.size // 3)])
    pauses = np.flatnonzero(gap > 4 * inside)
    return bool(pauses.size >= 2 and pauses[0] > 0 and np.all(np.diff(pauses) >= 2))


def is_transient(spikes: Array) -> bool:
    """A few spikes after the onset, then silence."""
    return bool(1 <= spikes.size <= 10 and spikes[-1] < ONSET + 80.0)


CRITERIA: dict[str, Callable[[Array], bool]] = {
    "tonic": is_tonic,
    "adaptation": is_adapting,
    "initial burst": is_initial_burst,
    "regular bursting": is_bursting,
    "transient": is_transient,
}


def _train(step: float) -> Stimulus:
    """A regular train of events for all neurons, from `ONSET` on, that lifts the rest by `step` LSB."""
    time = np.arange(ONSET, RUNTIME, DRIFT * WEIGHT / step)
    mode = np.zeros((HEMISPHERES, ROWS), dtype=np.uint8)
    mode[:, 0] = int(RowMode.EXCITATORY)
    weights = np.zeros((HEMISPHERES, ROWS, COLUMNS), dtype=np.uint8)
    weights[:, 0] = WEIGHT
    mask, target = straight_crossbar()
    target[:EVENT_OUTPUTS, :FIRST_OFF_CHIP] = CLOSED  # spikes only leave the chip
    routing = RoutingConfig(row_mode=mode, crossbar_mask=mask, crossbar_target=target)
    nothing = np.zeros(time.size, dtype=np.int64)
    stamps = np.rint(time * CYCLES_PER_US).astype(np.int64)
    return Stimulus(routing, weights, InputEvents(nothing, stamps, nothing, np.zeros(1, dtype=np.int64)))


def _spikes(bench: CalibratedBench, pattern: Pattern, chosen: IntArray) -> list[Array]:
    """Spike times (µs) of the chosen neurons with the parameters of a pattern."""
    base, target = bench.calibrated(), bench.calibration("spiking").target
    neurons = base.neurons
    reset = neurons.v_reset + (pattern.reset - np.mean(target.reset)) / facts.RESET_SLOPE.value
    threshold = (pattern.onset + HEADROOM - np.mean(target.threshold)) / facts.THRESHOLD_SLOPE.value
    neurons = replace(
        neurons,
        v_reset=reset,
        v_threshold=neurons.v_threshold + threshold,
        enable_threshold=switch(chosen),
        enable_exponential=switch(True),
        v_exp=code_for_threshold(np.full(CIRCUITS, pattern.onset)),
        i_bias_exp=codes(WIDTH_CODE),
        enable_adaptation=switch(True),
        v_adapt_leak=code_for_threshold(target.per_circuit("leak")),
        i_bias_adapt_tau=codes(pattern.tau),
        i_bias_adapt_a=codes(pattern.a),
        i_bias_adapt_b=codes(pattern.b),
        enable_pause=switch(True),
    )
    spikes = bench.run(Settings(neurons, base.common), RUNTIME, stimulus=_train(pattern.step), spikes=chosen).spikes
    assert spikes is not None
    return [np.sort(spikes.time[spikes.circuit == circuit]) / CYCLES_PER_US for circuit in chosen]


@protocol(
    "64 calibrated neurons get the parameters of Naud et al. (2008), scaled to the chip, with the same codes for "
    "all of them, and a step of input: a dense train of events from 20 µs on. The share of neurons whose spike "
    "train meets the pattern's criterion counts. Nobody calibrates the AdEx terms here, so the spread of their "
    "cells keeps some neurons from it.",
    *(
        Row(f"AdEx: {name}", "%", "reached by parameters", "BILLAU; Naud et al. 2008", "E", 50.0, 100.0,
            "that the chip reaches the pattern is documented (D); the slopes of the codes and the share, most "
            "neurons with the same codes, are estimates (E)", 0)
        for name in PATTERNS
    ),
)  # fmt: skip
def adex_patterns(bench: CalibratedBench) -> Measured:
    """Share of neurons with each pattern."""
    good = bench.good()
    chosen = good[np.linspace(0, good.size - 1, NEURONS).astype(np.int64)]
    shares, curves = [], {}
    for name, pattern in PATTERNS.items():
        trains = _spikes(bench, pattern, chosen)
        reached = [CRITERIA[name](train) for train in trains]
        shares.append(100 * float(np.mean(reached)))
        curves[name] = trains[int(np.argmax(reached))]
    return Measured(tuple(shares), curves)
