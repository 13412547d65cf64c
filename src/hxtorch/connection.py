"""The one connection to a chip that a process has."""

from __future__ import annotations

from os import PathLike

from hxtorch.twin import DEFAULT_CHIP_SEED, Chip, Die, Noise, VirtualChip

_chip: Chip | None = None


def init_hardware(
    chip: Chip | Die | int | str | PathLike[str] | None = None, *, noise: Noise | None = None
) -> None:
    """Connect to a chip; it stays connected until `release_hardware`.

    * None: the default virtual chip.
    * An integer: the virtual chip of that seed.
    * A `Die`: the virtual chip made of it.
    * Any object with `identifier` and `run`: that chip.

    `noise` replaces the temporal noise of a virtual chip. Connecting again replaces the connection.
    """
    global _chip
    _chip = _chip_from(chip, noise)


def _chip_from(chip: Chip | Die | int | str | PathLike[str] | None, noise: Noise | None) -> Chip:
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
    if not (hasattr(chip, "run") and hasattr(chip, "identifier")):
        raise TypeError(
            f"init_hardware expects a chip, a Die or a seed, got {type(chip).__name__}. "
            "A chip has an `identifier` and a method `run(program, trial_seed)`."
        )
    if noise is not None:
        raise ValueError("Only the noise of a virtual chip can be set.")
    return chip


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


def get_unique_identifier() -> list[str]:
    """Return the names of the connected chips; RuntimeError if there is none."""
    return [require_chip().identifier]
