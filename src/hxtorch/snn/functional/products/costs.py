"""Whether spikes are summed or multiplied: what both would take, by a fixed model of costs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hxtorch.snn.functional.memory.spikes import CarriedSpikes, SpikeIndex, index_of


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
