"""Putting measured values into the model: the value comes from the chip, the gradient goes to the model."""

from __future__ import annotations

from typing import Any

import torch

from hxtorch.snn.shapes import Like, OtherSteps, Steps


class Injection(torch.autograd.Function):
    """Forward returns `measured`, backward passes the gradient to `model` alone."""

    @staticmethod
    def forward(ctx: Any, model: Like, measured: Like) -> Like:
        """`measured`, of the same shape as `model`."""
        return measured.view_as(measured)

    @staticmethod
    def backward(ctx: Any, *grads: Like) -> tuple[Like, None]:
        """The gradient, unchanged, to `model`."""
        return grads[0], None


def inject(model: Like, measured: Like) -> Like:
    """Value of `measured`, gradient of `model`; both have the same shape."""
    return Injection.apply(model, measured)  # type: ignore[no-any-return, no-untyped-call]


def fit_steps(measured: OtherSteps, like: Steps, repeat_last: bool = True) -> Steps:
    """`measured` with exactly the time steps, the dtype and the device of `like`.

    Later rows are cut. Missing rows repeat the last one, or are zero if `repeat_last` is false (spikes).
    """
    steps = like.shape[0]
    measured = measured[:steps].to(like)
    missing = steps - measured.shape[0]
    if missing > 0:
        row = measured[-1:] if repeat_last else torch.zeros_like(measured[-1:])
        measured = torch.cat([measured, row.expand(missing, *row.shape[1:])])
    return measured


def input_neuron(input: Steps, hw_data: OtherSteps | None = None) -> Steps:
    """The input spikes, or the recorded spikes `hw_data` in their place (rows cut to T)."""
    if hw_data is None:
        return input
    return inject(input, fit_steps(hw_data, input, repeat_last=False))
