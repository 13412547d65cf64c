"""The error of everything that has to do with calibrations."""

from __future__ import annotations


class CalibrationError(ValueError):
    """A calibration cannot be made or read: an impossible target or a file that is none."""
