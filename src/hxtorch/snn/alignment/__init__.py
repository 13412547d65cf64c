"""How model and chip speak of the same weights and membranes: scales, measured and set."""
