"""A die from a calibration (`hxtorch.twin.fitting.from_calibration`, `Die.from_calibration`)."""

from hxtorch.shapes import Array
from hxtorch.twin.die import Die
from hxtorch.twin.fitting.from_calibration import INFERRED, Calibrated, Target, pattern

__all__ = ["INFERRED", "Array", "Calibrated", "Target", "die_from_calibration", "pattern"]


def die_from_calibration(result: Calibrated) -> Die:
    """Return the die whose circuits need the codes of `result` to meet its target; see `Die.from_calibration`."""
    return Die.from_calibration(result)
