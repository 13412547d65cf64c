"""The neuron equations of `neuron_model`, step by step in plain torch: any device and dtype, any derivative."""

from __future__ import annotations

import torch
from torch import Tensor

from hxtorch.snn.functional.gradients.injection import fit_steps, inject
from hxtorch.snn.functional.gradients.surrogate import threshold as spike_function
from hxtorch.snn.functional.model.neuron_model import Adaptation, Exponential, Firing, Measured, Membrane, States
from hxtorch.snn.functional.model.stepping import exponential_bounds, step_decay, step_gain, step_rate
from hxtorch.snn.parameters.parameter import Value


def integrate_reference(
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
    """Integrate neurons over `input` (T, B, N); arguments as in `integrate`."""
    measured = measured or Measured()
    v_chip = steps_of(measured.membrane, input)
    z_chip = steps_of(measured.spikes, input, repeat_last=False)
    w_chip = steps_of(measured.adaptation, input)

    decay_syn, dt_c = step_decay(membrane.tau_syn, dt, "tau_syn"), step_gain(membrane, dt)
    if adaptation:
        decay_w, rate_w = (step(adaptation.tau, dt, "tau_adap") for step in (step_decay, step_rate))
    if exponential:
        highest, limit = exponential_bounds(exponential, membrane, firing)
        highest = torch.as_tensor(
            highest, dtype=input.dtype, device=input.device
        )  # numbers of numpy and Python alike
    if state is None:
        rest = membrane.leak if membrane.leaky or adaptation else 0.0
        v = torch.zeros_like(input[0]) + rest
        i = w = refractory = torch.zeros_like(v)
    else:
        v, i, w, refractory = state.unbind(0)
    reset = torch.as_tensor(firing.reset, dtype=v.dtype, device=v.device) if firing else v

    membranes, currents, spikes, adaptations = [], [], [], []
    # Indexing input[t] in the loop would make the backward pass quadratic in the number of steps.
    for t, x in enumerate(input.unbind(0)):
        drive = i
        if membrane.leaky:
            drive = drive + _times(membrane.g, membrane.leak - v)
        if exponential:
            slope = exponential.slope
            term = membrane.g * slope * torch.exp((v.clamp(max=highest) - exponential.threshold) / slope)
            if limit is not None:
                room = torch.relu(limit - v)
                term = torch.where(dt_c * term > room, room / dt_c, term)
            drive = drive + term
        if adaptation:
            drive = drive - w
        dv = dt_c * drive

        v = v + dv
        if v_chip:
            v = inject(v, v_chip[t])

        if firing:
            distance = v - firing.threshold
            if firing.threshold_at_spikes and v_chip and z_chip:
                distance = inject(distance, torch.where(z_chip[t] > 0, distance.clamp(min=0), distance))
            z = spike_function(distance, firing.method, firing.alpha)
            if z_chip:
                z = inject(z, z_chip[t])
        if adaptation:
            w = w * decay_w + rate_w * adaptation.subthreshold * (v - membrane.leak)
            if firing:
                w = w + adaptation.increment * z
            if w_chip:
                w = inject(w, w_chip[t])
        if firing:
            if not v_chip:
                v = torch.where(z.bool(), reset, v)
            if firing.refractory_steps is not None:
                clamped = refractory > 0
                v = torch.where(clamped, reset, v)
                if v_chip:
                    v = inject(v, v_chip[t])
                z = torch.where(clamped, 0.0, z)
                if z_chip:
                    z = inject(z, z_chip[t])
                fired = z.detach()
                waiting = torch.relu(refractory - clamped.to(v.dtype))
                refractory = (1 - fired) * waiting + fired * firing.refractory_steps
            spikes.append(z)
            if recurrent is not None:
                x = x + torch.nn.functional.linear(z, recurrent)
        i = i * decay_syn + x

        membranes.append(v)
        currents.append(i)
        adaptations.append(w)

    return States(
        membrane=torch.stack(membranes),
        current=torch.stack(currents),
        spikes=torch.stack(spikes) if firing else None,
        adaptation=torch.stack(adaptations) if adaptation else None,
        last=torch.stack([v, i, w, refractory]),
    )


def steps_of(measured: Tensor | None, input: Tensor, repeat_last: bool = True) -> tuple[Tensor, ...]:
    """Rows of a measured trace, one per time step of the input; nothing if there is no trace."""
    fitted = fit_measured(measured, input, repeat_last)
    return () if fitted is None else fitted.unbind(0)


def fit_measured(measured: Tensor | None, input: Tensor, repeat_last: bool = True) -> Tensor | None:
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
