"""The one integrator of all neurons: fused kernels where they apply, the reference elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from hxtorch.snn.functional.fused import integrate_fused, observe_fused
from hxtorch.snn.functional.later import Later, now
from hxtorch.snn.functional.mode import fused_applies
from hxtorch.snn.functional.neuron_model import (
    Adaptation,
    Exponential,
    Firing,
    Measured,
    Membrane,
    Observed,
    States,
)
from hxtorch.snn.functional.products import Product
from hxtorch.snn.functional.reference import integrate_reference
from hxtorch.snn.functional.resumption import current_session
from hxtorch.snn.functional.surrogate import check_alpha, surrogate


def integrate(
    input: Tensor,
    membrane: Membrane,
    firing: Firing | None = None,
    exponential: Exponential | None = None,
    adaptation: Adaptation | None = None,
    measured: Measured | None = None,
    dt: float = 1e-6,
    *,
    recurrent: Tensor | None = None,
    state: Tensor | None = None,
) -> States:
    """Integrate neurons over the weighted input spikes `input` (T, B, N); equations in `neuron_model`.

    Without `firing` the neurons do not spike. Values of `measured` replace those of the model; a measured
    membrane has been reset on the chip, so it is not reset again. `recurrent` (N, N) are the weights of synapses
    among the neurons, [to, from]; they add to the input of the step of the spike. `state` (4, B, N) continues from
    `States.last`; without it neurons start at rest.

    float32 on the CPU is computed by fused kernels, forward and backward; everything else, and everything
    within `reference_numerics`, in plain torch. Wrong shapes: ValueError.
    """
    _check(input, firing, recurrent, state)
    integrator = integrate_fused if input.numel() and fused_applies(input) else integrate_reference
    session = current_session() if state is None else None
    if session is not None:
        state = session.state
    states = integrator(
        input, membrane, firing, exponential, adaptation, measured, dt, recurrent=recurrent, state=state
    )
    if session is not None:
        session.keep(states.last)
    return states


def observe(
    input: Tensor | Later,
    membrane: Membrane,
    firing: Firing | None = None,
    exponential: Exponential | None = None,
    adaptation: Adaptation | None = None,
    measured: Measured | None = None,
    dt: float = 1e-6,
    *,
    recurrent: Tensor | None = None,
) -> Observed:
    """As `integrate`, for neurons of which most states may never be read, and a product that may wait."""
    like = input.spikes if isinstance(input, Product) else now(input)
    parts = (membrane, firing, exponential, adaptation, measured, dt)
    at_once = current_session() is None and not torch.compiler.is_compiling()
    if like.numel() and fused_applies(like) and at_once:
        source = input if isinstance(input, Product) else like
        _check(source, firing, recurrent, None)
        return observe_fused(source, *parts, recurrent=recurrent)
    states = integrate(now(input), *parts, recurrent=recurrent)
    return Observed(states.spikes, states.membrane, states.current, states.adaptation)


def _check(input: Tensor | Product, firing: Firing | None, recurrent: Tensor | None, state: Tensor | None) -> None:
    if len(input.shape) != 3:
        raise ValueError(f"The input has shape {tuple(input.shape)}, expected (time, batch, neuron).")
    if firing is not None:
        surrogate(firing.method)
        check_alpha(firing.alpha)
    size = input.shape[2]
    if recurrent is not None and recurrent.shape != (size, size):
        raise ValueError(f"The recurrent weights have shape {tuple(recurrent.shape)}, expected ({size}, {size}).")
    if recurrent is not None and firing is None:
        raise ValueError("Recurrent weights need neurons that fire: give `firing`.")
    if state is not None and state.shape != (4, *input.shape[1:]):
        raise ValueError(
            f"The state has shape {tuple(state.shape)}, expected {(4, *input.shape[1:])}, as `States.last` has."
        )
