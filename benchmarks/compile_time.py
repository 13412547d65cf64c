"""Time how long the kernels take to compile, and to load once they are compiled.

    python benchmarks/compile_time.py [--output FILE]

A first process with an empty cache of machine code trains one step in mock mode, with neuron parameters, recurrence
and all terms, and one on the virtual chip, calibration included; a second one finds the machine code. Each does the
same steps once more, which takes the time of the work itself off.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

import hxtorch
from hxtorch import snn


def use_kernels(mock: bool) -> None:
    """One training step that needs the kernels of mock mode, or of the chip."""
    experiment = snn.Experiment(mock=mock)
    first, loop = snn.Synapse(64, 40, experiment), snn.Synapse(40, 40, experiment)
    hidden = snn.LIF(40, experiment)
    second, out = snn.Synapse(40, 3, experiment), snn.LI(3, experiment)
    extra: list[torch.nn.Module] = []
    x = (torch.rand(60, 20, 64) < 0.05).float()
    drive = first(snn.NeuronHandle(x))
    y = out(second(hidden(drive, loop(hidden.output_handle))))
    if mock:
        hidden.threshold.make_trainable()
        adaptive, event = snn.AELIF(40, experiment), snn.EventPropLIF(40, experiment)
        synapse = snn.EventPropSynapse(64, 40, experiment)
        extra = [adaptive, event, synapse]
        z, e = adaptive(drive), event(synapse(snn.NeuronHandle(x)))
    snn.run(experiment, 60)
    loss = y.membrane_cadc.square().mean()  # type: ignore[union-attr]
    if extra:
        loss = loss + z.spikes.sum() + e.spikes.sum()  # type: ignore[operator]
    loss.backward()


def child() -> None:
    """Print the seconds of: mock first, mock again, chip first, chip again."""
    seconds = []
    for mock in (True, False):
        if not mock:
            hxtorch.init_hardware()
        for _ in range(2):
            begin = time.perf_counter()
            use_kernels(mock)
            seconds.append(time.perf_counter() - begin)
    hxtorch.release_hardware()
    print(json.dumps(seconds))


def run(folder: str) -> dict[str, float]:
    """The seconds of a process whose machine code is in `folder`."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
    done = subprocess.run(
        [sys.executable, __file__, "--child"], env=environment, capture_output=True, text=True, check=True
    )
    mock, mock_again, chip, chip_again = json.loads(done.stdout.splitlines()[-1])
    return {"mock mode": mock - mock_again, "chip": chip - chip_again}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "compile_time.json")
    arguments = parser.parse_args()
    if arguments.child:
        child()
        return
    with tempfile.TemporaryDirectory() as folder:
        found = {"first process": run(folder), "later process": run(folder)}
    for name, values in found.items():
        text = "  ".join(f"{key} {value:.2f} s" for key, value in values.items())
        print(f"{name}: {text}  together {sum(values.values()):.2f} s")
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
