"""Helpers for the notebooks: which chip is used, and calibration files for it."""

from __future__ import annotations

import shutil
from pathlib import Path

from hxtorch import calibration
from hxtorch.connection import connected_chip
from hxtorch.twin import VirtualChip

NIGHTLY_NAMES = ("spiking", "spiking2")


def setup_hardware_client() -> None:
    """Say which chip `hxtorch.init_hardware()` will connect to; a virtual one needs no preparation."""
    print(f"hxtorch.init_hardware() connects to the virtual chip {VirtualChip().identifier!r}.")


def save_nightly_calibration(
    filename: str = "spiking_cocolist.pbin",
    source_folder: str | Path | None = None,
    folder: str | Path | None = None,
) -> None:
    """
    Put a nightly calibration of the connected chip, else of the default one, into `folder` or the cwd.

    The part of `filename` before the first "_" names the calibration: "spiking" or "spiking2", otherwise
    ValueError. With `source_folder`, the file of that name is copied from there instead. A file that already
    belongs to the chip and to this version is left alone.
    """
    name = Path(filename).name.split("_")[0].split(".")[0]
    if name not in NIGHTLY_NAMES:
        raise ValueError(
            f"There is no nightly calibration for the file name {filename!r}. "
            f"Names begin with {' or '.join(f'{known}_' for known in NIGHTLY_NAMES)}."
        )
    path = Path.cwd() if folder is None else Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    path /= Path(filename).name
    if source_folder is not None:
        shutil.copyfile(Path(source_folder) / filename, path)
        return
    chip = connected_chip() or VirtualChip()
    nightly = calibration.nightly(name, chip)
    if not _belongs_to(path, nightly):
        calibration.save(nightly, path)


def _belongs_to(path: Path, nightly: calibration.CalibrationResult) -> bool:
    """Whether the file `path` is a calibration of the same chip, version and target."""
    try:
        found = calibration.load(path)
    except calibration.CalibrationError:
        return False
    same_chip = (found.chip_identifier, found.version) == (nightly.chip_identifier, nightly.version)
    return same_chip and found.target == nightly.target
