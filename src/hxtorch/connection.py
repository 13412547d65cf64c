"""The one connection to a chip that a process has."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from hxtorch.twin import DEFAULT_CHIP_SEED, Chip, Die, Noise, VirtualChip, check_chip

_chip: Chip | None = None


@dataclass(frozen=True)
class HWDBPath:
    """Where a laboratory keeps the list of its chips.

    Scripts for real chips name it in `init_hardware`; here that connects the default virtual chip. A `path`
    that does not exist is refused there.
    """

    path: str | PathLike[str] | None = None
    version: str = "stable/latest"


@dataclass(frozen=True)
class CalibrationPath:
    """A calibration file with which to connect. One that does not exist is refused by `init_hardware`."""

    value: str | PathLike[str]


Connectable = Chip | Die | int | HWDBPath | CalibrationPath


def init_hardware(
    chip: Connectable | str | PathLike[str] | None = None,
    ann: bool = False,
    *,
    hwdb_path: HWDBPath | None = None,
    calibration_path: CalibrationPath | None = None,
    noise: Noise | None = None,
) -> None:
    """Connect to a chip; it stays connected until `release_hardware`.

    * None: the default virtual chip.
    * An integer: the virtual chip of that seed.
    * A `Die`: the virtual chip made of it.
    * Any object that follows `hxtorch.twin.Chip`: that chip. What it lacks is named in a TypeError.
    * An `HWDBPath` or a `CalibrationPath`, also by keyword: the default virtual chip. Calibrations for
      spiking networks are loaded by `ExecutionInstance.load_calib`.

    `ann` would calibrate for `hxtorch.perceptron`, which the virtual chip cannot run; it changes nothing here.
    `noise` replaces the temporal noise of a virtual chip. Connecting again replaces the connection.
    """
    global _chip
    given = [item for item in (chip, hwdb_path, calibration_path) if item is not None]
    if len(given) > 1:
        raise TypeError(f"init_hardware got {len(given)} things to connect to: {given}. Give one.")
    _chip = _chip_from(given[0] if given else None, noise)


def init_hardware_minimal() -> None:
    """Connect to the default chip and set up nothing on it; here the same as `init_hardware()`."""
    init_hardware()


def _chip_from(chip: Connectable | str | PathLike[str] | None, noise: Noise | None) -> Chip:
    if isinstance(chip, HWDBPath | CalibrationPath):
        path = chip.path if isinstance(chip, HWDBPath) else chip.value
        if path is not None and not Path(path).exists():
            raise FileNotFoundError(f"There is no {path}, which the {type(chip).__name__} names.")
        chip = None
    if chip is None:
        chip = DEFAULT_CHIP_SEED
    if isinstance(chip, bool):
        raise TypeError("init_hardware expects a chip, a Die or a seed, got a bool.")
    if isinstance(chip, int):
        return VirtualChip(Die.from_seed(chip), noise)
    if isinstance(chip, Die):
        return VirtualChip(chip, noise)
    if isinstance(chip, str | PathLike):
        raise TypeError(
            f"init_hardware got the path {str(chip)!r}. Connect first, then load a calibration with "
            "experiment.default_execution_instance.load_calib(path)."
        )
    if isinstance(chip, VirtualChip) and noise is not None:
        return VirtualChip(chip.die, noise, chip.step)
    found = check_chip(chip)
    if noise is not None:
        raise ValueError("Only the noise of a virtual chip can be set.")
    return found


def release_hardware() -> None:
    """Close the connection; without one, nothing happens."""
    global _chip
    _chip = None


def connected_chip() -> Chip | None:
    """Return the connected chip, or None."""
    return _chip


def require_chip() -> Chip:
    """Return the connected chip; RuntimeError if there is none."""
    if _chip is None:
        raise RuntimeError(
            "No connection present. Call hxtorch.init_hardware() before running on the chip, or use "
            "Experiment(mock=True) to simulate without one."
        )
    return _chip


def get_unique_identifier(hwdb_path: HWDBPath | None = None) -> list[str]:
    """Return the names of the connected chips; RuntimeError if there is none. `hwdb_path` changes nothing."""
    return [require_chip().identifier]
