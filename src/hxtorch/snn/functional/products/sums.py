"""Sums over spikes by their index: of the weights for a product, of the gradients for the weights.

The order of summation is fixed, whatever the number of threads.
"""

from __future__ import annotations

import numpy as np
import torch

from hxtorch.shapes import ColumnWeights
from hxtorch.snn.functional.kernels.sparse import scatter_rows, sum_rows
from hxtorch.snn.functional.kernels.threads import share
from hxtorch.snn.functional.kernels.tiles import padded
from hxtorch.snn.functional.memory.spikes import SpikeIndex
from hxtorch.snn.functional.memory.workspace import empty
from hxtorch.snn.functional.products import costs
from hxtorch.snn.shapes import ColumnGradients, ColumnShares, Inputs, RowSums, Weights

PARALLEL_FROM = 200_000  # additions
SHARES = 4  # of the rows in a gradient of weights: a constant, for the order of summation


def transposed(weight: Weights) -> ColumnWeights:
    """Weights as the kernels read them: (in, padded(out)), the rest 0, beginning at a cache line."""
    outputs, inputs = weight.shape
    width = padded(outputs)
    memory = np.empty(inputs * width + 15, np.float32)
    first = -memory.ctypes.data % 64 // 4
    columns = memory[first : first + inputs * width].reshape(inputs, width)
    columns[:, outputs:] = 0
    torch.from_numpy(columns)[:, :outputs].copy_(weight.detach().T)
    return columns


def sum_weights(index: SpikeIndex, weight: Weights) -> RowSums:
    """Sum of the weights of the spikes of each row."""
    return sum_columns(index, transposed(weight), weight.shape[0])


def sum_columns(index: SpikeIndex, columns: ColumnWeights, outputs: int) -> RowSums:
    """`sum_weights` for transposed weights."""
    out = empty((index.rows, outputs))
    array = out.numpy()
    share(
        lambda begin, end: sum_rows(index.start, index.stop, index.columns, columns, array, begin, end),
        index.rows,
        parallel=(index.count + index.rows) * outputs >= PARALLEL_FROM,
    )
    return out


def sum_gradients(index: SpikeIndex, grad: RowSums) -> Weights:
    """``grad.T @ spikes`` for the gradient of each row."""
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


def empty_parts(inputs: int, outputs: int) -> ColumnShares:
    """Room for the shares of a gradient."""
    return empty((SHARES, inputs, padded(outputs)))


def add_parts(parts: ColumnShares, outputs: int) -> ColumnGradients:
    """The sum over the shares of a gradient."""
    return parts[..., :outputs].sum(0)


def weight_gradient(spikes: Inputs, grad: RowSums) -> Weights:
    """``grad.T @ spikes`` for the gradient of each row, from the spikes if that is faster."""
    outputs = grad.shape[1]
    index = costs.index_for(spikes, outputs)
    if index is not None and costs.prefers_scatter(index, outputs):
        return sum_gradients(index, grad)
    return grad.T @ spikes.reshape(-1, spikes.shape[-1])
