"""What a layer of leaky integrators tells the spikes in front of it, for EventProp: to come earlier or later."""

from __future__ import annotations

from typing import Any

import torch

from hxtorch.snn.functional.contexts.resumption import needs_all_steps
from hxtorch.snn.shapes import EventPropChannels, TimeBatchNeuron


class EventPropReadoutFunction(torch.autograd.Function):
    """Input of leaky integrators from an `EventPropSynapse`: ``apply(input, dt)``.

    Takes the weighted spikes (T, B, N) out of `input` (2, T, B, N). Back goes the gradient of the weighted
    spikes for the weights, and its negative derivative with respect to time for the spikes in front: with
    ``g[k]`` the gradient of an input at step k, an input that comes a step later changes the loss by
    ``g[k + 1] - g[k]``. That is ``lambda_v - lambda_i`` of the adjoint equations of an integrator (Wunderlich and
    Pehle 2021), here as a central difference over `dt` in seconds.
    """

    @staticmethod
    def forward(ctx: Any, input: EventPropChannels, dt: float) -> TimeBatchNeuron:
        """The weighted spikes."""
        needs_all_steps("EventPropReadoutFunction")
        ctx.dt = dt
        return input[0].clone()

    @staticmethod
    def backward(ctx: Any, *grads: TimeBatchNeuron) -> tuple[EventPropChannels, None]:
        """The gradient, and how it falls with time, one-sided at both ends."""
        (grad,) = grads
        fall = torch.zeros_like(grad)
        if len(grad) > 1:
            fall = -torch.gradient(grad, spacing=ctx.dt, dim=0)[0]
        return torch.stack([grad, fall]), None
