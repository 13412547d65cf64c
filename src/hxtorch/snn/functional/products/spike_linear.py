"""Synaptic products that use what spikes are: few, and 0 or 1.

`spike_linear` sums the weights of the spikes instead of multiplying by all inputs, where that is faster, and
gives what the dense product gives, but for the order of summation. The gradient of the weights is summed from
the spikes in the same way; the gradient of the spikes is a dense product, because every silent neuron has one.

What `project` keeps for the gradient are copies: weights may be written to as soon as the run is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hxtorch.shapes import ColumnWeights
from hxtorch.snn.functional.memory.carried import Carried, blank
from hxtorch.snn.functional.memory.spikes import CarriedSpikes, SpikeIndex
from hxtorch.snn.functional.products import costs
from hxtorch.snn.functional.products.dense import dense_linear, multiply, own
from hxtorch.snn.functional.products.sums import SHARES, sum_columns, sum_gradients, sum_weights, transposed
from hxtorch.snn.shapes import ColumnGradients, Inputs, Outputs, Weights

SMALL = 100_000  # entries; below, torch's allocator and its own backward are as good


def spike_linear(spikes: Inputs, weight: Weights) -> Outputs:
    """``spikes @ weight.T`` for float32 on the CPU."""
    outputs = weight.shape[0]
    index = _worth(costs.index_for(spikes, outputs), outputs)
    if index is None and _is_small(spikes.shape, outputs):
        return dense_linear(spikes, weight)
    return _SpikeLinear.apply(spikes, weight, _Operands(index, spikes.detach(), weight.detach()))  # type: ignore[no-any-return, no-untyped-call]


def project(spikes: CarriedSpikes, weight: Weights) -> Carried:
    """`spike_linear` for neurons to come: a `Product` where these can sum the weights of few spikes themselves."""
    outputs = weight.shape[0]
    index = costs.index_for(spikes, outputs)
    summed = index is not None and costs.prefers_sum(index, outputs)
    if index is not None and summed and len(spikes.shape) == 3 and spikes.shape[1] >= SHARES:
        trained = weight.requires_grad and torch.is_grad_enabled()
        if not trained or costs.prefers_scatter(index, outputs):
            return Product(spikes.like, weight, index)
    index = _worth(index, outputs)
    if index is None and _is_small(spikes.shape, outputs):
        return Carried(dense_linear(spikes.operand(), own(weight)))
    dense = None if summed and not spikes.is_filled else spikes.keep()
    operands = _Operands(index, dense, own(weight).detach())
    return Carried(_SpikeLinear.apply(spikes.like, weight, operands))  # type: ignore[no-untyped-call]


def _worth(index: SpikeIndex | None, outputs: int) -> SpikeIndex | None:
    worth = index is not None and (costs.prefers_sum(index, outputs) or costs.prefers_scatter(index, outputs))
    return index if worth else None


def _is_small(shape: torch.Size, outputs: int) -> bool:
    """Whether torch's own product, with its own backward pass, is as good."""
    return max(shape.numel(), shape[:-1].numel() * outputs) < SMALL


class Product(Carried):
    """The product of spikes (T, B, in) and weights (out, in), which is in memory only if somebody reads it.

    Neurons sum the weights themselves while they integrate, and their gradient as well (`is_summed_here`).
    """

    def __init__(self, spikes: Inputs, weight: Weights, index: SpikeIndex) -> None:
        self.index, self.columns = index, transposed(weight)
        self.needs_spikes, self.needs_weight = spikes.requires_grad, weight.requires_grad
        self._readers = 0
        shape = (*spikes.shape[:-1], weight.shape[0])
        columns = self.columns  # no part of it may hold the product: it would hold itself

        def fill() -> Tensor:
            return sum_columns(index, columns, shape[-1]).view(shape)

        super().__init__(_LateProduct.apply(spikes, weight, index, columns), fill)  # type: ignore[no-untyped-call]

    def claim(self) -> None:
        """Note that a population sums it."""
        self._readers += 1

    @property
    def is_summed_here(self) -> bool:
        """Whether a population gives the gradient of the weights at once: nobody else looks at the product.

        Torch's search for anomalies looks at all gradients.
        """
        return not self.is_watched and self._readers == 1 and not torch.is_anomaly_enabled()


