"""EventProp: exact gradients of spike times with respect to weights, by adjoint states that jump at spikes.

Wunderlich & Pehle, Event-based backpropagation can compute exact gradients for spiking neural networks,
Scientific Reports 11 (2021). The adjoint equations are stepped on the grid of time steps. Time constants are in
seconds, and so are the gradients: they carry a factor tau_syn.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from hxtorch.snn.functional.contexts.mode import fused_applies
from hxtorch.snn.functional.contexts.resumption import needs_all_steps
from hxtorch.snn.functional.gradients.injection import fit_steps
from hxtorch.snn.functional.integrators.integration import integrate
from hxtorch.snn.functional.kernels.arguments import Adjoint, AdjointParameters, Events
from hxtorch.snn.functional.kernels.eventprop import adjoint_lanes
from hxtorch.snn.functional.kernels.threads import share
from hxtorch.snn.functional.memory.workspace import empty
from hxtorch.snn.functional.model.neuron_model import Firing, Membrane
from hxtorch.snn.functional.model.stepping import step_rate
from hxtorch.snn.functional.products.linear import linear
from hxtorch.snn.parameters.parameter import Value
from hxtorch.snn.shapes import BatchNeuron, Inputs, TimeBatchNeuron, Weights


class EventPropSynapseFunction(torch.autograd.Function):
    """Synapses in front of `EventPropLIFFunction`: `apply(input, weight, None)`."""

    @staticmethod
    def forward(ctx: Any, input: Inputs, weight: Weights, _: None = None) -> Tensor:
        """Weighted spikes (T, B, out) and a channel of zeros that takes the adjoint back: (2, T, B, out)."""
        ctx.save_for_backward(input, weight)
        weighted = linear(input, weight)
        return torch.stack([weighted, torch.zeros_like(weighted)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """The second channel to the input, the first one to the weights."""
        input, weight = ctx.saved_tensors
        (grad,) = grads
        of_input = grad[1] @ weight if ctx.needs_input_grad[0] else None
        of_weight = None
        if ctx.needs_input_grad[1]:
            of_weight = grad[0].flatten(0, 1).T @ input.flatten(0, 1).to(grad.dtype)
        return of_input, of_weight, None


class EventPropLIFFunction(torch.autograd.Function):
    """Leaky integrate-and-fire neurons with the gradient of EventProp.

    ``apply(input, leak, reset, threshold, tau_syn, tau_mem, hw_data, dt, smallest_slope)`` with `input`
    (2, T, B, N) of `EventPropSynapseFunction` gives spikes, membrane and current, each (T, B, N). The membrane
    of a step is moved by the current of the same row. `hw_data` (spikes, membrane) of the chip takes the place
    of both; the current is None then. Only the spikes pass gradients on, and only to `input`.

    The gradient of the time of a spike is inverse to the slope of the membrane at the threshold, tau_mem dv/dt =
    leak - threshold + current: a spike that hardly came decides the gradient of a batch. And where noise made a
    neuron of the chip spike, the slope of the model may be below 0, and the sign wrong. With `smallest_slope`,
    in units of threshold - leak, the slope counts as no less than that; None leaves it as it is.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        leak: Value,
        reset: Value,
        threshold: Value,
        tau_syn: Value,
        tau_mem: Value,
        hw_data: Any = None,
        dt: float = 1e-6,
        smallest_slope: float | None = None,
    ) -> tuple[TimeBatchNeuron, TimeBatchNeuron | None, TimeBatchNeuron | None]:
        """Spikes, membrane, current."""
        needs_all_steps("EventPropLIFFunction")
        if input.ndim != 4 or input.shape[0] != 2:
            raise ValueError(
                f"The input has shape {tuple(input.shape)}, "
                "expected (2, time, batch, neuron) of an EventPropSynapse."
            )
        if not isinstance(tau_syn, Tensor) and tau_syn == math.inf:
            raise ValueError("tau_syn is inf, but EventProp needs a finite one: the gradient is in units of it.")
        x = input[0]
        spikes, membrane = hw_data[:2] if hw_data is not None else (None, None)
        firing = Firing(threshold, reset)
        states = integrate(x, Membrane(leak, tau_syn, tau_mem), firing, dt=dt)
        # One row later than in `integrate`, where a row holds the current after the step's input.
        current: Tensor | None = torch.cat([torch.zeros_like(x[:1]), states.current[:-1]])
        ctx.parameters = (leak, reset, threshold, tau_syn, tau_mem, dt, smallest_slope)
        if spikes is not None:
            spikes = fit_steps(spikes, x, repeat_last=False)
            membrane = None if membrane is None else fit_steps(membrane, x)
            ctx.save_for_backward(spikes, current)
            current = None
        else:
            assert states.spikes is not None
            spikes, membrane = states.spikes, states.membrane
            ctx.save_for_backward(spikes, current)
        ctx.mark_non_differentiable(*(item for item in (membrane, current) if item is not None))
        return spikes, membrane, current

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradient (2, T, B, N) of the input: (tau_syn lambda_i, lambda_v - lambda_i)."""
        spikes, current = ctx.saved_tensors
        grad = grads[0]
        if grad is None:
            return (None,) * 9
        with torch.no_grad():
            lambda_v, lambda_i = adjoint(spikes, current, grad, *ctx.parameters)
            of_input = torch.stack([ctx.parameters[3] * lambda_i, lambda_v - lambda_i])
        return of_input, *(None,) * 8


def adjoint(
    spikes: TimeBatchNeuron,
    current: TimeBatchNeuron,
    grad: TimeBatchNeuron,
    leak: Value,
    reset: Value,
    threshold: Value,
    tau_syn: Value,
    tau_mem: Value,
    dt: float,
    smallest_slope: float | None = None,
) -> tuple[TimeBatchNeuron, TimeBatchNeuron]:
    """Adjoint states of membrane and current for the gradient `grad` of the spikes."""
    floor = -math.inf if smallest_slope is None else smallest_slope * (threshold - leak)
    rates = step_rate(tau_syn, dt, "tau_syn"), step_rate(tau_mem, dt, "tau_mem")
    values = [leak, reset, threshold, *rates, floor]
    parameters = [
        torch.as_tensor(value, dtype=grad.dtype, device=grad.device).expand(grad.shape[1:]) for value in values
    ]
    if not fused_applies(spikes, current, grad):
        return _adjoint_reference(spikes, current, grad, parameters)
    steps, lanes = grad.shape[0], grad[0].numel()
    lambda_v, lambda_i = empty(tuple(grad.shape)), empty(tuple(grad.shape))
    events = Events(*(item.contiguous().numpy().reshape(steps, lanes) for item in (spikes, current, grad)))
    per_lane = AdjointParameters(*(item.reshape(-1).numpy() for item in parameters))
    found = Adjoint(*(item.numpy().reshape(steps, lanes) for item in (lambda_v, lambda_i)))
    share(
        lambda begin, end: adjoint_lanes(events, per_lane, found, begin, end),
        lanes,
        parallel=steps * lanes >= 60_000,
        multiple=16,
    )
    return lambda_v, lambda_i


def _adjoint_reference(
    spikes: TimeBatchNeuron, current: TimeBatchNeuron, grad: TimeBatchNeuron, parameters: list[BatchNeuron]
) -> tuple[TimeBatchNeuron, TimeBatchNeuron]:
    leak, reset, threshold, rate_syn, rate_mem, floor = parameters
    v = i = torch.zeros_like(grad[0])
    rows_v, rows_i = [v], [i]
    for k in range(grad.shape[0] - 1, 0, -1):
        before = torch.maximum(leak - threshold + current[k - 1], floor)
        out = torch.nan_to_num(spikes[k] / before * grad[k], 0.0, 0.0, 0.0)
        jump = torch.nan_to_num(spikes[k] * (leak - reset + current[k - 1]) / before, 0.0, 0.0, 0.0)
        i = i + rate_syn * (v - i)
        v = v * (1 - rate_mem)
        v = (1 - spikes[k]) * v + jump * v + out
        rows_v.append(v)
        rows_i.append(i)
    return torch.stack(rows_v[::-1]), torch.stack(rows_i[::-1])
