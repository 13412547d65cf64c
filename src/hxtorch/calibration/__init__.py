"""Calibration: find, by measurement, the registers with which every neuron circuit of a chip meets a target."""

from hxtorch.calibration.cache import cached, nightly
from hxtorch.calibration.calibrate import calibrate
from hxtorch.calibration.errors import CalibrationError
from hxtorch.calibration.files import load, load_bytes, save
from hxtorch.calibration.options import CalibrationOptions
from hxtorch.calibration.result import CalibrationResult
from hxtorch.calibration.targets import SPIKING, SPIKING2, CalibrationTarget

__all__ = [
    "SPIKING",
    "SPIKING2",
    "CalibrationError",
    "CalibrationOptions",
    "CalibrationResult",
    "CalibrationTarget",
    "cached",
    "calibrate",
    "load",
    "load_bytes",
    "nightly",
    "save",
]
