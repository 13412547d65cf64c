"""Helpers around networks: exchange formats, calibration files, dynamic range."""
