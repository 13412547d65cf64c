"""Penalties that keep a network in the range of the chip. Each returns a scalar to add to a loss."""

from __future__ import annotations

from torch import Tensor


def readout_penalty(scores: Tensor) -> Tensor:
    """Mean square of scores or traces: keeps the readout away from the limits of the CADC."""
    return (scores**2).mean()


def burst_penalty(spikes: Tensor, allowed: float = 0.0) -> Tensor:
    """Mean square of the spikes per neuron and sample beyond `allowed`, for spikes (T, B, N).

    With `allowed` 0 the regulariser of Cramer et al. 2022, which makes activity sparse.
    """
    return ((spikes.sum(0) - allowed).clamp(min=0) ** 2).mean()


def silence_penalty(spikes: Tensor, wanted: float = 0.1) -> Tensor:
    """Mean square of what is missing to `wanted` spikes per neuron, averaged over the batch of (T, B, N)."""
    return ((wanted - spikes.sum(0).mean(0)).clamp(min=0) ** 2).mean()


def weight_penalty(weight: Tensor, exponent: float = 2.0) -> Tensor:
    """Mean of ``|weight| ** exponent``."""
    return (weight.abs() ** exponent).mean()
