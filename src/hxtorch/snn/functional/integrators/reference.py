"""The neuron equations of `neuron_model`, step by step in plain torch: any device and dtype, any derivative."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hxtorch.snn.functional.gradients.injection import fit_steps, inject
from hxtorch.snn.functional.gradients.surrogate import threshold as spike_function
from hxtorch.snn.functional.model.neuron_model import (
    Adaptation,
    Dynamics,
    Exponential,
    Firing,
    Measured,
    Membrane,
    States,
)
from hxtorch.snn.functional.model.stepping import exponential_bounds, step_decay, step_gain, step_rate
from hxtorch.snn.parameters.parameter import Value
from hxtorch.snn.shapes import BatchNeuron, MeasuredSteps, RecurrentWeights, StateRows, TimeBatchNeuron


def integrate_reference(
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
    """Integrate neurons over `input` (T, B, N); arguments as in `integrate`."""
    dynamics = Dynamics(membrane, firing, exponential, adaptation, dt)
    return integrate_step_by_step(input, dynamics, measured, recurrent=recurrent, state=state)


def integrate_step_by_step(
    input: TimeBatchNeuron,
    dynamics: Dynamics,
    measured: Measured | None = None,
    *,
    recurrent: RecurrentWeights | None = None,
    state: StateRows | None = None,
) -> States:
    """As `integrate_reference`, for `dynamics`."""
    measured = measured or Measured()
    v_chip = steps_of(measured.membrane, input)
    z_chip = steps_of(measured.spikes, input, repeat_last=False)
    w_chip = steps_of(measured.adaptation, input)
    factors = _factors(dynamics, input)
    now = _start(dynamics, input) if state is None else _State(*state.unbind(0))
    firing = dynamics.firing
    reset = torch.as_tensor(firing.reset, dtype=now.v.dtype, device=now.v.device) if firing else None
    steps: list[_State] = []
    spikes: list[Tensor] = []
    # Indexing input[t] in the loop would make the backward pass quadratic in the number of steps.
    for t, x in enumerate(input.unbind(0)):
        chip = _ChipRow(*(rows[t] if rows else None for rows in (v_chip, z_chip, w_chip)))
        now, z = _move(now, dynamics, factors, reset, chip)
        if z is not None:
            spikes.append(z)
            if recurrent is not None:
                x = x + torch.nn.functional.linear(z, recurrent)
        now = now._replace(i=now.i * factors.decay_syn + x)
        steps.append(now)
    return States(
        membrane=torch.stack([step.v for step in steps]),
        current=torch.stack([step.i for step in steps]),
        spikes=torch.stack(spikes) if dynamics.firing else None,
        adaptation=torch.stack([step.w for step in steps]) if dynamics.adaptation else None,
        last=torch.stack(list(now)),
    )


class _State(NamedTuple):
    """Membrane, current, adaptation and remaining refractory steps."""

    v: BatchNeuron
    i: BatchNeuron
    w: BatchNeuron
    refractory: BatchNeuron


class _ChipRow(NamedTuple):
    """What the chip measured in a step: membrane, spikes and adaptation, or None."""

    v: BatchNeuron | None
    z: BatchNeuron | None
    w: BatchNeuron | None


class _Factors(NamedTuple):
    """What is the same in every step; those of terms that are not there are 0, or None."""

    decay_syn: Value
    gain: Value
    decay_w: Value
    rate_w: Value
    highest: Tensor | None  # potential within the exponential
    limit: Value | None  # to which the exponential carries the membrane


def _factors(dynamics: Dynamics, input: TimeBatchNeuron) -> _Factors:
    membrane, firing, exponential, adaptation = dynamics.terms
    dt = dynamics.dt
    decay_syn, gain = step_decay(membrane.tau_syn, dt, "tau_syn"), step_gain(membrane, dt)
    decay_w: Value = 0.0
    rate_w: Value = 0.0
    if adaptation:
        decay_w, rate_w = (step(adaptation.tau, dt, "tau_adap") for step in (step_decay, step_rate))
    highest = limit = None
    if exponential:
        bound, limit = exponential_bounds(exponential, membrane, firing)
        # numbers of numpy and Python alike
        highest = torch.as_tensor(bound, dtype=input.dtype, device=input.device)
    return _Factors(decay_syn, gain, decay_w, rate_w, highest, limit)


def _start(dynamics: Dynamics, input: TimeBatchNeuron) -> _State:
    """The state at rest."""
    membrane = dynamics.membrane
    v = torch.zeros_like(input[0]) + (membrane.leak if membrane.leaky or dynamics.adaptation else 0.0)
    nothing = torch.zeros_like(v)
    return _State(v, nothing, nothing, nothing)


def _move(
    now: _State, dynamics: Dynamics, factors: _Factors, reset: Tensor | None, chip: _ChipRow
) -> tuple[_State, BatchNeuron | None]:
    """One step of all states but the current, which waits for the spikes of others, and the spikes."""
    firing, adaptation = dynamics.firing, dynamics.adaptation
    v = now.v + factors.gain * _drive(now, dynamics, factors)
    if chip.v is not None:
        v = inject(v, chip.v)
    z = None if firing is None else _spikes(v, firing, chip)
    w = now.w
    if adaptation:
        w = w * factors.decay_w + factors.rate_w * adaptation.subthreshold * (v - dynamics.membrane.leak)
        if z is not None:
            w = w + adaptation.increment * z
        if chip.w is not None:
            w = inject(w, chip.w)
    refractory = now.refractory
    if firing is not None and z is not None and reset is not None:
        if chip.v is None:
            v = torch.where(z.bool(), reset, v)
        if firing.refractory_steps is not None:
            v, z, refractory = _wait(v, z, refractory, reset, firing.refractory_steps, chip)
    return _State(v, now.i, w, refractory), z


def _drive(now: _State, dynamics: Dynamics, factors: _Factors) -> BatchNeuron:
    """What moves the membrane in a step: c dv/dt."""
    membrane, _, exponential, adaptation = dynamics.terms
    v, drive = now.v, now.i
    if membrane.leaky:
        drive = drive + _times(membrane.g, membrane.leak - v)
    if exponential:
        slope = exponential.slope
        term = membrane.g * slope * torch.exp((v.clamp(max=factors.highest) - exponential.threshold) / slope)
        if factors.limit is not None:
            room = torch.relu(factors.limit - v)
            term = torch.where(factors.gain * term > room, room / factors.gain, term)
        drive = drive + term
    if adaptation:
        drive = drive - now.w
    return drive


def _spikes(v: BatchNeuron, firing: Firing, chip: _ChipRow) -> BatchNeuron:
    """Spikes with their surrogate gradient; those of the chip in their place."""
    distance = v - firing.threshold
    if firing.threshold_at_spikes and chip.v is not None and chip.z is not None:
        distance = inject(distance, torch.where(chip.z > 0, distance.clamp(min=0), distance))
    z = spike_function(distance, firing.method, firing.alpha)
    return z if chip.z is None else inject(z, chip.z)


def _wait(
    v: BatchNeuron, z: BatchNeuron, refractory: BatchNeuron, reset: Tensor, refractory_steps: Value, chip: _ChipRow
) -> tuple[BatchNeuron, BatchNeuron, BatchNeuron]:
    """Membrane, spikes and remaining steps with the refractory period."""
    clamped = refractory > 0
    v = torch.where(clamped, reset, v)
    if chip.v is not None:
        v = inject(v, chip.v)
    z = torch.where(clamped, 0.0, z)
    if chip.z is not None:
        z = inject(z, chip.z)
    fired = z.detach()
    waiting = torch.relu(refractory - clamped.to(v.dtype))
    return v, z, (1 - fired) * waiting + fired * refractory_steps


def steps_of(
    measured: MeasuredSteps | None, input: TimeBatchNeuron, repeat_last: bool = True
) -> tuple[BatchNeuron, ...]:
    """Rows of a measured trace, one per time step of the input; nothing if there is no trace."""
    fitted = fit_measured(measured, input, repeat_last)
    return () if fitted is None else fitted.unbind(0)


def fit_measured(
    measured: Tensor | None, input: TimeBatchNeuron, repeat_last: bool = True
) -> TimeBatchNeuron | None:
    """A measured trace with the time steps of the input. Another batch or size: ValueError."""
    if measured is None:
        return None
    if measured.shape[1:] != input.shape[1:]:
        raise ValueError(
            f"The data of the chip has shape {tuple(measured.shape)}, "
            f"but the input has {tuple(input.shape)} (time, batch, neuron)."
        )
    return fit_steps(measured, input, repeat_last)


def _times(factor: Value, value: Tensor) -> Tensor:
    return value if isinstance(factor, (int, float)) and factor == 1 else factor * value
