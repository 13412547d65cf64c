"""What a calibration says about itself: rows, limits, figures and the two commands."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hxtorch import plots
from hxtorch.calibration import CalibrationOptions, load, save
from hxtorch.calibration.report import as_data, failures, rates_in_band, rows, shortcomings, table
from hxtorch.cli import main

from .conftest import Calibrated
from .vendor_files import older_layout, some_codes


def test_rows_compare_before_and_after(case: Calibrated) -> None:
    found = {row.quantity: row for row in rows(case.result)}
    assert set(found) == set(case.result.residuals)
    leak = found["leak"]
    trimmed = np.sort(case.result.residuals["leak"])[25:-25]
    assert leak.after == pytest.approx(trimmed.std())
    assert leak.ratio == pytest.approx(case.result.spread_ratio["leak"])
    assert (leak.unit, leak.limit, found["tau_mem"].unit) == ("LSB", 0.3, "")
    assert np.isnan(found["i_shift_exc"].ratio)  # is not measured before
    assert shortcomings(case.result) == []
    assert 0.9 < rates_in_band(case.result) <= 1


def test_residuals_are_those_of_the_chip(case: Calibrated) -> None:
    p = case.after
    true = {
        "leak": p.leak + p.static * p.tau_mem - case.target.per_circuit("leak"),
        "threshold": p.threshold - case.target.per_circuit("threshold"),
    }
    for name, value in true.items():
        assert case.result.residuals[name].std() == pytest.approx(value.std(), rel=0.35), name
    good = np.setdiff1d(np.arange(512), case.result.failed)
    # before: without the offset currents of inputs that nobody calibrated
    assert np.corrcoef(case.result.before["leak"][good], case.before.leak[good])[0, 1] > 0.98
    before = case.before.tau_exc / case.target.per_circuit("tau_syn_exc")
    assert np.corrcoef(case.result.before["tau_syn_exc"], before)[0, 1] > 0.98


def test_shortcomings_are_named(case: Calibrated) -> None:
    noise = np.linspace(-1, 1, 512)
    residuals = {**case.result.residuals, "cadc": 9 * noise, "tau_mem": 0.3 * noise, "rate": noise}
    success = {**case.result.success, "leak": noise > 0}
    text = " ".join(shortcomings(replace(case.result, residuals=residuals, success=success)))
    assert all(word in text for word in ("tau_mem: spread ratio", "cadc: spread", "rate:", "success:"))


def test_failures_by_quantity(case: Calibrated) -> None:
    good = np.ones(512, dtype=bool)
    some = good.copy()
    some[3:40] = False
    text = failures(replace(case.result, success={"leak": good, "reset": some, "tau_mem": ~good}))
    assert "reset: 3, 4," in text and text.endswith("...\n  tau_mem: all circuits")
    assert "leak" not in text and failures(replace(case.result, success={"leak": good})) == ""


def test_data_for_scripts(case: Calibrated) -> None:
    data = as_data(case.result)
    assert data["spread_ratio"]["reset"] < 0.2
    assert data["failed"] == case.result.failed.tolist()
    assert table(case.result).count("\n") == len(case.result.residuals)


def test_figure_shows_before_and_after(case: Calibrated) -> None:
    figure = plots.plot_calibration(case.result)
    by_title = {axes.get_title(loc="left").split(":")[0]: axes for axes in figure.axes}
    for name in case.result.before:
        low, high = by_title[name].get_xlim()
        scale = 1 if name in ("leak", "reset", "threshold", "cadc") else 100
        after = case.result.residuals[name]
        assert high - low > 3 * scale * after[np.isfinite(after)].std()  # before was much wider
        assert any(not patch.get_fill() for patch in by_title[name].patches)
    plots.plot_calibration(replace(case.result, before={}, residuals={}))


def test_command_calibrate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HXTORCH_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "chip.calibration"
    command = ["calibrate", "--chip", "twin:4", "--target", "spiking2", "--target", "tau_syn=8", "-o", str(path)]
    assert main([*command, "--json", "--no-refine"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["chip"] == "twin:4" and data["shortcomings"] == [] and data["file"] == str(path)
    assert data["spread_ratio"]["tau_syn_exc"] < 0.2
    result = load(path)
    assert (result.target.threshold, result.target.tau_syn_inh) == (150, 8)
    assert result.options == CalibrationOptions(refine=False)

    assert main([*command, "--no-refine"]) == 0  # from the cache
    assert "meets all limits" in capsys.readouterr().out
    assert main(["calibration", "show", str(path), "--figures", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert "threshold 150" in text and "tau_syn_exc" in text
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["chip_calibration.png"]


def test_command_show_of_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vendor.npz"
    path.write_bytes(older_layout(some_codes()))
    assert main(["calibration", "show", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["failed"] == [5]
    assert main(["calibration", "show", str(path)]) == 0
    assert "vendor: 5" in capsys.readouterr().out
    path.write_bytes(b"nothing")
    assert main(["calibration", "show", str(path)]) == 1
    assert "vendor.npz" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason", "code"),
    [
        ("hagen", "no target 'hagen'", 2),
        ("color=3", "no 'color'", 2),
        ("tau_mem=slow", "no number", 2),
        ("tau_mem=1e9", "reach", 1),
        ("leak=40 -o nowhere/x", "warning: leak = 40 CADC LSB lies outside.*\n.*no folder nowhere for x", 1),
    ],
)
def test_targets_on_the_command_line(
    words: str, reason: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", "--target", *words.split()]) == code
    assert re.search(reason, capsys.readouterr().err)


def test_saved_results_keep_everything(case: Calibrated, tmp_path: Path) -> None:
    save(case.result, tmp_path / "x")
    assert as_data(load(tmp_path / "x"))["spread_ratio"] == as_data(case.result)["spread_ratio"]
