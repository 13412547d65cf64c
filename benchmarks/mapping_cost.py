"""What mapping costs: first mapping of a structure, a change of weights, growth, and the overhead of one run.

    python benchmarks/mapping_cost.py [--json docs/data/mapping_cost.json]

Medians of several repeats in one process, kernels compiled before. The overhead of a run is its time without
the integration, the synaptic products and the emulation: graph, handles, mapping, program, observables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch

import hxtorch
from hxtorch import calibration
from hxtorch._files.whole import write_whole
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
from hxtorch.mapping.mapping import try_mapping
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
    return milliseconds(lambda: try_mapping.__wrapped__(network))


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
        mock.patch.object(F, "observe", timed(F.observe)),
        mock.patch.object(F, "linear", timed(F.linear)),
        mock.patch.object(chip, "run", timed(chip.run)),
        mock.patch.object(hxtorch.snn, "run", run),
    ):
        training.run(epochs)
    return 1e3 * statistics.median(total), 1e3 * statistics.median(without)


FRESH = """
import sys, time
sys.path.insert(0, sys.argv[1])
import mapping_cost
for network in (mapping_cost.dense(256, 246, 10), mapping_cost.sparse(1000, 512, 32)):
    begin = time.perf_counter()
    mapping_cost.map_network(network)
    print(time.perf_counter() - begin)
"""


def fresh_process(empty_caches: bool) -> list[float]:
    """The first mappings in a new process, 256-246-10 and then 1,000 sparse sources, in ms.

    With `empty_caches` there is neither compiled code nor bytecode on disk, as at the first use on a machine.
    """
    command = [sys.executable, "-c", FRESH, str(Path(__file__).parent)]
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2 if empty_caches else 4):
            env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
            if empty_caches:
                env |= {"PYTHONPYCACHEPREFIX": f"{folder}/{len(times)}", "PYTHONDONTWRITEBYTECODE": "1"}
                env |= {"NUMBA_CACHE_DIR": f"{folder}/kernels{len(times)}"}
            run = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
            times.append([1e3 * float(line) for line in run.stdout.split()])
    kept = times if empty_caches else times[1:]  # the first of the others fills the caches
    return [statistics.median(column) for column in zip(*kept, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    target = parser.parse_args().json
    found: dict[str, object] = {"machine": f"{os.cpu_count()} cores, Python {platform.python_version()}"}
    first, growth = {}, {}
    print(f"{'first mapping':34}{'ms':>8}{'synapses':>10}")
    for name, network in (
        ("256-246-10", dense(256, 246, 10)),
        ("70-186-20, recurrent", dense(70, 186, 20, True)),
        ("1,000 sources, fan-in 32, sparse", sparse(1000, 512, 32)),
        *((f"1,000 sources, fan-in {n}, sparse", sparse(1000, 512, n)) for n in (4, 8, 16, 64)),
        ("64-64-10", dense(64, 64, 10)),
        ("128-128-10", dense(128, 128, 10)),
    ):
        growth[name] = sum(2 * s.size for s in map_network(network).routing.synapses.values())
        first[name] = first_mapping(network)
        print(f"{name:34}{first[name]:8.1f}{growth[name]:10}")
    new = {"caches": fresh_process(False), "empty caches": fresh_process(True)}
    for state, times in new.items():
        for name, value in zip(("256-246-10", "1,000 sources"), times, strict=True):
            print(f"{f'{name}, new process, {state}':46}{value:8.1f}")
    print(f"\n{'change of weights':34}{'ms':>8}")
    changes = {}
    for name, network in (("256-246-10", dense(256, 246, 10)), ("1,000 sources, sparse", sparse(1000, 512, 32))):
        changes[name] = weight_change(map_network(network))
        print(f"{name:34}{changes[name]:8.2f}")
    hxtorch.init_hardware()
    calibrated = calibration.nightly("spiking", require_chip())
    print(f"\n{'run of the introduction':34}{'ms':>8}{'overhead':>10}")
    runs = {}
    for name, given in (("mock mode", None), ("twin", calibrated)):
        whole, rest = overhead(given)
        runs[name] = {"ms": whole, "overhead_ms": rest}
        print(f"{name:34}{whole:8.2f}{rest:10.2f}")
    hxtorch.release_hardware()
    found |= {
        "first_mapping_ms": first,
        "first_mapping_in_a_new_process_ms": {
            state: dict(zip(("256-246-10", "1,000 sources, fan-in 32, sparse"), times, strict=True))
            for state, times in new.items()
        },
        "synapses": growth,
        "weight_change_ms": changes,
        "introduction": runs,
    }
    if target is not None:
        write_whole(target, json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
