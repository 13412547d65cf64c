"""Time the twin: the whole chip, the cost against circuits, steps and events, and next to Brian2.

    python benchmarks/twin_speed.py [--threads 2] [--brian .venv-brian/bin/python] [--output FILE] [--figure FILE]

The whole chip: 512 circuits that may spike, 256 inputs, all synapses set, 512 input events per 100 µs, all noise
on, spikes and CADC recorded, a batch of 100 at the default step. Medians of several runs are printed and written
as JSON. Run it on a quiet machine. Brian2 needs an environment of its own (`make bench-simulators`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch import calibration
from hxtorch._files.whole import write_whole
from hxtorch.twin import (
    ChipConfig,
    InputEvents,
    NeuronConfig,
    Program,
    Record,
    Recording,
    RoutingConfig,
    VirtualChip,
    set_num_threads,
)
from hxtorch.twin.places.coordinates import EVENT_OUTPUTS
from hxtorch.twin.places.crossbar import CLOSED, FIRST_OFF_CHIP, straight_crossbar

SOURCES, CYCLE = 256, 0.008  # inputs; µs


def program(
    calibrated: calibration.CalibrationResult,
    *,
    events: int = 512,
    runtime: float = 100.0,
    batch: int = 100,
    circuits: int = 512,
    largest: int = 63,
    grid: float = 0.008,
    fires: bool = True,
) -> Program:
    """One row of synapses per input, half of them excitatory; `events` per entry at random times on a grid (µs)."""
    rng = np.random.default_rng(0)
    row = np.arange(SOURCES)
    driver = row // 2
    labels = np.broadcast_to((row % 2)[None, :, None], (2, 256, 256)).astype(np.uint8)
    mode = np.broadcast_to(np.where((driver + row) % 2 == 0, 1, 2).astype(np.uint8), (2, 256))
    weights = rng.integers(1, largest + 1, (2, 256, 256)).astype(np.uint8)
    neurons: NeuronConfig = replace(calibrated.neurons, enable_threshold=fires & (np.arange(512) < circuits))
    mask, target = straight_crossbar()
    target[:EVENT_OUTPUTS, :FIRST_OFF_CHIP] = CLOSED  # spikes leave the chip, none comes back to a synapse
    routing = RoutingConfig(labels=labels.copy(), row_mode=mode.copy(), crossbar_mask=mask, crossbar_target=target)
    config = ChipConfig(neurons, calibrated.common, routing, weights)
    when = np.sort(rng.integers(0, round(runtime / grid), (batch, events)), axis=1).ravel()
    when *= round(grid / CYCLE)
    sent = InputEvents(
        np.repeat(np.arange(batch), events),
        when,
        rng.integers(0, SOURCES, batch * events),
        (driver % 4 << 11) | (driver // 4 << 6) | (row % 2),
    )
    read = np.arange(circuits)
    return Program(config, batch, round(runtime / CYCLE), sent, Record(spikes=read, cadc=read))


def measure(chip: VirtualChip, task: Program, repeats: int = 15) -> dict[str, float]:
    """Median milliseconds per sample, and spikes per sample."""
    for trial in range(3):
        chip.run(task, trial)
    seconds = []
    spikes = 0
    for trial in range(repeats):
        begin = time.perf_counter()
        recorded = chip.run(task, trial).spikes
        seconds.append(time.perf_counter() - begin)
        assert recorded is not None
        spikes += recorded.time.size
    per_sample = 1e3 / task.batch_size
    return {
        "ms_per_sample": statistics.median(seconds) * per_sample,
        "spikes_per_sample": spikes / repeats / task.batch_size,
    }


class Watched:
    """A chip that remembers the last program it was given."""

    def __init__(self, chip: VirtualChip) -> None:
        self.chip = chip
        self.identifier, self.nominal = chip.identifier, chip.nominal
        self.program: Program | None = None

    def run(self, program: Program, trial_seed: int = 0) -> Recording:
        self.program = program
        return self.chip.run(program, trial_seed)


def network(chip: VirtualChip, batch: int = 5000) -> Program:
    """The program of 256-246-10 for 12 µs; an input fires with a chance of 0.25, once (as for images)."""
    watched = Watched(chip)
    hxtorch.init_hardware(watched)
    torch.manual_seed(0)
    experiment = hxsnn.Experiment(dt=1e-6)
    hidden_synapse = hxsnn.Synapse(256, 246, experiment)
    hidden = hxsnn.LIF(246, experiment, enable_cadc_recording=False)
    readout_synapse = hxsnn.Synapse(246, 10, experiment)
    readout = hxsnn.LI(10, experiment)
    with torch.no_grad():
        hidden_synapse.weight.normal_(0.5, 11.5)
        readout_synapse.weight.normal_(0, 15)
    spikes = torch.zeros(12, batch, 256)
    fires = torch.rand(batch, 256) < 0.25
    spikes.scatter_(0, torch.randint(0, 12, (1, batch, 256)), fires[None].float())
    readout(readout_synapse(hidden(hidden_synapse(hxsnn.LIFObservables(spikes=spikes)))))
    hxsnn.run(experiment, 12)
    hxtorch.release_hardware()
    assert watched.program is not None
    return watched.program


def draw(curves: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Cost against circuits, run time and events."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(9, 2.8), sharey=True, constrained_layout=True)
    for axis, (name, points) in zip(axes, curves.items(), strict=True):
        axis.plot([p["x"] for p in points], [p["ms_per_sample"] for p in points], "o-")
        axis.set(xlabel=name, xlim=(0, None))
    axes[0].set(ylabel="ms per sample", ylim=(0, 1.1 * max(p["ms_per_sample"] for c in curves.values() for p in c)))
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--brian", help="interpreter of an environment with Brian2")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "twin.json")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--redraw", action="store_true", help="draw the figure of an earlier run")
    options = parser.parse_args()
    if options.redraw:
        draw(json.loads(options.output.read_text())["curves"], options.figure)
        return
    set_num_threads(options.threads)
    chip = VirtualChip()
    calibrated = calibration.nightly("spiking", chip)
    result: dict[str, object] = {"threads": options.threads, "step_us": chip.step}

    for name, task in (
        ("inputs every 8 ns", program(calibrated)),
        ("inputs on a grid of 1 µs", program(calibrated, grid=1.0)),
        ("inputs every 8 ns, no neuron fires", program(calibrated, fires=False)),
    ):
        whole = measure(chip, task)
        whole["ratio_to_chip_time"] = whole["ms_per_sample"] / 0.1
        result[f"whole chip, 100 µs, {name}"] = whole
        print(
            f"whole chip, {name}: {whole['ms_per_sample']:.4f} ms per sample of 0.1 ms, "
            f"{whole['spikes_per_sample']:.0f} spikes"
        )

    task = network(chip)
    layers = measure(chip, task)
    layers["samples_per_second"] = 1e3 / layers["ms_per_sample"]
    layers["events_per_sample"] = task.events.time.size / task.batch_size
    result["256-246-10, 12 µs"] = layers
    print(
        f"256-246-10: {layers['samples_per_second']:.0f} samples per second, "
        f"{layers['spikes_per_sample']:.0f} spikes each"
    )

    curves: dict[str, list[dict[str, float]]] = {
        "circuits": [
            {"x": n, **measure(chip, program(calibrated, circuits=n, fires=False), 7)}
            for n in (32, 64, 128, 256, 384, 512)
        ],
        "run time (µs), 512 events": [
            {"x": t, **measure(chip, program(calibrated, runtime=t, fires=False), 7)}
            for t in (12.5, 25.0, 50.0, 100.0, 150.0)
        ],
        "events": [
            {"x": n, **measure(chip, program(calibrated, events=n, fires=False), 7)}
            for n in (0, 256, 512, 1024, 2048)
        ],
    }
    result["curves"] = curves
    for name, points in curves.items():
        print(name, "  ".join(f"{p['x']:g}: {p['ms_per_sample']:.4f}" for p in points))

    fine = measure(VirtualChip(step=0.1), program(calibrated, batch=20), 3)
    result["whole chip, step 0.1 µs"] = fine
    print(f"step 0.1 µs: {fine['ms_per_sample']:.4f} ms per sample")
    if options.brian:
        script = Path(__file__).parent / "twin_brian.py"
        with_threads = {}
        for threads in (0, options.threads):  # the faster one counts
            command = [options.brian, str(script), str(threads)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            with_threads[threads] = float(done.stdout.split()[-1])
        brian = min(with_threads.values())
        result["Brian2, step 0.1 µs"] = {
            "ms_per_sample": with_threads,
            "times_slower": brian / fine["ms_per_sample"],
        }
        print(f"Brian2: {with_threads} ms per sample, {brian / fine['ms_per_sample']:.1f} times as long")
    if options.figure:
        draw(curves, options.figure)
    options.output.parent.mkdir(exist_ok=True)
    write_whole(options.output, json.dumps(result, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
