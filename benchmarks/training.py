"""Time one training step (forward and backward) of six networks, next to other libraries and to the limit.

    python benchmarks/training.py [--repeats 20] [--only introduction,...] [--compile] [--output FILE]

Every network is: synapses, leaky integrate-and-fire neurons with exponential currents, ..., leaky integrators,
loss = mean of the squared membrane, gradients of the weights; input of density 5 %. hxtorch runs through its
public interface in mock mode, with a fresh input tensor in each step, so that looking for spikes is part of the
time. "limit" is the time of the dense matrix products of forward and backward alone. norse, snnTorch,
SpikingJelly and sinabs take part where they are installed (`make bench-peers`). rockpool is left out: when it is
imported, it runs pip for a package from elsewhere. All ways take turns within one run, a few steps each time, as
in a training; medians are printed and written as JSON. Other programs on the machine change everything: run it
alone. `--figure` draws the ratios.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor

from hxtorch import snn
from hxtorch.snn import functional as F

Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Network:
    steps: int
    batch: int
    sizes: tuple[int, ...]
    recurrent: bool = False


NETWORKS = {
    "introduction": Network(100, 1, (128, 3)),
    "yin-yang": Network(60, 64, (5, 120, 3)),
    "mnist 30 steps": Network(30, 100, (256, 246, 10)),
    "mnist 100 steps": Network(100, 100, (256, 246, 10)),
    "recurrent": Network(100, 100, (70, 256, 20), recurrent=True),
    "large": Network(100, 128, (700, 1024, 1024, 20)),
}


def weights_of(network: Network) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = list(zip(network.sizes[1:], network.sizes, strict=False))
    weights = [torch.randn(shape, generator=generator) * (0.05 * shape[1]) ** -0.5 for shape in shapes]
    if network.recurrent:
        size = network.sizes[1]
        weights.append(torch.randn(size, size, generator=generator) * 0.3 * size**-0.5)
    return weights


def with_hxtorch(network: Network) -> Step:
    experiment = snn.Experiment(mock=True)
    unit = {
        name: snn.MixedHXModelParameter(v, 100) for name, v in (("leak", 0.0), ("reset", 0.0), ("threshold", 1.0))
    }
    sizes = network.sizes
    synapses = [snn.Synapse(a, b, experiment) for a, b in itertools.pairwise(sizes)]
    neurons: list[snn.Neuron] = [snn.Neuron(n, experiment, **unit) for n in sizes[1:-1]]
    neurons.append(snn.ReadoutNeuron(sizes[-1], experiment, leak=unit["leak"]))
    loop = snn.Synapse(sizes[1], sizes[1], experiment) if network.recurrent else None
    everything = [*synapses, *([loop] if loop else [])]
    for synapse, weight in zip(everything, weights_of(network), strict=True):
        synapse.weight.data = weight

    def step(x: Tensor) -> Tensor:
        handle = snn.NeuronHandle(x)
        for synapse, neuron in zip(synapses, neurons, strict=True):
            drive = [synapse(handle)]
            if loop and neuron is neurons[0]:
                drive.append(loop(neuron.output_handle))
            handle = neuron(*drive)
        snn.run(experiment, None)
        loss = handle.membrane_cadc.square().mean()
        for synapse in everything:
            synapse.weight.grad = None
        loss.backward()
        return loss

    return step


def plain_loop(network: Network) -> Step:
    weights = [weight.requires_grad_() for weight in weights_of(network)]
    recurrent = weights.pop() if network.recurrent else None

    def step(x: Tensor) -> Tensor:
        for layer, weight in enumerate(weights):
            spiking = layer < len(weights) - 1
            i = v = x.new_zeros(x.shape[1], weight.shape[0])
            rows = []
            for drive in torch.nn.functional.linear(x, weight).unbind(0):
                v = v + 0.1 * (i - v)
                if spiking:
                    z = F.threshold(v - 1)
                    v = torch.where(z.bool(), 0.0, v)
                    rows.append(z)
                    if recurrent is not None:
                        drive = drive + z @ recurrent.T
                else:
                    rows.append(v)
                i = i * 0.9 + drive
            x = torch.stack(rows)
        loss = x.square().mean()
        loss.backward()
        for weight in (*weights, *([] if recurrent is None else [recurrent])):
            weight.grad = None
        return loss

    return step


def with_norse(network: Network) -> Step:
    import norse.torch as norse

    p = norse.LIFParameters(100.0, 100.0, v_th=torch.tensor(1.0), alpha=torch.tensor(50.0))
    sizes = network.sizes
    linears = [torch.nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(sizes)]
    hidden = [norse.LIF(p, dt=0.001) for _ in sizes[1:-1]]
    if network.recurrent:
        linears[0] = torch.nn.Identity()
        hidden = [norse.LIFRecurrent(sizes[0], sizes[1], p, dt=0.001)]
    modules = torch.nn.ModuleList([*hidden, norse.LI(norse.LIParameters(100.0, 100.0), dt=0.001)])
    return _layers(linears, [lambda x, m=m: m(x)[0] for m in modules])


def with_snntorch(network: Network) -> Step:
    import snntorch
    from snntorch import surrogate

    slope = surrogate.fast_sigmoid(slope=50)
    sizes = network.sizes
    linears = [torch.nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(sizes)]

    def run(cell: torch.nn.Module, spiking: bool, recurrent: bool) -> Step:
        def over_time(x: Tensor) -> Tensor:
            state = cell.reset_mem()
            rows = []
            spikes = torch.zeros_like(x[0])
            for drive in x.unbind(0):
                if recurrent:
                    spikes, *state = cell(drive, state[0], state[1], state[2])
                    state = [spikes, *state]
                else:
                    spikes, *state = cell(drive, *state)
                rows.append(spikes if spiking else state[-1])
            return torch.stack(rows)

        return over_time

    cells = []
    for layer, size in enumerate(sizes[1:]):
        spiking = layer < len(sizes) - 2
        if network.recurrent and spiking:
            cell = snntorch.RSynaptic(0.9, 0.9, linear_features=size, spike_grad=slope, reset_mechanism="zero")
        else:
            mechanism = "zero" if spiking else "none"
            cell = snntorch.Synaptic(0.9, 0.9, spike_grad=slope, reset_mechanism=mechanism)
        cells.append(run(cell, spiking, network.recurrent and spiking))
    return _layers(linears, cells)


def with_spikingjelly(network: Network) -> Step:
    """Membranes without a filtered current, for its neurons have none: less work than the others do."""
    from spikingjelly.activation_based import functional, neuron, surrogate

    if network.recurrent:
        raise ImportError("no layer for recurrent weights within one call")
    sizes = network.sizes
    linears = [torch.nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(sizes)]
    slope = surrogate.ATan()
    hidden = [neuron.LIFNode(tau=10.0, v_reset=0.0, surrogate_function=slope, step_mode="m") for _ in sizes[1:-1]]
    readout = neuron.LIFNode(tau=10.0, v_threshold=1e9, step_mode="m", store_v_seq=True)

    def read(x: Tensor) -> Tensor:
        readout(x)
        return readout.v_seq

    inner = _layers(linears, [*hidden, read])

    def step(x: Tensor) -> Tensor:
        for module in (*hidden, readout):
            functional.reset_net(module)
        return inner(x)

    return step


def with_sinabs(network: Network) -> Step:
    import sinabs.layers

    sizes = network.sizes
    linears = [torch.nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(sizes)]
    times = {"tau_mem": 10.0, "tau_syn": 10.0}
    cells: list[torch.nn.Module] = [sinabs.layers.LIF(**times) for _ in sizes[1:-1]]
    if network.recurrent:
        loop = torch.nn.Linear(sizes[1], sizes[1], bias=False)
        cells = [sinabs.layers.LIFRecurrent(rec_connect=loop, **times)]
    cells.append(sinabs.layers.ExpLeak(tau_mem=10.0))
    inner = _layers(linears, list(cells))

    def step(x: Tensor) -> Tensor:
        for cell in cells:
            cell.reset_states()
        return inner(x.transpose(0, 1).contiguous())

    return step


def _layers(linears: list[torch.nn.Module], cells: list[Step]) -> Step:
    def step(x: Tensor) -> Tensor:
        for linear, cell in zip(linears, cells, strict=True):
            x = cell(linear(x))
        loss = x.square().mean()
        loss.backward()
        return loss

    return step


def limit(network: Network) -> Step:
    """The dense products of forward and backward, and nothing else."""
    rows = network.steps * network.batch
    pairs = list(zip(network.sizes, network.sizes[1:], strict=False))
    inputs = [False] + [True] * (len(pairs) - 1)
    if network.recurrent:
        pairs.append((network.sizes[1], network.sizes[1]))
        inputs.append(True)
    data = [(torch.rand(rows, a), torch.rand(b, a), torch.rand(rows, b)) for a, b in pairs]

    def step(x: Tensor) -> Tensor:
        for needs_input, (spikes, weight, grad) in zip(inputs, data, strict=True):
            spikes @ weight.T
            grad.T @ spikes
            if needs_input:
                grad @ weight
        return x

    return step


ROUNDS, WARM_UP = 3, 2

WAYS: dict[str, Callable[[Network], Step]] = {
    "hxtorch": with_hxtorch,
    "limit": limit,
    "plain torch": plain_loop,
    "norse": with_norse,
    "snntorch": with_snntorch,
    "spikingjelly": with_spikingjelly,
    "sinabs": with_sinabs,
}


def measure(network: Network, repeats: int, compile_loop: bool) -> dict[str, float]:
    """Median seconds of a training step by way."""
    generator = torch.Generator().manual_seed(1)
    shape = (network.steps, network.batch, network.sizes[0])
    x = (torch.rand(shape, generator=generator) < 0.05).float()
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
    axes.set_xticks(range(len(results)), list(results))
    axes.set(yscale="log", ylabel="time / time of hxtorch")
    axes.legend(ncols=3, fontsize=8)
    figure.savefig(path, dpi=120)


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "threads": str(torch.get_num_threads())}
    for name in ("torch", "numba", "norse", "snntorch", "spikingjelly", "sinabs"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--only", default="", help="names of networks, separated by commas")
    parser.add_argument("--compile", action="store_true", help="also torch.compile of the whole loop: minutes")
    parser.add_argument("--add", action="store_true", help="keep what the file holds of other networks")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "latest.json")
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    chosen = [name for name in NETWORKS if not options.only or name in options.only.split(",")]
    print("  ".join(f"{name} {text}" for name, text in versions().items()))
    results: dict[str, dict[str, float]] = {}
    if options.add and options.output.exists():
        results = json.loads(options.output.read_text(encoding="utf-8"))["seconds"]
    for name in chosen:
        repeats = max(3, options.repeats // 5) if name == "large" else options.repeats
        results[name] = measure(NETWORKS[name], repeats, options.compile)
        ours = results[name]["hxtorch"]
        row = "  ".join(f"{way} {1e3 * s:.2f} ms (x{s / ours:.2f})" for way, s in results[name].items())
        print(f"{name:18}{row}", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    options.output.parent.mkdir(parents=True, exist_ok=True)
    report = {"versions": versions(), "seconds": results, "peak bytes of the process": peak}
    temporary = options.output.with_suffix(".part")
    temporary.write_text(json.dumps(report, indent=1), encoding="utf-8")
    temporary.replace(options.output)
    if options.figure:
        draw(results, options.figure)


if __name__ == "__main__":
    main()
