"""Ranges and sizes of the chip's synapse matrix in the multiply-accumulate mode."""

from hxtorch.perceptron.constants import defaults

synaptic_weight_min, synaptic_weight_max = -63, 63
input_activation_min, input_activation_max = 0, 31
output_activation_min, output_activation_max = -128, 127
hardware_matrix_height, hardware_matrix_width = 128, 256

__all__ = [
    "defaults",
    "hardware_matrix_height",
    "hardware_matrix_width",
    "input_activation_max",
    "input_activation_min",
    "output_activation_max",
    "output_activation_min",
    "synaptic_weight_max",
    "synaptic_weight_min",
]
