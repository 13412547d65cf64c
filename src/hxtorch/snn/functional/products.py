"""Synaptic products that use what spikes are: few, and 0 or 1.

`spike_linear` sums the weights of the spikes instead of multiplying by all inputs, where that is faster, and
gives what the dense product gives, but for the order of summation. The gradient of the weights is summed from
the spikes in the same way; the gradient of the spikes is a dense product, because every silent neuron has one.

What `project` keeps for the gradient are copies: weights may be written to as soon as the run is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxtorch.snn.functional.carried import Carried, blank
from hxtorch.snn.functional.kernels.sparse import scatter_rows, sum_rows
from hxtorch.snn.functional.kernels.tiles import padded
from hxtorch.snn.functional.mode import autocasts
from hxtorch.snn.functional.spikes import CarriedSpikes, SpikeIndex, index_of
from hxtorch.snn.functional.threads import share
from hxtorch.snn.functional.workspace import empty


@dataclass(frozen=True)
class Costs:
    """What products take on one processor, in nanoseconds per element, as ``benchmarks/product_costs.py`` fits it.

    Constants, not measurements of the running program: which product is taken, and with it the order of
    summation, must depend neither on the load of the machine nor on the number of threads.
    """

    dense_call: float = 4800.0
    dense_row: float = 0.05  # per row and output
    dense: float = 0.019  # per row, input and output
    sum_call: float = 12000.0
    sum_row: float = 0.053  # per row and output
    sum: float = 0.021  # per spike and output
    sum_spike: float = 0.38
    gradient_call: float = 2200.0
    gradient_row: float = 0.098  # per row and input or output
    gradient: float = 0.018  # per row, input and output
    scatter_call: float = 11000.0
    scatter_weight: float = 0.78  # per input and output
    scatter: float = 0.032  # per spike and output
    scatter_spike: float = 0.65
    index_call: float = 8700.0
    index_row: float = 4.0
    index: float = 0.078  # per row and input

    def of_dense(self, rows: int, inputs: int, outputs: int) -> float:
        """Time of ``spikes @ weight.T`` for spikes (rows, inputs) and a weight (outputs, inputs)."""
        return self.dense_call + rows * outputs * (self.dense_row + self.dense * inputs)

    def of_sum(self, rows: int, outputs: int, spikes: int) -> float:
        """Time of the same product as a sum over spikes, without that of their index."""
        return self.sum_call + rows * outputs * self.sum_row + spikes * (self.sum_spike + self.sum * outputs)

    def of_gradient(self, rows: int, inputs: int, outputs: int) -> float:
        """Time of ``grad.T @ spikes``."""
        return self.gradient_call + rows * (
            self.gradient_row * (inputs + outputs) + self.gradient * inputs * outputs
        )

    def of_scatter(self, inputs: int, outputs: int, spikes: int) -> float:
        """Time of the same gradient as a sum over spikes, without that of their index."""
        parts = self.scatter_weight * inputs * outputs
        return self.scatter_call + parts + spikes * (self.scatter_spike + self.scatter * outputs)

    def of_index(self, rows: int, inputs: int) -> float:
        """Time to list the spikes."""
        return self.index_call + rows * (self.index_row + self.index * inputs)


COSTS = Costs()
PARALLEL_FROM = 200_000  # additions
SHARES = 4  # of the rows in a gradient of weights: a constant, for the order of summation
SMALL = 100_000  # entries; below, torch's allocator and its own backward are as good


def prefers_index(rows: int, inputs: int, outputs: int) -> bool:
    """Whether looking for spikes can pay: it cannot for small products."""
    return COSTS.of_dense(rows, inputs, outputs) > COSTS.of_index(rows, inputs) + COSTS.of_sum(rows, outputs, 0)


def index_for(spikes: Tensor | CarriedSpikes, outputs: int) -> SpikeIndex | None:
    """The index of spikes (..., in) for a product with so many outputs; None where it does not pay."""
    if isinstance(spikes, CarriedSpikes) and spikes.has_index:
        return spikes.index()
    tensor = spikes.like if isinstance(spikes, CarriedSpikes) else spikes
    inputs = tensor.shape[-1]
    if not prefers_index(tensor.numel() // inputs, inputs, outputs):
        return None
    return spikes.index() if isinstance(spikes, CarriedSpikes) else index_of(spikes)


def prefers_sum(index: SpikeIndex, outputs: int) -> bool:
    """Whether the sum over spikes is faster than the dense product."""
    return COSTS.of_sum(index.rows, outputs, index.count) < COSTS.of_dense(index.rows, index.size, outputs)


def prefers_scatter(index: SpikeIndex, outputs: int) -> bool:
    """Whether the gradient of weights is faster from the spikes than by the dense product."""
    return COSTS.of_scatter(index.size, outputs, index.count) < COSTS.of_gradient(index.rows, index.size, outputs)


def spike_linear(spikes: Tensor, weight: Tensor) -> Tensor:
    """``spikes @ weight.T`` for float32 on the CPU: (..., in) and (out, in) give (..., out)."""
    outputs = weight.shape[0]
    index = _worth(index_for(spikes, outputs), outputs)
    if index is None and _is_small(spikes.shape, outputs):
        return dense_linear(spikes, weight)
    return _SpikeLinear.apply(spikes, weight, _Operands(index, spikes.detach(), weight.detach()))  # type: ignore[no-any-return, no-untyped-call]


def project(spikes: CarriedSpikes, weight: Tensor) -> Carried:
    """`spike_linear` for neurons to come: a `Product` where these can sum the weights of few spikes themselves."""
    outputs = weight.shape[0]
    index = index_for(spikes, outputs)
    if index is not None and len(spikes.shape) == 3 and spikes.shape[1] >= SHARES and prefers_sum(index, outputs):
        trained = weight.requires_grad and torch.is_grad_enabled()
        if not trained or prefers_scatter(index, outputs):
            return Product(spikes.like, weight, index)
    index = _worth(index, outputs)
    if index is None and _is_small(spikes.shape, outputs):
        return Carried(dense_linear(spikes.operand(), own(weight)))
    dense = None if index is not None and not spikes.is_filled and prefers_sum(index, outputs) else spikes.keep()
    operands = _Operands(index, dense, own(weight).detach())
    return Carried(_SpikeLinear.apply(spikes.like, weight, operands))  # type: ignore[no-untyped-call]


def dense_linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Torch's linear map, also within autocast in full precision: what is summed over time needs every digit."""
    if not autocasts(weight):
        return torch.nn.functional.linear(input, weight, bias)
    dtype = torch.promote_types(input.dtype, weight.dtype)
    with torch.autocast(weight.device.type, enabled=False):
        return torch.nn.functional.linear(
            input.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        )


