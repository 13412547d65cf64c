"""The one integrator of all neurons: fused kernels where they apply, the reference elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from hxtorch.snn.functional.contexts.mode import autocasts, fused_applies
from hxtorch.snn.functional.contexts.resumption import current_session
from hxtorch.snn.functional.gradients.surrogate import check_alpha, surrogate
from hxtorch.snn.functional.integrators.fused import integrate_fused, observe_fused
from hxtorch.snn.functional.integrators.reference import integrate_step_by_step
from hxtorch.snn.functional.memory.carried import Carried, carried
from hxtorch.snn.functional.memory.spikes import CarriedSpikes
from hxtorch.snn.functional.model.neuron_model import (
    Adaptation,
    ChipData,
    Dynamics,
    Exponential,
    Firing,
    Measured,
    Membrane,
    Observed,
    States,
)
from hxtorch.snn.shapes import RecurrentWeights, StateRows, TimeBatchNeuron


def integrate(
    input: TimeBatchNeuron,
    membrane: Membrane,
    firing: Firing | None = None,
    exponential: Exponential | None = None,
    adaptation: Adaptation | None = None,
    measured: Measured | None = None,
    dt: float = 1e-6,
    *,
    recurrent: RecurrentWeights | None = None,
    state: StateRows | None = None,
) -> States:
    """Integrate neurons over the weighted input spikes `input` (T, B, N); equations in `neuron_model`.

    Without `firing` the neurons do not spike. Values of `measured` replace those of the model; a measured
    membrane has been reset on the chip, so it is not reset again. `recurrent` (N, N) are the weights of synapses
    among the neurons, [to, from]; they add to the input of the step of the spike. `state` (4, B, N) continues from
    `States.last`; without it neurons start at rest.

    float32 on the CPU is computed by fused kernels, forward and backward; everything else, and everything
    within `reference_numerics`, in plain torch. Within autocast states are float32 too. Wrong shapes: ValueError.
    """
    dynamics = Dynamics(membrane, firing, exponential, adaptation, dt)
    return _integrate(input, dynamics, measured, recurrent, state)


def _integrate(
    input: TimeBatchNeuron,
    dynamics: Dynamics,
    measured: Measured | None,
    recurrent: RecurrentWeights | None,
    state: StateRows | None = None,
) -> States:
    _check(input.shape, dynamics.firing, recurrent, state)
    session = current_session() if state is None else None
    if session is not None:
        state = session.state
    if autocasts(input):
        with torch.autocast(input.device.type, enabled=False):
            input = input.to(torch.promote_types(input.dtype, torch.float32))
            states = _states(input, dynamics, measured, recurrent, state)
    else:
        states = _states(input, dynamics, measured, recurrent, state)
    if session is not None:
        session.keep(states.last)
    return states


def _states(
    input: TimeBatchNeuron,
    dynamics: Dynamics,
    measured: Measured | None,
    recurrent: RecurrentWeights | None,
    state: StateRows | None,
) -> States:
    if input.numel() and fused_applies(input):
        return integrate_fused(input, dynamics, measured, recurrent=recurrent, state=state)
    return integrate_step_by_step(input, dynamics, measured, recurrent=recurrent, state=state)


def observe(
    input: Tensor | Carried,
    dynamics: Dynamics,
    measured: Measured | ChipData | None = None,
    *,
    recurrent: RecurrentWeights | None = None,
    state: StateRows | None = None,
) -> Observed:
    """As `integrate`, for modules: what they hand to each other, of which most may never be read.

    `measured` may be the processed data of the chip as modules get them.
    """
    if measured is not None and not isinstance(measured, Measured):
        measured = Measured(measured.cadc, measured.spikes)
    source = carried(input)
    at_once = current_session() is None and not torch.compiler.is_compiling()
    if source.like.numel() and fused_applies(source.like) and at_once:
        _check(source.shape, dynamics.firing, recurrent, state)
        return observe_fused(source, dynamics, measured, recurrent=recurrent, state=state)
    states = _integrate(source.values(), dynamics, measured, recurrent, state)
    return Observed(
        None if states.spikes is None else CarriedSpikes(states.spikes),
        Carried(states.membrane),
        Carried(states.current),
        None if states.adaptation is None else Carried(states.adaptation),
        states.last,
    )


def _check(
    shape: torch.Size, firing: Firing | None, recurrent: RecurrentWeights | None, state: StateRows | None
) -> None:
    if len(shape) != 3:
        raise ValueError(f"The input has shape {tuple(shape)}, expected (time, batch, neuron).")
    if firing is not None:
        surrogate(firing.method)
        check_alpha(firing.alpha)
    size = shape[2]
    if recurrent is not None and recurrent.shape != (size, size):
        raise ValueError(f"The recurrent weights have shape {tuple(recurrent.shape)}, expected ({size}, {size}).")
    if recurrent is not None and firing is None:
        raise ValueError("Recurrent weights need neurons that fire: give `firing`.")
    if state is not None and state.shape != (4, *shape[1:]):
        raise ValueError(
            f"The state has shape {tuple(state.shape)}, expected {(4, *shape[1:])}, as `States.last` has."
        )
