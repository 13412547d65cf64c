"""Ways to integrate the neuron model over time, forward and backward: kernels, plain torch, EventProp."""
