"""Synaptic products that use what spikes are: few, and 0 or 1.

`spike_linear` sums the weights of the spikes instead of multiplying by all inputs, where that is faster, and
gives what the dense product gives, but for the order of summation. The gradient of the weights is summed from
the spikes in the same way; the gradient of the spikes is a dense product, because every silent neuron has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hxtorch.snn.functional.kernels.sparse import scatter_rows, sum_rows
from hxtorch.snn.functional.spikes import SpikeIndex, has_index, index_of
from hxtorch.snn.functional.threads import share
from hxtorch.snn.functional.workspace import empty


@dataclass(frozen=True)
class Costs:
    """Time of products per element in nanoseconds of one processor: estimates from single timings.

    Constants, not measurements of the running program: which product is taken, and with it the order of
    summation, must not depend on the load of the machine.
    """

    dense: float = 0.0125  # per row, input and output of a dense product
    sum: float = 0.075  # per spike and output of a sum of weights
    row: float = 0.35  # per row and output of such a sum
    scatter: float = 0.10  # per spike and output of a gradient of weights
    count: float = 0.15  # per row and input, to make the index
    call: float = 15_000.0  # of any sparse product, in comparison to a dense one


COSTS = Costs()
PARALLEL_FROM = 200_000  # additions
SHARES = 4  # of the rows in a gradient of weights: a constant, for the order of summation
SMALL = 100_000  # entries; below, torch's allocator and its own backward are as good


def prefers_index(spikes: Tensor, outputs: int) -> bool:
    """Whether looking for spikes can pay: it cannot for small products."""
    rows = spikes.numel() // spikes.shape[-1]
    if has_index(spikes):
        return True
    return COSTS.dense * spikes.numel() * outputs > COSTS.count * spikes.numel() + COSTS.row * rows * outputs


def prefers_sum(index: SpikeIndex, outputs: int) -> bool:
    """Whether the sum over spikes is faster than the dense product."""
    sparse = COSTS.call + COSTS.sum * len(index.columns) * outputs + COSTS.row * index.rows * outputs
    return sparse < COSTS.dense * index.rows * index.size * outputs


def prefers_scatter(index: SpikeIndex, outputs: int) -> bool:
    """Whether the gradient of weights is faster from the spikes than by the dense product."""
    sparse = COSTS.call + COSTS.scatter * len(index.columns) * outputs
    return sparse < COSTS.dense * index.rows * index.size * outputs


def spike_linear(spikes: Tensor, weight: Tensor) -> Tensor:
    """``spikes @ weight.T`` for float32 on the CPU: (..., in) and (out, in) give (..., out)."""
    outputs = weight.shape[0]
    index = index_of(spikes) if prefers_index(spikes, outputs) else None
    if index is not None and not (prefers_sum(index, outputs) or prefers_scatter(index, outputs)):
        index = None
    if index is None and max(spikes.numel(), spikes.numel() // spikes.shape[-1] * outputs) < SMALL:
        return torch.nn.functional.linear(spikes, weight)
    return _SpikeLinear.apply(spikes, weight, index)  # type: ignore[no-any-return, no-untyped-call]


class _SpikeLinear(torch.autograd.Function):
    """The product, with sums over spikes where an `index` is given and worth it, and results in used memory."""

    @staticmethod
    def forward(ctx: Any, spikes: Tensor, weight: Tensor, index: SpikeIndex | None) -> Tensor:
        outputs = weight.shape[0]
        needs_spikes, needs_weight, _ = ctx.needs_input_grad
        ctx.index, ctx.shape = index, spikes.shape
        scatters = index is not None and prefers_scatter(index, outputs)
        ctx.save_for_backward(
            weight if needs_spikes else None,
            spikes if needs_weight and not scatters else None,
        )
        if index is not None and prefers_sum(index, outputs):
            product = sum_weights(index, weight)
        else:
            flat = spikes.detach().reshape(-1, spikes.shape[-1])
            product = torch.mm(flat, weight.detach().T, out=empty((flat.shape[0], outputs)))
        return product.view(*spikes.shape[:-1], outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "The sparse product has no second derivative. Compute within "
                "hxtorch.snn.functional.reference_numerics()."
            )
        (grad,) = grads
        weight, spikes = ctx.saved_tensors
        flat = grad.reshape(-1, grad.shape[-1])
        of_spikes = None
        if ctx.needs_input_grad[0]:
            of_spikes = torch.mm(flat, weight, out=empty((flat.shape[0], weight.shape[1]))).view(ctx.shape)
        of_weight = None
        if ctx.needs_input_grad[1]:
            if spikes is None:
                of_weight = sum_gradients(ctx.index, flat)
            else:
                of_weight = flat.T @ spikes.reshape(-1, ctx.shape[-1])
        return of_spikes, of_weight, None


def sum_weights(index: SpikeIndex, weight: Tensor) -> Tensor:
    """Sum of the weights (out, in) of the spikes of each row: (rows, out)."""
    outputs = weight.shape[0]
    columns = weight.detach().T.contiguous().numpy()
    out = empty((index.rows, outputs))
    array = out.numpy()
    share(
        lambda begin, end: sum_rows(index.start, index.columns, columns, array, begin, end),
        index.rows,
        parallel=(len(index.columns) + index.rows) * outputs >= PARALLEL_FROM,
    )
    return out


def sum_gradients(index: SpikeIndex, grad: Tensor) -> Tensor:
    """``grad.T @ spikes`` for `grad` (rows, out): (out, in)."""
    outputs = grad.shape[1]
    array = grad.contiguous().numpy()
    parts = empty((SHARES, index.size, outputs))
    room = parts.numpy()
    share(
        lambda begin, end: scatter_rows(index.start, index.columns, array, room, begin, end),
        SHARES,
        parallel=len(index.columns) * outputs >= PARALLEL_FROM,
    )
    return parts.sum(0).T


def weight_gradient(spikes: Tensor, grad: Tensor) -> Tensor:
    """``grad.T @ spikes`` for `spikes` (..., in) and `grad` (rows, out), from the spikes if that is faster."""
    outputs = grad.shape[1]
    index = index_of(spikes) if prefers_index(spikes, outputs) else None
    if index is not None and prefers_scatter(index, outputs):
        return sum_gradients(index, grad)
    return grad.T @ spikes.reshape(-1, spikes.shape[-1])


def integer_linear(spikes: Tensor, weight: Tensor) -> Tensor:
    """``spikes @ weight.T`` as exact float32 for whole inputs -128..127 and int8 weights (out, in).

    Four to nine times as fast as float32 on processors with VNNI. Without gradient: integers have none.
    Other inputs: ValueError.
    """
    flat = spikes.detach().reshape(-1, spikes.shape[-1])
    small = flat.to(torch.int8)
    if small.dtype != flat.dtype and not torch.equal(small.to(flat.dtype), flat):
        raise ValueError("The input has entries that are no whole numbers in -128..127. Use float weights for it.")
    rows, inputs = small.shape
    # The product of torch wants more than 16 rows and sizes in multiples of 8.
    pad = -inputs % 8, -weight.shape[0] % 8, max(0, 17 - rows)
    if any(pad):
        small = torch.nn.functional.pad(small, (0, pad[0], 0, pad[2]))
        weight = torch.nn.functional.pad(weight, (0, pad[0], 0, pad[1]))
    product = torch._int_mm(small.contiguous(), weight.T.contiguous())
    outputs = weight.shape[0] - pad[1]
    return product[:rows, :outputs].float().view(*spikes.shape[:-1], outputs)