def own(weight: Tensor) -> Tensor:
    """A weight as it is now, for a product that may need it for its gradient."""
    return weight.clone() if torch.is_grad_enabled() else weight


def _worth(index: SpikeIndex | None, outputs: int) -> SpikeIndex | None:
    worth = index is not None and (prefers_sum(index, outputs) or prefers_scatter(index, outputs))
    return index if worth else None


def _is_small(shape: torch.Size, outputs: int) -> bool:
    """Whether torch's own product, with its own backward pass, is as good."""
    return max(shape.numel(), shape[:-1].numel() * outputs) < SMALL


class Product(Carried):
    """The product of spikes (T, B, in) and weights (out, in), which is in memory only if somebody reads it.

    Neurons sum the weights themselves while they integrate, and their gradient as well (`is_summed_here`).
    """

    def __init__(self, spikes: Tensor, weight: Tensor, index: SpikeIndex) -> None:
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
    """Gradient (out, in) of the weights that comes along with that of their product."""

    value: Tensor


def note_of_weight(shape: tuple[int, ...], of_product: Tensor | None, columns: Tensor | None) -> Tensor:
    """The gradient of a product, and with it that of its transposed weights, for the next node of the graph.

    Without `of_product` it is NaN, and nobody reads it.
    """
    grad = torch.full((), torch.nan, device="cpu").expand(shape) if of_product is None else of_product
    grad._of_weight = None if columns is None else _OfWeight(columns.T)  # type: ignore[attr-defined]
    return grad


class _LateProduct(torch.autograd.Function):
    """A product without numbers: its place in the graph, and its gradient from what the run keeps."""

    @staticmethod
    def forward(
        ctx: Any, spikes: Tensor, weight: Tensor, index: SpikeIndex, columns: NDArray[np.float32]
    ) -> Tensor:
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
            of_spikes = _multiply(flat, weight).view(ctx.shape)
        if ctx.needs_input_grad[1]:
            of_weight = sum_gradients(ctx.index, flat) if noted is None else noted.value
        return of_spikes, of_weight, None, None


@dataclass(frozen=True, eq=False)
class _Operands:
    """The numbers of a product: spikes by `index`, `dense`, or both, and the weight."""

    index: SpikeIndex | None
    dense: Tensor | None
    weight: Tensor


