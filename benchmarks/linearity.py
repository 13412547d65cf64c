"""How the time of a training step in mock mode grows with steps, batch, neurons and spikes.

    python benchmarks/linearity.py [--repeats 30] [--output FILE] [--figure FILE]

One network, 256-246-10 with 100 steps, a batch of 100 and inputs of density 5 %, of which one size is changed at a
time. Medians of forward and backward through the public interface are printed and written as JSON, with a straight
line through each curve. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

from hxtorch._files.whole import write_whole
from training_networks import Network, input_of, with_hxtorch

CURVES: dict[str, tuple[float, ...]] = {
    "steps": (25, 50, 100, 200, 400),
    "batch": (25, 50, 100, 200, 400),
    "neurons": (64, 128, 246, 512, 1024),
    "spikes (density)": (0.01, 0.02, 0.05, 0.1, 0.15),
}


def milliseconds(what: str, value: float, repeats: int) -> float:
    """Median time of a training step where `what` is changed to `value`."""
    sizes = {"steps": 100.0, "batch": 100.0, "neurons": 246.0, "spikes (density)": 0.05} | {what: value}
    network = Network(int(sizes["steps"]), int(sizes["batch"]), (256, int(sizes["neurons"]), 10))
    x = input_of(network, sizes["spikes (density)"])
    step, seconds = with_hxtorch(network), []
    for repeat in range(5 + repeats):
        fresh = x.clone()
        begin = time.perf_counter()
        step(fresh)
        if repeat >= 5:
            seconds.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(seconds)


def draw(curves: dict[str, dict[str, list[float]]], path: Path) -> None:
    """The curves with their straight lines."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(10, 2.6), constrained_layout=True)
    for axis, (name, curve) in zip(axes, curves.items(), strict=True):
        x = np.array([0.0, *curve["values"]])
        axis.plot(x, curve["offset"] + curve["slope"] * x, color="0.7", linewidth=1)
        axis.plot(curve["values"], curve["ms"], "o")
        axis.set(xlabel=name, xlim=(0, None), ylim=(0, None))
    axes[0].set(ylabel="ms per training step")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "linearity.json")
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    curves = {}
    for name, values in CURVES.items():
        ms = [milliseconds(name, value, options.repeats) for value in values]
        # relative errors count, so that the small sizes do, too
        slope, offset = np.polyfit(values, ms, 1, w=1 / np.array(ms))
        furthest = float(np.max(np.abs((offset + slope * np.array(values)) / ms - 1)))
        curves[name] = {"values": values, "ms": ms, "slope": slope, "offset": offset, "furthest": furthest}
        points = "  ".join(f"{value:g}: {t:.2f}" for value, t in zip(values, ms, strict=True))
        print(f"{name:18}{points} ms; off a straight line by {furthest:.0%} at most", flush=True)
    write_whole(options.output, json.dumps(curves, indent=1) + "\n")
    if options.figure:
        draw(curves, options.figure)


if __name__ == "__main__":
    main()
