"""Door to `products.linear` by its old path; the package has a function of the same name."""

from hxtorch.snn.functional.products.linear import (
    batch_dropout,
    linear,
    linear_exponential_clamp,
    linear_later,
    linear_sparse,
    spikes_at_once,
)

__all__ = [
    "batch_dropout",
    "linear",
    "linear_exponential_clamp",
    "linear_later",
    "linear_sparse",
    "spikes_at_once",
]
