"""Calibrations of many chips against the limits of the vendor's tests, and how long they take.

    python benchmarks/calibration.py [--chips 20] [--target spiking]

Prints the table of docs/calibration.md: the spread ratio of every quantity over the chips, and on how many of
them all limits hold. Chips are the virtual chips 0, 1, ...
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from hxtorch.calibration import cached, calibrate
from hxtorch.calibration.cache import NIGHTLY
from hxtorch.calibration.report import RATIO_LIMITS, rates_in_band, rows, shortcomings
from hxtorch.twin import Die, VirtualChip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chips", type=int, default=20)
    parser.add_argument("--target", choices=NIGHTLY, default="spiking")
    options = parser.parse_args()
    target = NIGHTLY[options.target]
    calibrate(VirtualChip(Die.from_seed(0)), target)  # loads the kernels
    ratios: dict[str, list[float]] = {}
    spreads: dict[str, list[float]] = {}
    seconds, good, succeeded, rates = [], 0, [], []
    for seed in range(options.chips):
        begin = time.perf_counter()
        result = calibrate(VirtualChip(Die.from_seed(seed)), target)
        seconds.append(time.perf_counter() - begin)
        missed = shortcomings(result)
        good += not missed
        if missed:
            print(f"twin:{seed}: {'; '.join(missed)}")
        for row in rows(result):
            ratios.setdefault(row.quantity, []).append(row.ratio)
            spreads.setdefault(row.quantity, []).append(row.after)
        succeeded.append(1 - result.failed.size / 512)
        rates.append(rates_in_band(result))
    print(f"| quantity | spread after | ratio, median | ratio, worst of {options.chips} chips | limit |")
    print("|---|---|---|---|---|")
    for name, values in ratios.items():
        if np.isfinite(values).any():
            unit = " LSB" if name in ("cadc", "leak", "reset", "threshold") else " %"
            after = np.median(spreads[name]) * (1 if unit == " LSB" else 100)
            limit = RATIO_LIMITS.get(name, "")
            print(f"| {name} | {after:.2f}{unit} | {np.median(values):.3f} | {np.max(values):.3f} | {limit} |")
    print(f"all limits hold on {good} of {options.chips} chips")
    print(f"circuits that succeed: {np.min(succeeded):.1%} to {np.max(succeeded):.1%}")
    print(f"leak-over-threshold rates within -10/+15 %: {np.min(rates):.1%} to {np.max(rates):.1%}")
    print(f"calibration: {np.median(seconds):.2f} s, slowest {np.max(seconds):.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        chip = VirtualChip(Die.from_seed(0))
        cached(chip, target, Path(folder))
        begin = time.perf_counter()
        cached(chip, target, Path(folder))
        print(f"cached: {1000 * (time.perf_counter() - begin):.1f} ms")


if __name__ == "__main__":
    main()
