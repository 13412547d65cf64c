"""A graph in the model: step by step, loops, and long sequences in pieces."""