class _SpikeLinear(torch.autograd.Function):
    """The product, with sums over spikes where an index is given and worth it, and results in used memory."""

    @staticmethod
    def forward(ctx: Any, spikes: Tensor, weight: Tensor, given: _Operands) -> Tensor:
        index, outputs = given.index, weight.shape[0]
        needs_spikes, needs_weight, _ = ctx.needs_input_grad
        ctx.index, ctx.shape = index, spikes.shape
        scatters = index is not None and prefers_scatter(index, outputs)
        ctx.save_for_backward(
            given.weight if needs_spikes else None,
            given.dense if needs_weight and not scatters else None,
        )
        if index is not None and prefers_sum(index, outputs):
            product = sum_weights(index, given.weight)
        else:
            assert given.dense is not None
            product = _multiply(given.dense.reshape(-1, spikes.shape[-1]), given.weight.T)
        return product.view(*spikes.shape[:-1], outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        _refuse_second_derivative()
        (grad,) = grads
        weight, dense = ctx.saved_tensors
        flat = grad.reshape(-1, grad.shape[-1])
        of_spikes = of_weight = None
        if ctx.needs_input_grad[0]:
            of_spikes = _multiply(flat, weight).view(ctx.shape)
        if ctx.needs_input_grad[1]:
            if dense is not None:
                of_weight = flat.T @ dense.reshape(-1, ctx.shape[-1])
            elif prefers_scatter(ctx.index, flat.shape[1]):
                of_weight = sum_gradients(ctx.index, flat)
            else:
                of_weight = flat.T @ ctx.index.dense()
        return of_spikes, of_weight, None


def _multiply(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b``, in used memory."""
    return torch.mm(a, b, out=empty((a.shape[0], b.shape[1])))


def _refuse_second_derivative() -> None:
    if torch.is_grad_enabled():
        raise RuntimeError(
            "The sparse product has no second derivative. Compute within "
            "hxtorch.snn.functional.reference_numerics()."
        )


def sum_weights(index: SpikeIndex, weight: Tensor) -> Tensor:
    """Sum of the weights (out, in) of the spikes of each row: (rows, out)."""
    return sum_columns(index, transposed(weight), weight.shape[0])


def transposed(weight: Tensor) -> NDArray[np.float32]:
    """Weights (out, in) as the kernels read them: (in, padded(out)), the rest 0, beginning at a cache line."""
    outputs, inputs = weight.shape
    width = padded(outputs)
    memory = np.empty(inputs * width + 15, np.float32)
    first = -memory.ctypes.data % 64 // 4
    columns = memory[first : first + inputs * width].reshape(inputs, width)
    columns[:, outputs:] = 0
    torch.from_numpy(columns)[:, :outputs].copy_(weight.detach().T)
    return columns


def sum_columns(index: SpikeIndex, columns: NDArray[np.float32], outputs: int) -> Tensor:
    """`sum_weights` for transposed weights (in, padded(out))."""
    out = empty((index.rows, outputs))
    array = out.numpy()
    share(
        lambda begin, end: sum_rows(index.start, index.stop, index.columns, columns, array, begin, end),
        index.rows,
        parallel=(index.count + index.rows) * outputs >= PARALLEL_FROM,
    )
    return out


def sum_gradients(index: SpikeIndex, grad: Tensor) -> Tensor:
    """``grad.T @ spikes`` for `grad` (rows, out): (out, in)."""
    outputs = grad.shape[1]
    array = grad.contiguous().numpy()
    parts = empty_parts(index.size, outputs)
    room = parts.numpy()
    share(
        lambda begin, end: scatter_rows(index.start, index.stop, index.columns, array, room, begin, end),
        SHARES,
        parallel=index.count * outputs >= PARALLEL_FROM,
    )
    return add_parts(parts, outputs).T


def empty_parts(inputs: int, outputs: int) -> Tensor:
    """Room for the shares of a gradient, (shares, in, padded(out))."""
    return empty((SHARES, inputs, padded(outputs)))


def add_parts(parts: Tensor, outputs: int) -> Tensor:
    """The sum (in, out) over the shares of a gradient (shares, in, padded(out))."""
    return parts[..., :outputs].sum(0)


def weight_gradient(spikes: Tensor, grad: Tensor) -> Tensor:
    """``grad.T @ spikes`` for `spikes` (..., in) and `grad` (rows, out), from the spikes if that is faster."""
    outputs = grad.shape[1]
    index = index_for(spikes, outputs)
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
