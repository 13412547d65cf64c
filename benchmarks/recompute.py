"""Time and memory of long sequences, stored as a whole and computed in pieces of time (`checkpoint_steps`).

    python benchmarks/recompute.py [--steps 8000] [--piece 200] [--output FILE]

One training step of 64-256-256-4 with a batch of 32 at 5 % input density. Each way has a process of its own: memory
is by how much its peak exceeds that before the step, inputs not counted; times are medians of five later steps,
the two ways in turns.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from hxtorch import snn

BATCH, SIZES = 32, (64, 256, 256, 4)
REPEATS = 5


def child(steps: int, piece: int | None) -> None:
    """Print peak memory in bytes, then one time in seconds for every line of input."""
    experiment = snn.Experiment(mock=True, checkpoint_steps=piece)
    leak = snn.MixedHXModelParameter(0.0, 80)
    unit = {"leak": leak, "reset": leak, "threshold": snn.MixedHXModelParameter(1.0, 125)}
    modules: list[torch.nn.Module] = []
    for before, after in itertools.pairwise(SIZES[:-1]):
        modules += [snn.Synapse(before, after, experiment), snn.Neuron(after, experiment, **unit)]
        torch.nn.init.normal_(modules[-2].weight, 0.1, (0.05 * before) ** -0.5)  # type: ignore[arg-type]
    modules += [snn.Synapse(SIZES[-2], SIZES[-1], experiment), snn.ReadoutNeuron(SIZES[-1], experiment, leak=leak)]

    def step(x: torch.Tensor) -> float:
        begin = time.perf_counter()
        handle = snn.NeuronHandle(x)
        for module in modules:
            handle = module(handle)
        snn.run(experiment, None)
        handle.membrane_cadc.square().mean().backward()  # type: ignore[union-attr]
        return time.perf_counter() - begin

    def spikes(length: int) -> torch.Tensor:
        return (torch.rand(length, BATCH, SIZES[0]) < 0.05).float()

    step(spikes(2 * (piece or 200)))
    x = spikes(steps)
    before_step = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step(x)
    print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_step), flush=True)
    for _ in sys.stdin:
        print(step(x), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--piece", type=int, default=200)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "recompute.json")
    arguments = parser.parse_args()
    if arguments.child is not None:
        child(arguments.steps, arguments.child or None)
        return
    ways = {"stored": 0, "in pieces": arguments.piece}
    processes = {
        name: subprocess.Popen(
            [sys.executable, __file__, "--child", str(piece), "--steps", str(arguments.steps)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name, piece in ways.items()
    }  # fmt: skip
    memory = {name: int(process.stdout.readline()) for name, process in processes.items()}  # type: ignore[union-attr]
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, process in processes.items():
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            times[name].append(float(process.stdout.readline()))
    for process in processes.values():
        process.communicate()
    found = {
        name: {
            "bytes": memory[name],
            "bytes per step": memory[name] / arguments.steps,
            "seconds": statistics.median(t),
        }
        for name, t in times.items()
    }
    for name, values in found.items():
        print(f"{name:9} {values['bytes'] / 2**20:7.0f} MiB  {values['seconds']:.3f} s")
    less = found["stored"]["bytes"] / found["in pieces"]["bytes"]
    longer = found["in pieces"]["seconds"] / found["stored"]["seconds"]
    print(f"memory divided by {less:.1f}, time multiplied by {longer:.2f}")
    found["ratios"] = {"memory": less, "time": longer}
    found["setting"] = {"steps": arguments.steps, "piece": arguments.piece, "batch": BATCH, "sizes": list(SIZES)}
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
