import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hxtorch.calibration import (
    SPIKING,
    SPIKING2,
    CalibrationError,
    CalibrationOptions,
    CalibrationResult,
    CalibrationTarget,
    cached,
    calibrate,
    load,
    nightly,
)
from hxtorch.twin import Die, VirtualChip

from .conftest import Door


@pytest.fixture
def calibrations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, CalibrationTarget]]:
    """Targets that were calibrated, with the nominal codes in place of a search."""
    made: list[tuple[str, CalibrationTarget]] = []

    def instant(
        chip: Door, target: CalibrationTarget, options: CalibrationOptions, trial_seed: int
    ) -> CalibrationResult:
        made.append((chip.identifier, target))
        result = calibrate(VirtualChip(Die.ideal()), target, options=options)
        return replace(result, chip_identifier=chip.identifier)

    monkeypatch.setattr(sys.modules["hxtorch.calibration.cache"], "calibrate", instant)
    monkeypatch.setenv("HXTORCH_CACHE_DIR", str(tmp_path / "cache"))
    return made


def door(seed: int) -> Door:
    return Door(VirtualChip(Die.from_seed(seed)))


def test_calibrates_once_per_chip_and_target(calibrations: list[object]) -> None:
    for _ in range(3):
        cached(door(1), SPIKING)
    cached(door(2), SPIKING)
    cached(door(1), SPIKING2)
    cached(door(1), CalibrationTarget(leak=np.linspace(70, 90, 512)))
    cached(door(1), CalibrationTarget(leak=np.linspace(70, 90, 512)))
    assert len(calibrations) == 4
    for _ in range(2):
        cached(door(1), SPIKING, options=CalibrationOptions(refine=False))
    assert len(calibrations) == 5
    assert cached(door(2), SPIKING).chip_identifier == "twin:2"
    assert cached(door(1), SPIKING2).target == SPIKING2


def test_folder_of_the_environment(calibrations: list[object], tmp_path: Path) -> None:
    cached(door(1))
    (entry,) = (tmp_path / "cache").rglob("*.calibration")
    assert load(entry).chip_identifier == "twin:1"
    cached(door(1), folder=tmp_path / "other")
    assert len(list((tmp_path / "other").iterdir())) == 1


def test_damaged_entry_is_made_again(calibrations: list[object], tmp_path: Path) -> None:
    cached(door(1))
    (entry,) = (tmp_path / "cache").rglob("*.calibration")
    good = entry.read_bytes()
    entry.write_bytes(good[: len(good) // 2])
    cached(door(1))
    assert len(calibrations) == 2
    assert load(entry).target == SPIKING


def test_entry_of_another_chip_is_not_used(calibrations: list[object], tmp_path: Path) -> None:
    cached(door(1))
    (entry,) = (tmp_path / "cache").rglob("*.calibration")
    cached(door(2))
    (other,) = set((tmp_path / "cache").rglob("*.calibration")) - {entry}
    other.replace(entry)
    assert cached(door(1)).chip_identifier == "twin:1"
    assert len(calibrations) == 3


def test_works_without_a_writable_cache(
    calibrations: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("HXTORCH_CACHE_DIR", str(blocked))
    assert cached(door(1)).chip_identifier == "twin:1"
    assert cached(door(1), folder=blocked / "deeper").target == SPIKING
    assert len(calibrations) == 2


def test_nightly(calibrations: list[object]) -> None:
    assert nightly("spiking", door(1)).target == SPIKING
    assert nightly("spiking2", door(1)).target == SPIKING2
    assert nightly("spiking", door(1)).target == SPIKING
    assert len(calibrations) == 2
    with pytest.raises(CalibrationError, match=r"'hagen'.*spiking, spiking2"):
        nightly("hagen", door(1))


def test_ideal_chip_is_not_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HXTORCH_CACHE_DIR", str(tmp_path))
    assert cached(VirtualChip(Die.ideal())).failed.size == 0
    assert not list(tmp_path.iterdir())
