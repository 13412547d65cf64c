"""Synaptic sums: products of spikes and weights, and their gradients, by matrices or by lists of spikes."""

from hxtorch.snn.functional.products.costs import (
    COSTS,
    Costs,
    index_for,
    prefers_index,
    prefers_scatter,
    prefers_sum,
)
from hxtorch.snn.functional.products.dense import dense_linear, integer_linear, own
from hxtorch.snn.functional.products.spike_linear import SMALL, Product, note_of_weight, project, spike_linear
from hxtorch.snn.functional.products.sums import (
    PARALLEL_FROM,
    SHARES,
    add_parts,
    empty_parts,
    sum_columns,
    sum_gradients,
    sum_weights,
    transposed,
    weight_gradient,
)

__all__ = [
    "COSTS",
    "PARALLEL_FROM",
    "SHARES",
    "SMALL",
    "Costs",
    "Product",
    "add_parts",
    "dense_linear",
    "empty_parts",
    "index_for",
    "integer_linear",
    "note_of_weight",
    "own",
    "prefers_index",
    "prefers_scatter",
    "prefers_sum",
    "project",
    "spike_linear",
    "sum_columns",
    "sum_gradients",
    "sum_weights",
    "transposed",
    "weight_gradient",
]
