"""Spikes with a surrogate gradient.

A spike is the Heaviside step of x, the membrane minus its threshold. Its derivative is replaced by a smooth or
piecewise function of x whose steepness is `alpha`. To add one, describe it here and give the fused kernels its
derivative in `kernels/surrogate.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hxtorch.snn.functional.kernels import surrogate as kernels
from hxtorch.snn.shapes import Like


@dataclass(frozen=True)
class Surrogate:
    """A surrogate gradient: ``derivative(x, alpha)`` takes the place of the derivative of the step at x."""

    name: str
    code: int  # by which the kernels know it
    derivative: Callable[[Tensor, float], Tensor]
    formula: str
    source: str


def _superspike(x: Tensor, alpha: float) -> Tensor:
    return 1 / (alpha * x.abs() + 1).square()


def _sigmoid(x: Tensor, alpha: float) -> Tensor:
    s = torch.sigmoid(alpha * x)
    return alpha * s * (1 - s)


def _arctan(x: Tensor, alpha: float) -> Tensor:
    return alpha / 2 / (1 + (math.pi / 2 * alpha * x).square())


def _triangular(x: Tensor, alpha: float) -> Tensor:
    return torch.relu(1 - alpha * x.abs())


def _multi_gaussian(x: Tensor, alpha: float) -> Tensor:
    height, widening, damping = 0.15, 6.0, 0.5
    u = alpha * x

    def bell(y: Tensor) -> Tensor:
        return torch.exp(-0.5 * y.square())

    sides = bell((u + 1) / widening) + bell((u - 1) / widening)
    return damping * alpha / math.sqrt(2 * math.pi) * ((1 + height) * bell(u) - height / widening * sides)


def _straight_through(x: Tensor, alpha: float) -> Tensor:
    return torch.ones_like(x)


SURROGATES: Mapping[str, Surrogate] = {
    item.name: item
    for item in (
        Surrogate(
            "superspike",
            kernels.SUPERSPIKE,
            _superspike,
            "1 / (alpha |x| + 1)^2",
            "Zenke & Ganguli, SuperSpike: Supervised learning in multilayer spiking neural networks, "
            "Neural Computation 30 (2018), eq. 3.3",
        ),
        Surrogate(
            "sigmoid",
            kernels.SIGMOID,
            _sigmoid,
            "alpha s (1 - s) with s = 1 / (1 + exp(-alpha x))",
            "Zenke & Vogels, The remarkable robustness of surrogate gradient learning, "
            "Neural Computation 33 (2021)",
        ),
        Surrogate(
            "arctan",
            kernels.ARCTAN,
            _arctan,
            "alpha/2 / (1 + (pi/2 alpha x)^2)",
            "Fang et al., Incorporating learnable membrane time constant to enhance learning of spiking neural "
            "networks, ICCV 2021",
        ),
        Surrogate(
            "triangular",
            kernels.TRIANGULAR,
            _triangular,
            "max(0, 1 - alpha |x|), piecewise linear",
            "Esser et al., Convolutional networks for fast, energy-efficient neuromorphic computing, PNAS 113 "
            "(2016)",
        ),
        Surrogate(
            "multi_gaussian",
            kernels.MULTI_GAUSSIAN,
            _multi_gaussian,
            "1/2 ((1 + h) N(x; 0, s) - h N(x; -s, 6 s) - h N(x; s, 6 s)) with s = 1/alpha, h = 0.15 and the "
            "normal density N(x; mean, deviation)",
            "Yin, Corradi & Bohte, Accurate and efficient time-domain classification with adaptive spiking "
            "recurrent neural networks, Nature Machine Intelligence 3 (2021)",
        ),
        Surrogate(
            "straight_through",
            kernels.STRAIGHT_THROUGH,
            _straight_through,
            "1",
            "Bengio, Léonard & Courville, Estimating or propagating gradients through stochastic neurons for "
            "conditional computation, arXiv:1308.3432 (2013)",
        ),
    )
}


def surrogate(method: str) -> Surrogate:
    """The surrogate gradient called `method`; an unknown name: ValueError."""
    try:
        return SURROGATES[method]
    except (KeyError, TypeError):
        raise ValueError(
            f"Threshold function '{method}' is not implemented yet. Use one of {', '.join(SURROGATES)}."
        ) from None


def check_method(method: str) -> None:
    """ValueError for an unknown surrogate gradient."""
    surrogate(method)


def check_alpha(alpha: float) -> None:
    """ValueError for a steepness that is negative, infinite or NaN: gradients would be, too."""
    if not 0 <= alpha < math.inf:
        raise ValueError(
            f"The steepness alpha of the surrogate gradient is {alpha:g}, but must be at least 0, and finite. The "
            "default is 50."
        )


class SurrogateSpike(torch.autograd.Function):
    """Heaviside step: 1 where x > 0, else 0; backward with the derivative of a `Surrogate`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Like, method: Surrogate, alpha: float) -> Like:
        """Step of `x`, in its dtype."""
        return (x > 0).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep what backward needs."""
        x, method, ctx.alpha = inputs
        ctx.save_for_backward(x)
        ctx.derivative = method.derivative

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """Surrogate gradient with respect to `x`."""
        (x,) = ctx.saved_tensors
        return grads[0] * ctx.derivative(x, ctx.alpha), None, None


class SuperSpike(torch.autograd.Function):
    """Heaviside step with the gradient of "superspike": ``SuperSpike.apply(x, alpha)``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Like, alpha: float) -> Like:
        """Step of `x`, in its dtype."""
        return (x > 0).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep what backward needs."""
        x, ctx.alpha = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Surrogate gradient with respect to `x`."""
        (x,) = ctx.saved_tensors
        return grads[0] * _superspike(x, ctx.alpha), None


def threshold(input: Like, method: str = "superspike", alpha: float = 50.0) -> Like:
    """Spikes where `input` (membrane minus threshold) is above zero; `method` is a name in `SURROGATES`.

    Unknown names, or an `alpha` that is negative, infinite or NaN: ValueError.
    """
    check_alpha(alpha)
    return SurrogateSpike.apply(input, surrogate(method), alpha)  # type: ignore[no-any-return, no-untyped-call]
