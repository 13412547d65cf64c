"""How one chip differs from the design: the process, the fixed pattern drawn from it, CapMem errors, age, noise."""
