"""A graph on a chip: its network, where it lies, how the chip is set, the run, and what was recorded."""