@dataclass(frozen=True, eq=False)
class _OfWeight:
    """Gradient of the weights that comes along with that of their product."""

    value: Weights


def note_of_weight(shape: tuple[int, ...], of_product: Tensor | None, columns: ColumnGradients | None) -> Tensor:
    """The gradient of a product, and with it that of its transposed weights, for the next node of the graph.

    Without `of_product` it is NaN, and nobody reads it.
    """
    grad = torch.full((), torch.nan, device="cpu").expand(shape) if of_product is None else of_product
    grad._of_weight = None if columns is None else _OfWeight(columns.T)  # type: ignore[attr-defined]
    return grad


class _LateProduct(torch.autograd.Function):
    """A product without numbers: its place in the graph, and its gradient from what the run keeps."""

    @staticmethod
    def forward(ctx: Any, spikes: Inputs, weight: Weights, index: SpikeIndex, columns: ColumnWeights) -> Outputs:
        ctx.index, ctx.columns, ctx.shape, ctx.outputs = index, columns, spikes.shape, weight.shape[0]
        return blank((*spikes.shape[:-1], ctx.outputs))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_second_derivative()
        (grad,) = grads
        noted: _OfWeight | None = getattr(grad, "_of_weight", None)
        flat = grad.reshape(-1, ctx.outputs) if ctx.needs_input_grad[0] or noted is None else grad
        of_spikes = of_weight = None
        if ctx.needs_input_grad[0]:
            weight = torch.from_numpy(ctx.columns)[:, : ctx.outputs].T
            of_spikes = multiply(flat, weight).view(ctx.shape)
        if ctx.needs_input_grad[1]:
            of_weight = sum_gradients(ctx.index, flat) if noted is None else noted.value
        return of_spikes, of_weight, None, None


@dataclass(frozen=True, eq=False)
class _Operands:
    """The numbers of a product: spikes by `index`, `dense`, or both, and the weight."""

    index: SpikeIndex | None
    dense: Inputs | None
    weight: Weights


class _SpikeLinear(torch.autograd.Function):
    """The product, with sums over spikes where an index is given and worth it, and results in used memory."""

    @staticmethod
    def forward(ctx: Any, spikes: Inputs, weight: Weights, given: _Operands) -> Outputs:
        index, outputs = given.index, weight.shape[0]
        needs_spikes, needs_weight, _ = ctx.needs_input_grad
        ctx.index, ctx.shape = index, spikes.shape
        scatters = index is not None and costs.prefers_scatter(index, outputs)
        ctx.save_for_backward(
            given.weight if needs_spikes else None,
            given.dense if needs_weight and not scatters else None,
        )
        if index is not None and costs.prefers_sum(index, outputs):
            product = sum_weights(index, given.weight)
        else:
            assert given.dense is not None
            product = multiply(given.dense.reshape(-1, spikes.shape[-1]), given.weight.T)
        return product.view(*spikes.shape[:-1], outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        _refuse_second_derivative()
        (grad,) = grads
        weight, dense = ctx.saved_tensors
        flat = grad.reshape(-1, grad.shape[-1])
        of_spikes = of_weight = None
        if ctx.needs_input_grad[0]:
            of_spikes = multiply(flat, weight).view(ctx.shape)
        if ctx.needs_input_grad[1]:
            if dense is not None:
                of_weight = flat.T @ dense.reshape(-1, ctx.shape[-1])
            elif costs.prefers_scatter(ctx.index, flat.shape[1]):
                of_weight = sum_gradients(ctx.index, flat)
            else:
                of_weight = flat.T @ ctx.index.dense()
        return of_spikes, of_weight, None


def _refuse_second_derivative() -> None:
    if torch.is_grad_enabled():
        raise RuntimeError(
            "The sparse product has no second derivative. Compute within "
            "hxtorch.snn.functional.reference_numerics()."
        )
