"""Time a chip-sized network in Brian2 (C++ standalone), for `twin_speed.py`; prints milliseconds per sample.

512 leaky integrate-and-fire neurons, each with an excitatory and an inhibitory exponential current and
Ornstein-Uhlenbeck noise, all-to-all from 256 inputs; 512 input events per 100 µs, steps of 0.1 µs. Samples of
100 µs follow each other in one run, so that building and starting it are not part of the time. The argument is the
number of OpenMP threads (0: none).
"""

from __future__ import annotations

import sys
import tempfile

import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    Synapses,
    defaultclock,
    device,
    prefs,
    second,
    set_device,
)

SAMPLES, STEPS, EVENTS = 20, 1000, 512
UNIT = 1e-6 * second


def main() -> None:
    """Build, run, print."""
    with tempfile.TemporaryDirectory() as folder:
        set_device("cpp_standalone", directory=folder, build_on_run=True)
        prefs.devices.cpp_standalone.openmp_threads = int(sys.argv[1])
        defaultclock.dt = 0.1 * UNIT
        rng = np.random.default_rng(0)
        steps = rng.permutation(SAMPLES * STEPS * 256)[: SAMPLES * EVENTS]  # no source twice in one step
        step, source = steps // 256, steps % 256
        order = np.argsort(step, kind="stable")
        inputs = SpikeGeneratorGroup(256, source[order], step[order] * defaultclock.dt)
        scale = 1 / UNIT
        neurons = NeuronGroup(
            512,
            """dv/dt = (80 - v) / tau + (exc - inh) * scale : 1 (unless refractory)
               dexc/dt = -exc / tau : 1
               dinh/dt = -inh / tau : 1
               dnoise/dt = -noise / tau + 0.29 * sqrt(2 / tau) * xi : 1""",
            threshold="v + noise > 125", reset="v = 70", refractory=2 * UNIT, method="euler",
            namespace={"tau": 10 * UNIT, "scale": scale},
        )  # fmt: skip
        neurons.v = 80
        synapses = []
        for sign, first in (("exc", 0), ("inh", 128)):
            synapse = Synapses(inputs, neurons, "w : 1", on_pre=f"{sign}_post += 0.085 * w")
            synapse.connect(condition=f"i >= {first} and i < {first + 128}")
            synapse.w = "1 + 62 * rand()"
            synapses.append(synapse)
        network = Network(inputs, neurons, *synapses)
        network.run(SAMPLES * STEPS * defaultclock.dt)
        print(1e3 * device._last_run_time / SAMPLES)


if __name__ == "__main__":
    sys.exit(main())
