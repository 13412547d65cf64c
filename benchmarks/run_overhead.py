"""Time what `run` costs beyond the kernels: graph, handles, mapping and observables of the introduction's network.

    python benchmarks/run_overhead.py [--repeats 300] [--output FILE]

The network of the introduction (128 inputs, 3 leaky integrators, 100 steps of 1 µs, one sample) is called and run
again and again, forward and backward. The time within the kernels and torch's products, within the virtual chip's
engine, and within torch's own backward pass is taken apart by wrapping these functions; what is left is overhead. A
profile by function follows with `--profile`.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import hxtorch
from hxtorch import snn
from hxtorch.connection import connected_chip
from hxtorch.snn.functional.integrators import forward_backward, fused
from hxtorch.snn.functional.products import costs, linear

STEPS, INPUTS, OUTPUTS = 100, 128, 3


class Clock:
    """Adds up the time within functions, each counted once however deep they call each other."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0
        self._wrapped: list[tuple[Any, str, Any]] = []

    def wrap(self, owner: Any, name: str) -> None:
        """Count the time within ``owner.name``."""
        function = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._depth:
                return function(*args, **kwargs)
            self._depth += 1
            begin = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - begin
                self._depth -= 1

        self._wrapped.append((owner, name, function))
        setattr(owner, name, timed)

    def unwrap(self) -> None:
        """Count nothing any more."""
        for owner, name, function in reversed(self._wrapped):
            setattr(owner, name, function)


def network(mock: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    """The introduction's network as a function from spikes to the membranes of the readout, with `run`."""
    experiment = snn.Experiment(mock=mock)
    synapse = snn.Synapse(INPUTS, OUTPUTS, experiment)
    neuron = snn.ReadoutNeuron(OUTPUTS, experiment, tau_mem=10e-6, tau_syn=10e-6, trace_scale=1 / 45)
    torch.nn.init.normal_(synapse.weight, 0.0, 0.3)

    def forward(spikes: torch.Tensor) -> torch.Tensor:
        y = neuron(synapse(snn.NeuronHandle(spikes)))
        snn.run(experiment, STEPS)
        assert y.membrane_cadc is not None
        return y.membrane_cadc

    return forward


def measure(mock: bool, clock: Clock, repeats: int) -> dict[str, float]:
    """Median milliseconds of the whole run, of what is within the kernels, and of the rest."""
    forward = network(mock)
    whole, rest = [], []
    for number in range(repeats + 20):
        spikes = (torch.rand(STEPS, 1, INPUTS) < 0.05).float()
        clock.seconds = 0.0
        begin = time.perf_counter()
        forward(spikes)
        took = time.perf_counter() - begin
        if number >= 20:
            whole.append(1e3 * took)
            rest.append(1e3 * (took - clock.seconds))
    total, overhead = statistics.median(whole), statistics.median(rest)
    return {"run": total, "kernels": total - overhead, "overhead": overhead}


def profile(mock: bool) -> None:
    """Where the time of 300 runs goes, by function."""
    forward = network(mock)
    spikes = (torch.rand(STEPS, 1, INPUTS) < 0.05).float()
    for _ in range(20):
        forward(spikes)
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(300):
        forward(spikes)
    profiler.disable()
    pstats.Stats(profiler).strip_dirs().sort_stats("cumulative").print_stats(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--profile", action="store_true", help="also print where the time goes, by function")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "run_overhead.json")
    arguments = parser.parse_args()
    clock = Clock()
    for owner, name in (
        (forward_backward, "integrate_lanes"),
        (linear, "spike_linear"),
        (costs, "index_of"),
        (fused, "run_forward"),
    ):
        clock.wrap(owner, name)
    found = {"mock": measure(True, clock, arguments.repeats)}
    hxtorch.init_hardware()
    clock.wrap(type(connected_chip()), "run")
    found["twin"] = measure(False, clock, arguments.repeats)
    for name, values in found.items():
        print(f"{name:5}", "  ".join(f"{key} {value:.2f} ms" for key, value in values.items()))
    if arguments.profile:
        for mock in (True, False):
            profile(mock)
    hxtorch.release_hardware()
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
