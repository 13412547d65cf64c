"""How tensors and spikes of a run are held: used again, filled when they are read, listed by index."""
