"""The introduction's network from start to end on a chip: emulate, simulate, align, train, and compare."""
