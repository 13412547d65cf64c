"""What loops cost in the model: 70 inputs, 100 neurons that feed themselves, a batch of 10, forward and backward.

    python benchmarks/loops.py [--json docs/data/loops.json]

Plain neurons; neurons with a `forward_func` that integrates with functions of this package; and with one that
has a loop over time of its own. Medians of three runs after a first one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

import torch

import hxtorch.snn as hxsnn
import hxtorch.snn.functional as F
from hxtorch._files.whole import write_whole


class Own(hxsnn.Neuron):
    def forward_func(self, *input, hw_data=None):
        return super().forward_func(*input, hw_data=hw_data)


class ByHand(hxsnn.Neuron):
    def forward_func(self, *input, hw_data=None):
        x = self.summed_input(input)
        v, i, rows = torch.full_like(x[0], 80.0), torch.zeros_like(x[0]), []
        for row in x.unbind(0):
            v = v + 0.1 * (80 - v + i)
            z = F.threshold(v - 125, "superspike", 50.0)
            v = torch.where(z.bool(), 80.0, v)
            i = 0.9 * i + row
            rows.append((z, v, i))
        return hxsnn.NeuronHandle(*map(torch.stack, zip(*rows, strict=True)))


def once(kind: type[hxsnn.Neuron], steps: int) -> float:
    """Milliseconds of one run with gradient."""
    torch.manual_seed(0)
    exp = hxsnn.Experiment(mock=True)
    syn, back, lif = hxsnn.Synapse(70, 100, exp), hxsnn.Synapse(100, 100, exp), kind(100, exp)
    syn.weight.data.uniform_(0, 40)
    back.weight.data.uniform_(-10, 10)
    x = hxsnn.NeuronHandle((torch.rand(steps, 10, 70) < 0.02).float())
    begin = time.perf_counter()
    z = lif(syn(x), back(lif.output_handle))
    hxsnn.run(exp, None)
    z.membrane_cadc.sum().backward()
    return 1e3 * (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    target = parser.parse_args().json
    found: dict[str, dict[int, float]] = {}
    for name, kind, most in (
        ("plain", hxsnn.Neuron, 800),
        ("own forward_func", Own, 800),
        ("by hand", ByHand, 200),
    ):
        found[name] = {}
        for steps in (50, 100, 200, 400, 800):
            if steps <= most:
                times = [once(kind, steps) for _ in range(4)]
                found[name][steps] = statistics.median(times[1:])
                print(f"{name:20}{steps:5} steps{found[name][steps]:10.1f} ms", flush=True)
    if target is not None:
        machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
        write_whole(target, json.dumps({"machine": machine, "ms_by_steps": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
