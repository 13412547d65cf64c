"""Products with the chip's synapse matrix: integers in, 8-bit integers with gain and noise out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hxtorch.perceptron import constants as c
from hxtorch.perceptron.backend import require_mac_chip
from hxtorch.perceptron.mock_parameter import get_mock_parameter
from hxtorch.perceptron.tracer import note


def mac(
    x: Tensor,
    weights: Tensor,
    num_sends: int = 1,
    wait_between_events: int = c.defaults.wait_between_events,
    mock: bool = False,
    madc_recording_neuron_id: int = 0,
    madc_recording_path: str | Path = "",
) -> Tensor:
    """Multiply `x` (..., in), 1-D or 2-D, with `weights` (in, out) on the synapse matrix; returns (..., out).

    Both are rounded; activations outside 0..31 and weights outside -63..63 raise OverflowError. The matrix has
    128 rows: longer inputs are multiplied in blocks, whose 8-bit results are added and clamped to -128..127.
    Every block gives ``floor(gain * num_sends * x @ weights + noise)``. `num_sends` sends the input several
    times, `wait_between_events` (cycles of 8 ns) spreads it. Wrong shapes: RuntimeError.

    The gradient is that of ``gain * num_sends * x @ weights``.
    """
    if weights.ndim != 2:
        raise RuntimeError(f"The weights have {weights.ndim} dimensions, expected 2 (in, out).")
    if x.ndim not in (1, 2):
        raise RuntimeError(f"The input has {x.ndim} dimensions, expected 1 or 2 (batch, in).")
    if x.shape[-1] != weights.shape[0]:
        raise RuntimeError(f"The input has {x.shape[-1]} features, but the weights have {weights.shape[0]} rows.")
    if num_sends < 1:
        raise RuntimeError(f"num_sends is {num_sends}, but the input is sent at least once.")
    if wait_between_events < 1:
        raise RuntimeError(f"wait_between_events is {wait_between_events}, but must be at least 1 cycle.")
    if not mock:
        require_mac_chip()
    if str(madc_recording_path):
        raise RuntimeError("The mock mode has no MADC to record with. Leave madc_recording_path empty.")
    parameter = get_mock_parameter()
    result: Tensor = _MockMac.apply(  # type: ignore[no-untyped-call]
        x, weights, parameter.gain * num_sends, parameter.noise_std
    )
    note("mac", x, result, weights=weights, num_sends=num_sends, wait=wait_between_events, mock=mock)
    return result


def matmul(
    input: Tensor,
    other: Tensor,
    num_sends: int = 1,
    wait_between_events: int = c.defaults.wait_between_events,
    mock: bool = False,
    madc_recording_neuron_id: int = 0,
    madc_recording_path: str | Path = "",
) -> Tensor:
    """`torch.matmul` on the synapse matrix: `input` (..., in), `other` (in,) or (in, out). See `mac`."""
    if input.ndim == 0 or other.ndim not in (1, 2):
        raise RuntimeError(
            f"matmul takes an input with at least 1 dimension and a vector or matrix, got {input.ndim} and "
            f"{other.ndim} dimensions."
        )
    weights = other.unsqueeze(1) if other.ndim == 1 else other
    flat = input if input.ndim <= 2 else input.reshape(-1, input.shape[-1])
    result = mac(flat, weights, num_sends, wait_between_events, mock, madc_recording_neuron_id, madc_recording_path)
    return result.reshape(input.shape[:-1] + other.shape[1:])


class _MockMac(torch.autograd.Function):
    """Rounded operands and 8-bit results in blocks of the matrix' height; the gradient is that of the product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, factor: float, noise_std: float) -> Tensor:
        ctx.save_for_backward(x, weights)
        ctx.factor = factor
        activations = _rounded(x, "activation", c.input_activation_min, c.input_activation_max)
        integers = _rounded(weights, "weight", c.synaptic_weight_min, c.synaptic_weight_max)
        result = torch.zeros(x.shape[:-1] + weights.shape[1:], dtype=x.dtype, device=x.device)
        height = c.hardware_matrix_height
        for rows, block in zip(torch.split(activations, height, dim=-1), torch.split(integers, height)):
            product = factor * (rows @ block)
            noise = noise_std * torch.randn(product.shape, dtype=product.dtype, device=product.device)
            result += clamp_output((product + noise).floor())
        return clamp_output(result)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weights = ctx.saved_tensors
        grad = grad * ctx.factor
        grad_x = grad @ weights.t() if ctx.needs_input_grad[0] else None
        grad_weights = None
        if ctx.needs_input_grad[1]:
            grad_weights = torch.outer(x, grad) if x.ndim == 1 else x.t() @ grad
        return grad_x, grad_weights, None, None


def clamp_output(value: Tensor) -> Tensor:
    """Clamp to the 8 bits of an output."""
    return value.clamp(c.output_activation_min, c.output_activation_max)


def _rounded(value: Tensor, name: str, low: int, high: int) -> Tensor:
    rounded = value.detach().round()
    if bool(((rounded >= low) & (rounded <= high)).all()):
        return rounded
    bad = rounded[~((rounded >= low) & (rounded <= high))].flatten()[0].item()
    raise OverflowError(f"The {name} {bad:g} is outside of {low}..{high}. Scale or clamp before the product.")
