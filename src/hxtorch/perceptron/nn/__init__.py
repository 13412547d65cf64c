"""Layers for networks of integer activations on the synapse matrix."""

from hxtorch.perceptron.nn.activations import ConvertingReLU, ReLU
from hxtorch.perceptron.nn.convolution import Conv1d, Conv2d, ExpandedConv1d
from hxtorch.perceptron.nn.layer import Layer, MACLayer
from hxtorch.perceptron.nn.linear import Linear
from hxtorch.perceptron.nn.scaling import clamp_weight_, scale_input, scale_weight

__all__ = [
    "Conv1d",
    "Conv2d",
    "ConvertingReLU",
    "ExpandedConv1d",
    "Layer",
    "Linear",
    "MACLayer",
    "ReLU",
    "clamp_weight_",
    "scale_input",
    "scale_weight",
]
