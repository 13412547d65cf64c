"""What mapping costs: first mapping of a structure, a change of weights, growth, and the overhead of one run.

    python benchmarks/mapping_cost.py

Medians of several repeats in one process, kernels compiled before. The overhead of a run is its time without
the integration, the synaptic products and the emulation: graph, handles, mapping, program, observables.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from unittest import mock

import numpy as np
import torch

import hxtorch
from hxtorch import calibration
from hxtorch.connection import require_chip
from hxtorch.demo import introduction as intro
from hxtorch.mapping import (
    Connections,
    InputPopulation,
    Mapping,
    Network,
    NeuronPopulation,
    Projection,
    map_network,
)
from hxtorch.snn import experiment as experiment_module
from hxtorch.snn import functional as F


def dense(inputs: int, hidden: int, out: int, recurrent: bool = False) -> Network:
    pairs = [(0, 1), (1, 2)] + ([(1, 1)] if recurrent else [])
    return Network(
        (InputPopulation(0, "input", inputs),),
        tuple(NeuronPopulation(key, f"layer{key}", n, structure=None) for key, n in ((1, hidden), (2, out))),
        tuple(Projection(k, f"p{k}", pre, post) for k, (pre, post) in enumerate(pairs)),
    )


def sparse(sources: int, neurons: int, fan_in: int) -> Network:
    rng = np.random.default_rng(0)
    exists = np.zeros((neurons, sources), dtype=bool)
    for row in exists:
        row[rng.choice(sources, fan_in, replace=False)] = True
    return Network(
        (InputPopulation(0, "input", sources),),
        (NeuronPopulation(1, "cells", neurons),),
        (Projection(0, "p", 0, 1, Connections.of(exists)),),
    )


def milliseconds(work: Callable[[], object], repeats: int = 7) -> float:
    work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times)


def first_mapping(network: Network) -> float:
    return milliseconds(lambda: map_network.__wrapped__(network))


def weight_change(mapping: Mapping) -> float:
    rng = np.random.default_rng(0)
    network = mapping.network
    matrices = {
        p.key: rng.integers(-63, 64, (network.population(p.post).size, network.population(p.pre).size))
        for p in network.projections
    }
    return milliseconds(lambda: mapping.weights(matrices), 50)


def overhead(calibrated: calibration.CalibrationResult | None, epochs: int = 200) -> tuple[float, float]:
    """Time of a run of the introduction's network, and of it what is neither model nor emulation, in ms."""
    torch.manual_seed(0)
    training = intro.Training(calibrated, intro.random_targets(), trace_scale=1 / 45)
    training.run(3)
    inside = [0.0]

    def timed(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            begin = time.perf_counter()
            result = function(*arguments, **options)
            inside[0] += time.perf_counter() - begin
            return result

        return call

    total: list[float] = []
    without: list[float] = []
    original = experiment_module.run

    def run(*arguments: object, **options: object) -> object:
        inside[0] = 0.0
        begin = time.perf_counter()
        result = original(*arguments, **options)
        total.append(time.perf_counter() - begin)
        without.append(total[-1] - inside[0])
        return result

    chip = type(require_chip())
    with (
        mock.patch.object(F, "integrate", timed(F.integrate)),
        mock.patch.object(F, "linear", timed(F.linear)),
        mock.patch.object(chip, "run", timed(chip.run)),
        mock.patch.object(hxtorch.snn, "run", run),
    ):
        training.run(epochs)
    return 1e3 * statistics.median(total), 1e3 * statistics.median(without)


def main() -> None:
    print(f"{'first mapping':34}{'ms':>8}{'synapses':>10}")
    for name, network in (
        ("256-246-10", dense(256, 246, 10)),
        ("70-186-20, recurrent", dense(70, 186, 20, True)),
        ("1,000 sources, fan-in 32, sparse", sparse(1000, 512, 32)),
        ("1,000 sources, fan-in 8, sparse", sparse(1000, 512, 8)),
        ("1,000 sources, fan-in 64, sparse", sparse(1000, 512, 64)),
        ("64-64-10", dense(64, 64, 10)),
        ("128-128-10", dense(128, 128, 10)),
    ):
        count = sum(2 * s.size for s in map_network(network).routing.synapses.values())
        print(f"{name:34}{first_mapping(network):8.1f}{count:10}")
    print(f"\n{'change of weights':34}{'ms':>8}")
    for name, network in (("256-246-10", dense(256, 246, 10)), ("1,000 sources, sparse", sparse(1000, 512, 32))):
        print(f"{name:34}{weight_change(map_network(network)):8.2f}")
    hxtorch.init_hardware()
    calibrated = calibration.nightly("spiking", require_chip())
    print(f"\n{'run of the introduction':34}{'ms':>8}{'overhead':>10}")
    for name, given in (("mock mode", None), ("twin", calibrated)):
        whole, rest = overhead(given)
        print(f"{name:34}{whole:8.2f}{rest:10.2f}")
    hxtorch.release_hardware()


if __name__ == "__main__":
    main()
