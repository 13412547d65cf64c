"""Calibration files by name: those of the night for the connected chip, and what is in a file."""

from __future__ import annotations

import re
from pathlib import Path

from hxtorch.calibration import (
    CalibrationError,
    CalibrationResult,
    CalibrationTarget,
    load,
    load_bytes,
    nightly,
    save,
)
from hxtorch.calibration.cache import NIGHTLY, cache_folder
from hxtorch.calibration.result import VERSION
from hxtorch.connection import require_chip
from hxtorch.twin import ChipConfig


def chip_from_portable_binary(data: bytes) -> ChipConfig:
    """Return the configuration of a chip from the content of a calibration file.

    Raises `CalibrationError` if it is none.
    """
    return _chip(load_bytes(data))


def chip_from_file(path: str | Path) -> ChipConfig:
    """Return the configuration of a chip that a calibration file holds: circuits and common registers."""
    return _chip(load(path))


def calib_from_calix_native(path: str | Path) -> CalibrationResult:
    """Read a calibration, written here or by the vendor's tool, as data; see `hxtorch.calibration.load`."""
    return load(path)


def target_from_calix_native(path: str | Path) -> CalibrationTarget:
    """Read what a calibration aimed at."""
    return load(path).target


def nightly_calib_path(name: str = "spiking") -> Path:
    """Path of the calibration `name` ("spiking" or "spiking2") of the connected chip, made if it is not there.

    RuntimeError without a connection.
    """
    return _nightly_path(name, "cocolist.pbin")


def nightly_calix_native_path(name: str = "spiking") -> Path:
    """Like `nightly_calib_path`, with the other name that scripts know such files by."""
    return _nightly_path(name, "calix-native.pkl")


def _nightly_path(name: str, ending: str) -> Path:
    chip = require_chip()
    if name not in NIGHTLY:
        raise CalibrationError(f"There is no nightly calibration {name!r}. Known: {', '.join(NIGHTLY)}.")
    folder = cache_folder() / "nightly" / re.sub(r"[^\w.-]+", "_", chip.identifier)
    path = folder / f"{name}_{ending}"
    try:
        made = load(path)
        current = (made.version, made.chip_identifier, made.target) == (VERSION, chip.identifier, NIGHTLY[name])
    except CalibrationError:
        current = False
    if not current:
        folder.mkdir(parents=True, exist_ok=True)
        save(nightly(name, chip), path)
    return path


def _chip(result: CalibrationResult) -> ChipConfig:
    return ChipConfig(neurons=result.neurons, common=result.common)
