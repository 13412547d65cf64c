"""Activation layers."""

from __future__ import annotations

from torch import Tensor

from hxtorch.perceptron import elementwise
from hxtorch.perceptron.nn.layer import Layer


class ReLU(Layer):
    """`hxtorch.perceptron.relu` as a layer."""

    def forward(self, input: Tensor) -> Tensor:
        """Floor and clamp to 0..127."""
        return elementwise.relu(input, mock=self.mock)


class ConvertingReLU(Layer):
    """`hxtorch.perceptron.converting_relu` as a layer: outputs become inputs of the next one."""

    def __init__(self, shift: int = 2, mock: bool = False) -> None:
        super().__init__(mock)
        self.shift = shift

    def forward(self, input: Tensor) -> Tensor:
        """Divide by ``2**shift``, floor, clamp to 0..31."""
        return elementwise.converting_relu(input, self.shift, mock=self.mock)
