"""The surface that only older scripts use."""
