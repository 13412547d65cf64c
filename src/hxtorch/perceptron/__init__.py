"""Networks of integer activations on the chip's synapse matrix, in the multiply-accumulate mode.

The matrix multiplies 5-bit activations with signed 6-bit weights and returns 8-bit results. With
``mock=True`` the operations simulate it with gain and noise (`MockParameter`), on any machine.
The virtual chip does not have this mode: products without `mock` raise NotImplementedError.
"""

from hxtorch.perceptron import constants, nn
from hxtorch.perceptron.convolution import conv1d, conv2d, expanded_conv1d
from hxtorch.perceptron.elementwise import add, argmax, converting_relu, relu
from hxtorch.perceptron.inference import InferenceTracer, inference_trace
from hxtorch.perceptron.mock_parameter import (
    MockParameter,
    get_mock_parameter,
    measure_mock_parameter,
    set_mock_parameter,
)
from hxtorch.perceptron.product import mac, matmul

__all__ = [
    "InferenceTracer",
    "MockParameter",
    "add",
    "argmax",
    "constants",
    "conv1d",
    "conv2d",
    "converting_relu",
    "expanded_conv1d",
    "get_mock_parameter",
    "inference_trace",
    "mac",
    "matmul",
    "measure_mock_parameter",
    "nn",
    "relu",
    "set_mock_parameter",
]
