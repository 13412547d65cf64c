"""Twins of chips: the fixed pattern that explains a calibration or recordings, and how well it predicts."""
