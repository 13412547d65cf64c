"""Synaptic products that use what spikes are: few, and 0 or 1.

`spike_linear` sums the weights of the spikes instead of multiplying by all inputs, where that is faster, and
gives what the dense product gives, but for the order of summation. The gradient of the weights is summed from
the spikes in the same way; the gradient of the spikes is a dense product, because every silent neuron has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxtorch.snn.functional.kernels.sparse import scatter_rows, sum_rows
from hxtorch.snn.functional.kernels.tiles import padded
from hxtorch.snn.functional.later import Later, Postponed
from hxtorch.snn.functional.spikes import SpikeIndex, has_index, index_of
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


def prefers_index(spikes: Tensor, outputs: int) -> bool:
    """Whether looking for spikes can pay: it cannot for small products."""
    if has_index(spikes):
        return True
    inputs = spikes.shape[-1]
    rows = spikes.numel() // inputs
    return COSTS.of_dense(rows, inputs, outputs) > COSTS.of_index(rows, inputs) + COSTS.of_sum(rows, outputs, 0)


def prefers_sum(index: SpikeIndex, outputs: int) -> bool:
    """Whether the sum over spikes is faster than the dense product."""
    return COSTS.of_sum(index.rows, outputs, index.count) < COSTS.of_dense(index.rows, index.size, outputs)


def prefers_scatter(index: SpikeIndex, outputs: int) -> bool:
    """Whether the gradient of weights is faster from the spikes than by the dense product."""
    return COSTS.of_scatter(index.size, outputs, index.count) < COSTS.of_gradient(index.rows, index.size, outputs)


def spike_linear(spikes: Tensor, weight: Tensor) -> Tensor:
    """``spikes @ weight.T`` for float32 on the CPU: (..., in) and (out, in) give (..., out)."""
    outputs = weight.shape[0]
    index = index_of(spikes) if prefers_index(spikes, outputs) else None
    if index is not None and not (prefers_sum(index, outputs) or prefers_scatter(index, outputs)):
        index = None
    if index is None and max(spikes.numel(), spikes.numel() // spikes.shape[-1] * outputs) < SMALL:
        return torch.nn.functional.linear(spikes, weight)
    return _SpikeLinear.apply(spikes, weight, index)  # type: ignore[no-any-return, no-untyped-call]


class _Columns:
    """Transposed weights, as they were when they were first asked for."""

    def __init__(self, weight: Tensor) -> None:
        self._weight = weight

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """The weights (in, padded(out))."""
        return transposed(self._weight)


class Product(Later):
    """The product of spikes (T, B, in) and weights (out, in), computed when it is asked for.

    Neurons that read it can sum the weights themselves while they integrate, so that it is never in memory.
    """

    def __init__(self, spikes: Tensor, weight: Tensor, index: SpikeIndex) -> None:
        self.spikes, self.weight, self.index = spikes, weight, index
        self.shape = shape = (*spikes.shape[:-1], weight.shape[0])
        self._columns = columns = _Columns(weight)

        def compute() -> tuple[Tensor]:
            return (_SpikeLinear.apply(spikes, weight, index),)  # type: ignore[no-untyped-call]

        def values() -> tuple[Tensor]:
            return (sum_columns(index, columns.values, shape[-1]).view(shape),)

        super().__init__(Postponed((spikes, weight), compute, values))

    @property
    def like(self) -> Tensor:
        """The weights, which have the dtype and the device of the product."""
        return self.weight

    @property
    def columns(self) -> NDArray[np.float32]:
        """The weights (in, padded(out)) as they were when neurons first read them."""
        return self._columns.values

    @property
    def fuses(self) -> bool:
        """Whether neurons should sum the weights themselves: not if the product is there already."""
        return not self.source.done


def postponed_linear(spikes: Tensor, weight: Tensor) -> Tensor | Product:
    """`spike_linear` for neurons to come: a `Product` where these can sum the weights of few spikes themselves."""
    outputs = weight.shape[0]
    if spikes.ndim == 3 and spikes.shape[1] >= SHARES and prefers_index(spikes, outputs):
        index = index_of(spikes)
        trained = weight.requires_grad and torch.is_grad_enabled()
        if index is not None and prefers_sum(index, outputs) and (not trained or prefers_scatter(index, outputs)):
            return Product(spikes, weight, index)
    return spike_linear(spikes, weight)


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
