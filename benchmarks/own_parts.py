"""Time the parts of the numerics that are written by hand next to stock ones.

    python benchmarks/own_parts.py [--only sums,threads,...] [--output FILE]

* sums of weights over few spikes: the kernels of `products`, torch's `embedding_bag`, the dense product;
* threads: the OpenMP runtime of torch, and a pool of Python threads, for training steps;
* memory: the workspace, and torch's allocator (`set_workspace_limit(0)`), for training steps;
* drawings: SVG of reports and notebooks, and matplotlib's, in ms and kB.

All ways take turns, medians are printed and written as JSON. Other programs on the machine change everything.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hxtorch._html import svg
from hxtorch.snn import functional as F
from hxtorch.snn.functional import products
from hxtorch.snn.functional.kernels import threads
from hxtorch.snn.functional.memory.spikes import SpikeIndex, index_of
from training import versions, write
from training_networks import NETWORKS, input_of, with_hxtorch

RESULTS = Path(__file__).parent / "results" / "own_parts.json"
SIZES = {"yin-yang": (3840, 120, 3, 0.1), "mnist": (3000, 256, 246, 0.05), "large": (12800, 1024, 1024, 0.05)}
Way = Callable[[], object]


def medians(ways: dict[str, Way], repeats: int, rounds: int = 5) -> dict[str, float]:
    """Median milliseconds of every way, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            way()
            for _ in range(repeats):
                begin = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - begin)
    return {name: 1e3 * statistics.median(values) for name, values in seconds.items()}


def bags(index: SpikeIndex) -> tuple[torch.Tensor, torch.Tensor]:
    """The list of spikes as `embedding_bag` wants it: without gaps, and where each row begins."""
    row, column = index.places()
    starts = torch.from_numpy(row).bincount(minlength=index.rows).cumsum(0)
    return torch.from_numpy(column).long(), torch.cat([starts.new_zeros(1), starts[:-1]])


def sums(rows: int, inputs: int, outputs: int, density: float) -> dict[str, float]:
    generator = torch.Generator().manual_seed(1)
    spikes = (torch.rand(rows, inputs, generator=generator) < density).float()
    weight, grad = torch.randn(outputs, inputs), torch.randn(rows, outputs)
    index = index_of(spikes)
    assert index is not None
    columns, starts = bags(index)
    table = weight.T.contiguous()
    ways: dict[str, Way] = {
        "own": lambda: products.sum_weights(index, weight),
        "embedding_bag": lambda: torch.nn.functional.embedding_bag(columns, table, starts, mode="sum"),
        "dense": lambda: spikes @ weight.T,
        "own, gradient": lambda: products.sum_gradients(index, grad),
        "dense, gradient": lambda: grad.T @ spikes,
    }
    return medians(ways, 3 if rows * outputs > 10_000_000 else 20)


def threading(name: str) -> dict[str, float]:
    """A training step with both kinds of threads."""
    x, training = input_of(NETWORKS[name]), with_hxtorch(NETWORKS[name])
    openmp = threads._openmp

    def step(runtime: Callable[[], object]) -> Way:
        def way() -> None:
            threads._openmp = runtime  # type: ignore[assignment]
            training(x)
            threads._openmp = openmp

        return way

    ways = {"torch's OpenMP": step(openmp), "pool of threads": step(lambda: None)}
    return medians(ways, 1 if name == "large" else 8)


def memory(name: str) -> dict[str, float]:
    x, training = input_of(NETWORKS[name]), with_hxtorch(NETWORKS[name])

    def step(limit: int) -> Way:
        def way() -> None:
            F.set_workspace_limit(limit)
            training(x)

        return way

    found = medians({"workspace": step(1 << 30), "torch's allocator": step(0)}, 2 if name == "large" else 20)
    F.set_workspace_limit(1 << 30)
    return found


def drawings() -> dict[str, dict[str, float]]:
    """Three lines of 300 points, and 2000 spikes of 100 neurons: milliseconds and kilobytes."""
    random = np.random.default_rng(0)
    time_steps, curves = np.arange(300.0), random.normal(size=(3, 300)).cumsum(1)
    at, neuron = random.integers(0, 300, 2000), random.integers(0, 100, 2000)

    def with_matplotlib(draw: Callable[[Axes], object]) -> str:
        figure, content = Figure(figsize=(5, 1.7)), io.StringIO()
        draw(figure.subplots())
        figure.savefig(content, format="svg")
        return content.getvalue()

    def three_lines(axes: Axes) -> None:
        axes.plot(time_steps, curves.T, label=["a", "b", "c"])
        axes.legend()

    ways: dict[str, Callable[[], str]] = {
        "lines, own": lambda: svg.lines([svg.Series(time_steps, y, "a") for y in curves], "time", "V"),
        "lines, matplotlib": lambda: with_matplotlib(three_lines),
        "raster, own": lambda: svg.raster([at[neuron == n] for n in range(100)], 300, "neuron"),
        "raster, matplotlib": lambda: with_matplotlib(lambda axes: axes.scatter(at, neuron, s=1)),
    }
    found = medians(dict(ways), 10)
    return {name: {"ms": found[name], "kB": len(way()) / 1000} for name, way in ways.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--only", default="", help="some of sums, threads, memory, drawings")
    options = parser.parse_args()
    parts: dict[str, Callable[[], object]] = {
        "sums": lambda: {name: sums(*size) for name, size in SIZES.items()},
        "threads": lambda: {name: threading(name) for name in NETWORKS},
        "memory": lambda: {name: memory(name) for name in ("mnist 30 steps", "mnist 100 steps", "large")},
        "drawings": drawings,
    }
    report = json.loads(options.output.read_text(encoding="utf-8")) if options.output.exists() else {}
    report |= {"versions": versions(), "unit": "ms"}
    for name in options.only.split(",") if options.only else parts:
        report[name] = parts[name]()
        print(name, json.dumps(report[name], indent=1))
    write(options.output, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
