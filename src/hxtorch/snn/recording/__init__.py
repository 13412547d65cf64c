"""What was observed: raw data of the chip, its way onto the grid of time steps, and what a run tells of itself."""
