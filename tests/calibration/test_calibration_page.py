"""The tables of docs/calibration.md are those of the result file in the repository."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hxtorch.calibration import CalibrationResult, CalibrationTarget, calibrate
from hxtorch.calibration.report import RATIO_LIMITS
from hxtorch.twin import Chip

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("calibration_benchmark", ROOT / "benchmarks" / "calibration.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_result_file(benchmark: ModuleType) -> None:
    report = json.loads(benchmark.RESULTS.read_text(encoding="utf-8"))
    page = benchmark.PAGE.read_text(encoding="utf-8")
    assert benchmark.page_with_tables(page, report) == page, "run: python benchmarks/calibration.py --docs"
    assert len(report["seconds"]) == 20 and set(RATIO_LIMITS) < set(report["quantities"])
    assert len(report["missed"]) <= 1  # the limits hold on at least 19 of 20 chips
    assert sum(report["seconds"]) / 20 < 10 and report["cached_seconds"] < 0.05
    assert len(report["rates_in_band"]) == 20 and min(report["rates_in_band"]) > 0.9


def test_a_measurement_fills_the_tables(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    target = benchmark.NIGHTLY["spiking"]
    made: dict[tuple[str, int], CalibrationResult] = {}

    def once(chip: Chip, given: CalibrationTarget, *, trial_seed: int = 0, **options: Any) -> CalibrationResult:
        """The benchmark calibrates a chip anew to warm up and to fill a cache; here nobody reads the clock."""
        assert given is target
        if (chip.identifier, trial_seed) not in made:
            made[chip.identifier, trial_seed] = calibrate(chip, given, trial_seed=trial_seed, **options)
        return made[chip.identifier, trial_seed]

    monkeypatch.setattr(benchmark, "calibrate", once)
    cache = sys.modules["hxtorch.calibration.cache"]
    monkeypatch.setattr(cache, "calibrate", once)
    monkeypatch.setattr(cache, "TRIAL_SEED", 0)
    report = {"cores": 2, "repeated_chips": 1, **benchmark.measure(target, chips=1, repeated=1)}
    json.dumps(report)
    text = benchmark.tables(report)
    assert all(f"| {name} |" in text for name in (*RATIO_LIMITS, *benchmark.REPEATED))
    for row in report["repeated"].values():  # another trial, the same chip: codes differ by the noise alone
        assert abs(row["code_mean"]) < 2  # the cells of the four synapse DACs take other errors, too
        assert row["code_spread"] < 4.5 and row["code_largest"] < 25
        assert abs(row["value_mean"]) < 0.5 * row["value_spread"]
