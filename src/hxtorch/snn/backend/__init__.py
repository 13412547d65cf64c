"""What keeps account of the modules of an experiment."""
