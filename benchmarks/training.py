"""Time one training step (forward and backward) of six networks, next to other libraries and to the limits.

    python benchmarks/training.py [--repeats 20] [--only introduction,...] [--compile] [--output FILE]
    python benchmarks/training.py --docs

Every network is: synapses, leaky integrate-and-fire neurons with exponential currents, ..., leaky integrators,
loss = mean of the squared membrane, gradients of the weights; input of density 5 %. hxtorch runs through its
public interface in mock mode, with a fresh input tensor in each step, so that looking for spikes is part of the
time; "kernels" is the part of it that is spent in kernels and products. "limit" is the time of the dense matrix
products of forward and backward alone, "traffic" the time in which memory copies what has to be read and written
at least. norse, snnTorch, SpikingJelly and sinabs take part where they are installed (`make bench-peers`). rockpool
is left out: when it is imported, it runs pip for a package from elsewhere. All ways take turns within one run, some
steps each time, as in a training; medians are printed and written as JSON, with the memory that each way needs on
top in a process of its own. Other programs on the machine change everything: run it alone. `--figure` draws the
ratios, `--docs` writes the table of docs/performance.md from the result file.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from hxtorch._files.whole import write_whole
from hxtorch.snn import functional as F
from hxtorch.snn.functional.integrators import forward_backward
from hxtorch.snn.functional.memory import spikes
from hxtorch.snn.functional.products import spike_linear, sums
from run_overhead import Clock
from training_networks import NETWORKS, Network, Step, input_of, limit, plain_loop, traffic, with_hxtorch
from training_peers import with_norse, with_sinabs, with_snntorch, with_spikingjelly
from training_table import page_with_table

ROUNDS, WARM_UP = 3, 2
RESULTS = Path(__file__).parent / "results" / "latest.json"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

WAYS: dict[str, Callable[[Network], Step]] = {
    "hxtorch": with_hxtorch,
    "limit": limit,
    "traffic": traffic,
    "plain torch": plain_loop,
    "norse": with_norse,
    "snntorch": with_snntorch,
    "spikingjelly": with_spikingjelly,
    "sinabs": with_sinabs,
}


def measure(network: Network, repeats: int, compile_loop: bool) -> dict[str, float]:
    """Median seconds of a training step by way."""
    x = input_of(network)
    steps: dict[str, Step] = {}
    for name, make in WAYS.items():
        try:
            steps[name] = make(network)
        except ImportError:
            continue
    if compile_loop:
        steps["torch.compile"] = torch.compile(plain_loop(network))
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            for repeat in range(WARM_UP + -(-repeats // ROUNDS)):
                fresh = x.clone()
                begin = time.perf_counter()
                step(fresh)
                if repeat >= WARM_UP:
                    seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in seconds.items()}


def kernel_seconds(network: Network, repeats: int) -> float:
    """Median seconds that a training step of hxtorch spends in its kernels and in products."""
    clock = Clock()
    for owner in (forward_backward, sums, spikes):
        clock.wrap(owner, "share")
    clock.wrap(forward_backward, "weight_gradient")
    clock.wrap(torch, "mm")
    clock.wrap(torch.nn.functional, "linear")
    x, step, seconds = input_of(network), with_hxtorch(network), []
    for repeat in range(WARM_UP + repeats):
        clock.seconds = 0.0
        step(x.clone())
        if repeat >= WARM_UP:
            seconds.append(clock.seconds)
    clock.unwrap()
    return statistics.median(seconds)


def product_seconds(network: Network, repeats: int) -> dict[str, float]:
    """Median seconds of the forward product of the first layer: dense float32, from spikes, dense int8."""
    x = input_of(network).reshape(-1, network.sizes[0])
    weight = torch.randint(-63, 64, (network.sizes[1], network.sizes[0]))
    floating, integer = weight.float(), weight.to(torch.int8)
    ways: dict[str, Callable[[], Any]] = {
        "dense float32": lambda: torch.nn.functional.linear(x, floating),
        "from spikes": lambda: spike_linear.spike_linear(x, floating),
        "dense int8": lambda: F.linear(x, integer),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(WARM_UP + repeats):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            if repeat >= WARM_UP:
                found[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in found.items()}


def peak_bytes(name: str, way: str) -> int:
    """Bytes by which a process grows while it takes training steps in one way."""
    command = [sys.executable, __file__, "--peak", name, way]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def show_peak(name: str, way: str) -> None:
    network = NETWORKS[name]
    x, step = input_of(network), WAYS[way](network)
    small = Network(2, 1, network.sizes, network.recurrent)
    WAYS[way](small)(input_of(small))  # libraries, kernels and threads are there
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = _memory("VmRSS")
    for _ in range(3):
        step(x.clone())
    print(_memory("VmHWM") - before)


def _memory(kind: str) -> int:
    """Bytes of this process: "VmRSS" now, "VmHWM" at most (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(kind))


