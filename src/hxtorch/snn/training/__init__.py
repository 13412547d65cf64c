"""Helpers around a training: penalties, checkpoints, curves, weights that were trained elsewhere."""
