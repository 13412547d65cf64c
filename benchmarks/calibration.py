"""Calibrations of many chips against the limits of the vendor's tests, how well they repeat, how long they take.

    python benchmarks/calibration.py [--chips 20] [--repeated 5] [--target spiking]
    python benchmarks/calibration.py --docs

The first measures and writes benchmarks/results/calibration.json, the second writes the tables of
docs/calibration.md from that file. Chips are the virtual chips 0, 1, ...; the first `--repeated` of them are
calibrated again, with the noise of another trial seed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hxtorch._files.whole import write_whole
from hxtorch.calibration import CalibrationResult, CalibrationTarget, cached, calibrate
from hxtorch.calibration.cache import NIGHTLY
from hxtorch.calibration.report import CADC_LIMIT, RATE_LIMIT, RATIO_LIMITS, rates_in_band, rows, shortcomings
from hxtorch.calibration.result import VERSION
from hxtorch.twin import ChipConfig, Die, VirtualChip

RESULTS = Path(__file__).parent / "results" / "calibration.json"
PAGE = Path(__file__).parents[1] / "docs" / "calibration.md"
BEGIN, END = "<!-- from benchmarks/results/calibration.json -->", "<!-- end -->"
REPEATED = {  # register: quantity, its unit, and where the chip's own parameters have it
    "v_leak": ("leak", "LSB", "leak"),
    "v_reset": ("reset", "LSB", "reset"),
    "v_threshold": ("threshold", "LSB", "threshold"),
    "i_bias_leak": ("tau_mem", "%", "tau_mem"),
    "i_bias_tau_exc": ("tau_syn exc", "%", "tau_exc"),
    "i_bias_tau_inh": ("tau_syn inh", "%", "tau_inh"),
    "i_bias_gm_exc": ("gain exc", "%", "drive_exc"),
    "i_bias_gm_inh": ("gain inh", "%", "drive_inh"),
}


# --- Measuring ----------------------------------------------------------------------------------------------


def measure(target: CalibrationTarget, chips: int, repeated: int) -> dict[str, Any]:
    """Calibrate chips and return all that the tables need, as plain values."""
    calibrate(VirtualChip(Die.from_seed(0)), target)  # loads the kernels
    quantities: dict[str, dict[str, list[float]]] = {}
    report: dict[str, Any] = {name: [] for name in ("seconds", "succeeded", "rates_in_band")}
    missed, again = {}, []
    for seed in range(chips):
        chip = VirtualChip(Die.from_seed(seed))
        begin = time.perf_counter()
        result = calibrate(chip, target)
        report["seconds"].append(round(time.perf_counter() - begin, 3))
        report["succeeded"].append(1 - result.failed.size / 512)
        report["rates_in_band"].append(rates_in_band(result))
        if shortcomings(result):
            missed[f"twin:{seed}"] = shortcomings(result)
        for row in rows(result):
            if np.isfinite(row.ratio):
                held = quantities.setdefault(row.quantity, {"spread": [], "ratio": []})
                held["spread"].append(row.after)
                held["ratio"].append(row.ratio)
        if seed < repeated:
            again.append(differences(chip, result, calibrate(chip, target, trial_seed=1)))
    return {
        **report,
        "missed": missed,
        "quantities": quantities,
        "repeated": {register: summed([pair[register] for pair in again]) for register in again[0]}
        if again
        else {},
        "cached_seconds": cached_seconds(target),
    }


def differences(chip: VirtualChip, a: CalibrationResult, b: CalibrationResult) -> dict[str, np.ndarray]:
    """Differences (2, 512) of the codes and of the circuits' own values (relative to `a` for times and gains)."""
    own = [chip.parameters(enabled(result)) for result in (a, b)]
    found = {}
    for register, (_, unit, name) in REPEATED.items():
        codes = getattr(b.neurons, register) - getattr(a.neurons, register)
        first, second = (getattr(p, name) for p in own)
        found[register] = np.stack([codes, second - first if unit == "LSB" else second / first - 1])
    return found


