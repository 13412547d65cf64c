"""How far the membranes of the whole chip can be pushed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hxtorch.fidelity.bench import ALL, CalibratedBench, Settings, cadc_mean, codes, switch
from hxtorch.fidelity.row import Measured, Row, protocol

CURRENT = 1000.0  # code
RUNTIME, SETTLED, ENTRIES = 100.0, 80.0, 20  # µs, µs, batch entries
MIDDLE = 128.0  # CADC LSB that hxtorch calls 0

_SOURCE = "HXT dynamic_range.boundary"


@protocol(
    "No neuron may fire; a constant current of code 1000 flows into all membranes, then out of them, as "
    "`hxtorch.snn.utils.dynamic_range` does. Means over the chip, the boundaries after 80 µs; 0 is CADC code 128.",
    Row("membrane without current", "signed CADC LSB", "-45", _SOURCE, "D", -54.0, -36.0, "± 20 %", 1),
    Row("membrane under source current", "signed CADC LSB", "100", _SOURCE, "D", 80.0, 120.0, "± 20 %", 1),
    Row("membrane under sink current", "signed CADC LSB", "-103", _SOURCE, "D", -123.6, -82.4, "± 20 %", 1),
)  # fmt: skip
def membrane_range(bench: CalibratedBench) -> Measured:
    """Boundaries of the membranes."""
    base = bench.calibrated()
    silent = replace(base.neurons, enable_threshold=switch(False), i_offset=codes(CURRENT))
    levels = []
    for current, sink in ((False, False), (True, False), (True, True)):
        neurons = replace(silent, enable_offset=switch(current), offset_sink=switch(sink))
        recording = bench.run(Settings(neurons, base.common), RUNTIME, entries=ENTRIES, cadc=ALL)
        levels.append(cadc_mean(recording, SETTLED if current else 0.0) - MIDDLE)
    return Measured(tuple(float(np.mean(level)) for level in levels), {"levels": np.array(levels)})
