"""Time the introduction's training in mock mode and on the virtual chip, and the first use of a fresh process.

    python benchmarks/mock_vs_twin.py [--epochs 200] [--repeats 5] [--skip-first-use]

Both ways take turns, so that a change of the machine's load hits both; medians are printed. The first use
covers import, connection and one run, with an empty and with a filled cache of compiled kernels.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch

import hxtorch
from hxtorch import calibration
from hxtorch.connection import require_chip
from hxtorch.demo import introduction as intro

FIRST_USE = """
import time
begin = time.perf_counter()
import hxtorch
from hxtorch import calibration
from hxtorch.connection import require_chip
from hxtorch.demo import introduction as intro
imported = time.perf_counter()
hxtorch.init_hardware()
calibrated = calibration.nightly("spiking", require_chip())
connected = time.perf_counter()
intro.emulate(calibrated, intro.input_spikes(*intro.INPUT_STEPS), weight=63)
print(imported - begin, connected - imported, time.perf_counter() - connected)
"""


def training_seconds(calibrated: calibration.CalibrationResult | None, epochs: int) -> float:
    torch.manual_seed(0)
    training = intro.Training(calibrated, intro.random_targets(), trace_scale=1 / 45)
    training.run(2)  # compiles, places and routes, which happens once per process or structure
    begin = time.perf_counter()
    training.run(epochs)
    return time.perf_counter() - begin


def compare_training(epochs: int, repeats: int) -> None:
    hxtorch.init_hardware()
    calibrated = calibration.nightly("spiking", require_chip())
    seconds: dict[str, list[float]] = {"mock": [], "twin": []}
    for _ in range(repeats):
        seconds["mock"].append(training_seconds(None, epochs))
        seconds["twin"].append(training_seconds(calibrated, epochs))
    hxtorch.release_hardware()
    print(
        f"Introduction's training, {epochs} epochs, {repeats} repeats in turns, {torch.get_num_threads()} threads"
    )
    for name, values in seconds.items():
        median = statistics.median(values)
        print(
            f"  {name}  {median:6.2f} s  ({min(values):.2f} to {max(values):.2f}),"
            f"  {1e3 * median / epochs:.2f} ms per epoch"
        )
    ratios = [twin / mock for mock, twin in zip(seconds["mock"], seconds["twin"])]
    print(f"  twin / mock  {statistics.median(ratios):.2f}  ({min(ratios):.2f} to {max(ratios):.2f})")


def first_use() -> None:
    """Print the times of three fresh processes; they share caches that are empty at the beginning."""
    print("First use in a fresh process, seconds")
    print(f"  {'':36}{'import':>8}{'connect':>9}{'first run':>11}")
    with tempfile.TemporaryDirectory() as folder:
        caches = {"NUMBA_CACHE_DIR": f"{folder}/kernels", "HXTORCH_CACHE_DIR": f"{folder}/calibrations"}
        for name in ("nothing cached", "kernels and calibration cached", "the same again"):
            done = subprocess.run(
                [sys.executable, "-c", FIRST_USE],
                env={**os.environ, **caches},
                capture_output=True,
                text=True,
                check=True,
            )
            imported, connected, ran = map(float, done.stdout.split()[-3:])
            print(f"  {name:36}{imported:8.2f}{connected:9.2f}{ran:11.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--skip-first-use", action="store_true")
    options = parser.parse_args()
    compare_training(options.epochs, options.repeats)
    if not options.skip_first_use:
        first_use()


if __name__ == "__main__":
    main()