def enabled(result: CalibrationResult) -> ChipConfig:
    """Return the configuration with thresholds on, without which a circuit has none."""
    return ChipConfig(replace(result.neurons, enable_threshold=np.ones(512, dtype=bool)), result.common)


def summed(pairs: list[np.ndarray]) -> dict[str, float]:
    codes, values = np.concatenate(pairs, axis=1)
    return {
        "code_spread": float(codes.std()),
        "code_mean": float(codes.mean()),
        "code_largest": float(np.abs(codes).max()),
        "value_spread": float(values.std()),
        "value_mean": float(values.mean()),
    }


def cached_seconds(target: CalibrationTarget) -> float:
    with tempfile.TemporaryDirectory() as folder:
        chip = VirtualChip(Die.from_seed(0))
        cached(chip, target, Path(folder))
        begin = time.perf_counter()
        cached(chip, target, Path(folder))
        return time.perf_counter() - begin


# --- Tables -------------------------------------------------------------------------------------------------


def tables(report: dict[str, Any]) -> str:
    """Lay out a report for docs/calibration.md."""
    chips = len(report["seconds"])
    lines = [
        f"| quantity | spread after | ratio, median | ratio, worst of {chips} chips | limit |",
        "|---|---|---|---|---|",
    ]
    for name, held in report["quantities"].items():
        if name == "rate":
            limit = f"{RATE_LIMIT:.0%} within -10/+15 %: {min(report['rates_in_band']):.1%} or more"
        else:
            limit = f"spread {CADC_LIMIT:g} LSB" if name == "cadc" else f"{RATIO_LIMITS.get(name, '')}"
        spread = float(np.median(held["spread"]))
        after = f"{spread:.2f} LSB" if name in ("cadc", "leak", "reset", "threshold") else f"{spread:.1%}"
        lines.append(
            f"| {name} | {after} | {np.median(held['ratio']):.3f} | {max(held['ratio']):.3f} | {limit or 'none'} |"
        )
    good = chips - len(report["missed"])
    lines += [
        "",
        f"All limits hold on {good} of {chips} chips; of the circuits, {min(report['succeeded']):.1%} to ",
    ]
    lines[-1] += f"{max(report['succeeded']):.1%} succeed (limit: 95 %)."
    lines += [f"Chip {chip} misses: {'; '.join(reasons)}." for chip, reasons in report["missed"].items()]
    lines.append(
        f"A calibration takes {np.median(report['seconds']):.1f} s on {report['cores']} cores (slowest "
        f"{max(report['seconds']):.1f} s), loading it from the cache {1000 * report['cached_seconds']:.0f} ms."
    )
    lines += ["", f"Calibrated again with other noise ({report['repeated_chips']} chips), the difference is:", ""]
    lines += ["| register | spread of the codes | largest | quantity | spread of the circuits' own values |"]
    lines += ["|---|---|---|---|---|"]
    for register, row in report["repeated"].items():
        quantity, unit, _ = REPEATED[register]
        value = f"{row['value_spread']:.2f} LSB" if unit == "LSB" else f"{row['value_spread']:.1%}"
        lines.append(
            f"| {register} | {row['code_spread']:.1f} | {row['code_largest']:.0f} | {quantity} | {value} |"
        )
    return "\n".join(lines)


def page_with_tables(page: str, report: dict[str, Any]) -> str:
    """Return the text of the page with the tables between its marks replaced."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{tables(report)}\n\n{END}{rest.split(END, 1)[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--chips", type=int, default=20)
    parser.add_argument("--repeated", type=int, default=5)
    parser.add_argument("--target", choices=NIGHTLY, default="spiking")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--docs", action="store_true", help="measure nothing, write the tables of the page")
    options = parser.parse_args()
    if options.docs:
        report = json.loads(options.output.read_text(encoding="utf-8"))
        write_whole(PAGE, page_with_tables(PAGE.read_text(encoding="utf-8"), report))
        return
    report = {
        "target": options.target,
        "calibration_version": VERSION,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "repeated_chips": options.repeated,
        **measure(NIGHTLY[options.target], options.chips, options.repeated),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_whole(options.output, json.dumps(report, indent=1))
    print(tables(report))


if __name__ == "__main__":
    main()
