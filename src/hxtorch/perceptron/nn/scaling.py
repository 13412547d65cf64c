"""Bringing activations and weights into the range of the chip."""

from __future__ import annotations

import torch
from torch import Tensor

from hxtorch.perceptron import constants as c


def scale_input(x: Tensor) -> Tensor:
    """Scale activations so that the largest is 31; without any above zero they stay as they are."""
    largest = x.max()
    return x * (c.input_activation_max / largest) if largest > 0 else x


def scale_weight(w: Tensor) -> Tensor:
    """Scale weights so that the largest magnitude is 63; all zero, they stay as they are."""
    largest = w.abs().max()
    return w * (c.synaptic_weight_max / largest) if largest > 0 else w


def clamp_weight_(w: Tensor) -> Tensor:
    """Clamp weights to -63..63 in place, outside of autograd, and return them."""
    with torch.no_grad():
        w.clamp_(c.synaptic_weight_min, c.synaptic_weight_max)
    return w
