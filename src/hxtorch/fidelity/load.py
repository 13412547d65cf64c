"""Spikes that do not arrive."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hxtorch.fidelity.bench import Bench, Settings, codes, switch
from hxtorch.fidelity.row import Measured, Row, protocol
from hxtorch.twin.coordinates import CYCLES_PER_US

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
def lost_spikes(bench: Bench) -> Measured:
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
