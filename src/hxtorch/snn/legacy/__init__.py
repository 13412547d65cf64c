"""What older scripts call, as they call it; new code has better ways."""
