"""What all layers have in common."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hxtorch.perceptron import constants as c
from hxtorch.perceptron.mock_parameter import get_mock_parameter
from hxtorch.perceptron.nn.scaling import clamp_weight_

Transform = Callable[[Tensor], Tensor]

RELU_SHIFT = 1
"""The `shift` of the converting ReLU that the initial weights are made for."""

_INPUT_STD = c.input_activation_max / math.sqrt(3)  # root mean square of activations uniform in 0..31


class Layer(torch.nn.Module):
    """A layer that runs on the chip, or with `mock` in simulation.

    `print` shows the constructor's arguments that differ from their defaults.
    """

    def __init__(self, mock: bool = False) -> None:
        super().__init__()
        self.mock = mock

    def __repr__(self) -> str:
        shown = []
        for name, parameter in inspect.signature(type(self).__init__).parameters.items():
            if name == "self":
                continue
            value = _plain(getattr(self, name, None))
            if name == "bias":
                value = value is not None
            if parameter.default is inspect.Parameter.empty or value != parameter.default:
                shown.append(f"{name}={getattr(value, '__name__', value)}")
        return f"{type(self).__name__}({', '.join(shown)})"


class MACLayer(Layer):
    """A layer with weights on the synapse matrix.

    * `num_sends`: how often the input is sent; None chooses it for the initial weights.
    * `wait_between_events`: pause between input events, in cycles of 8 ns.
    * `input_transform`, `weight_transform`: applied before every product; by default weights are clamped in
      place to -63..63.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        num_sends: int | None = None,
        wait_between_events: int = c.defaults.wait_between_events,
        mock: bool = False,
        *,
        input_transform: Transform | None = None,
        weight_transform: Transform | None = clamp_weight_,
    ) -> None:
        super().__init__(mock)
        self.setup_mac(num_sends, wait_between_events, mock, input_transform, weight_transform)

    def setup_mac(
        self,
        num_sends: int | None,
        wait_between_events: int,
        mock: bool,
        input_transform: Transform | None,
        weight_transform: Transform | None,
    ) -> None:
        """Keep the arguments of the constructor; for layers that also inherit from a layer of torch."""
        self.num_sends = num_sends
        self.wait_between_events = wait_between_events
        self.mock = mock
        self.input_transform = input_transform
        self.weight_transform = weight_transform

    def make_parameters(self, shape: tuple[int, ...], bias: bool) -> None:
        """Make and draw the weights (out, ...), and a bias (out,) if there is one."""
        self.weight = torch.nn.Parameter(torch.empty(shape))
        self.register_parameter("bias", torch.nn.Parameter(torch.empty(shape[0])) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights for which the outputs of random activations fill their range.

        The weights' standard deviation is ``2**1 * sqrt(2) / gain / sqrt(fan_in)``, shared by `num_sends`.
        """
        gain = 2**RELU_SHIFT * math.sqrt(2) / get_mock_parameter().gain
        std = gain / math.sqrt(self.weight[0].numel())
        if self.num_sends is None:
            self.num_sends = math.ceil(std / (c.synaptic_weight_max / 3))
        with torch.no_grad():
            torch.nn.init.trunc_normal_(
                self.weight, 0.0, std / self.num_sends, c.synaptic_weight_min, c.synaptic_weight_max
            )
            if self.bias is not None:
                bound = std / _INPUT_STD
                self.bias.uniform_(-bound, bound)

    def transformed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Input and weights after their transforms."""
        weight = self.weight
        if self.input_transform is not None:
            x = self.input_transform(x)
        if self.weight_transform is not None:
            weight = self.weight_transform(weight)
        return x, weight

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the operation."""
        return {
            "num_sends": self.num_sends,
            "wait_between_events": self.wait_between_events,
            "mock": self.mock,
        }


def _plain(value: Any) -> Any:
    """A number instead of a tuple of equal ones, as in `kernel_size`."""
    if isinstance(value, tuple) and value and len(set(value)) == 1:
        return value[0]
    return value
