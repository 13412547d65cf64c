"""Example programs for spiking networks."""
