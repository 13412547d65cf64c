"""Default values of operations and of the mock mode."""

wait_between_events = 5
"""Pause between two input events, in cycles of the FPGA (8 ns)."""

gain = 0.002
"""Output LSB per unit of activation times weight."""

noise_std = 2.0
"""Standard deviation of the output noise, in LSB."""
