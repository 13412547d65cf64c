"""Spikes that do not arrive."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hxtorch.fidelity.bench import ALL, CalibratedBench, Settings, codes, switch, volleys
from hxtorch.fidelity.row import Measured, Row, protocol
from hxtorch.twin.places.coordinates import CYCLES_PER_US

DRIVE_CODE = 600.0
NEURONS = 16
RUNTIME = 1000.0
ENTRIES = 8


@protocol(
    "Sixteen calibrated neurons fire regularly under constant current for 1 ms, eight times; an interval near a "
    "multiple of a neuron's "
    "usual one means lost spikes.",
    Row("spikes lost at low load", "%", "typically up to 2", "PYNN tests", "D", 0.0, 2.0,
        "the limit is documented, the typical 0.2 % an estimate"),
)  # fmt: skip
def lost_spikes(bench: CalibratedBench) -> Measured:
    """Loss of single spikes."""
    base = bench.calibrated()
    good = bench.good()
    chosen = good[np.linspace(0, good.size - 1, NEURONS).astype(np.int64)]
    driven = replace(
        base.neurons, enable_offset=switch(True), i_offset=codes(DRIVE_CODE), enable_threshold=switch(chosen)
    )
    spikes = bench.run(Settings(driven, base.common), RUNTIME, entries=ENTRIES, spikes=chosen).spikes
    assert spikes is not None
    lost = seen = 0
    for circuit in chosen:
        for entry in range(ENTRIES):
            mine = (spikes.circuit == circuit) & (spikes.entry == entry)
            intervals = np.diff(spikes.time[mine] / CYCLES_PER_US)
            lost += int(np.sum(np.rint(intervals / np.median(intervals)) - 1))
            seen += intervals.size
    return Measured((100 * lost / (lost + seen),))


BURST_WEIGHT = 8 * 63
BURST_RUNTIME, BURSTS = 13.5, 20  # µs; everybody has fired once by then, on weak chips too, and nobody twice


@protocol(
    "One strong event makes all 512 neurons of the default calibration fire within 3 µs, 20 times; the "
    "run ends before any of them can fire again.",
    Row("spikes that arrive when 512 neurons fire together", "", "at least 250", "PYNN, GREN tests", "D", 250.0,
        420.0, "the tests demand 250; that some are lost is documented (link, GREN), how many is not: at most 420 "
        "is an estimate (E)", 0),
)  # fmt: skip
def simultaneous_spikes(bench: CalibratedBench) -> Measured:
    """Events that survive when everybody fires."""
    base = bench.calibrated()
    firing = replace(base.neurons, enable_threshold=switch(True))
    stimulus = volleys([BURST_WEIGHT], time=10.0, repeats=BURSTS)
    spikes = bench.run(
        Settings(firing, base.common), BURST_RUNTIME, entries=BURSTS, stimulus=stimulus, spikes=ALL
    ).spikes
    assert spikes is not None
    return Measured((spikes.time.size / BURSTS,))
