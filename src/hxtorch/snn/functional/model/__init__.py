"""The neuron model as data: terms, constants of a time step, states, and how kernels read them."""