def draw(results: dict[str, dict[str, float]], path: Path) -> None:
    """How many times as long as hxtorch the others take."""
    import matplotlib.pyplot as plt

    ways = [way for way in (*WAYS, "torch.compile") if any(way in row for row in results.values())]
    ways.remove("hxtorch")
    figure, axes = plt.subplots(figsize=(8, 3.2), constrained_layout=True)
    width = 0.8 / len(ways)
    for place, way in enumerate(ways):
        ratios = [row[way] / row["hxtorch"] if way in row else float("nan") for row in results.values()]
        axes.bar([n + (place + 0.5) * width - 0.4 for n in range(len(results))], ratios, width, label=way)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(range(len(results)), [name.replace("mnist ", "mnist\n") for name in results])
    axes.set(yscale="log", ylabel="time / time of hxtorch")
    figure.legend(loc="outside upper center", ncols=len(ways), fontsize=7, columnspacing=1.2)
    figure.savefig(path, dpi=120)


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "threads": str(torch.get_num_threads())}
    for name in ("torch", "numba", "norse", "snntorch", "spikingjelly", "sinabs"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--only", default="", help="names of networks, separated by commas")
    parser.add_argument("--compile", action="store_true", help="also torch.compile of the whole loop: minutes")
    parser.add_argument("--add", action="store_true", help="keep what the file holds of other networks")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--docs", action="store_true", help="measure nothing, write the table of the page")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        show_peak(*options.peak)
        return
    if options.docs:
        report = json.loads(options.output.read_text(encoding="utf-8"))
        write(PAGE, page_with_table(PAGE.read_text(encoding="utf-8"), report))
        if options.figure:
            draw(report["seconds"], options.figure)
        return
    chosen = [name for name in NETWORKS if not options.only or name in options.only.split(",")]
    print("  ".join(f"{name} {text}" for name, text in versions().items()))
    report = {"versions": versions(), "seconds": {}, "products": {}, "peak": {}}
    if options.add and options.output.exists():
        report |= {
            key: value for key, value in json.loads(options.output.read_text("utf-8")).items() if key in report
        }
        report["versions"] = versions()
    for name in chosen:
        repeats = max(3, options.repeats // 5) if name == "large" else options.repeats
        row = measure(NETWORKS[name], repeats, options.compile)
        row["kernels"] = kernel_seconds(NETWORKS[name], repeats)
        report["seconds"][name] = row
        report["products"][name] = product_seconds(NETWORKS[name], repeats)
        report["peak"][name] = {way: peak_bytes(name, way) for way in row if way in WAYS}
        ours = row["hxtorch"]
        print(f"{name:18}" + "  ".join(f"{way} {1e3 * s:.2f} ms (x{s / ours:.2f})" for way, s in row.items()))
        print(" " * 18 + "  ".join(f"{way} {1e3 * s:.3f} ms" for way, s in report["products"][name].items()))
        print(
            " " * 18 + "  ".join(f"{way} {b / 2**20:.0f} MiB" for way, b in report["peak"][name].items()),
            flush=True,
        )
        write(options.output, json.dumps(report, indent=1))
    if options.figure:
        draw(report["seconds"], options.figure)


if __name__ == "__main__":
    main()
