r"""The neuron equations, integrated step by step in plain torch.

Current-based leaky integrate-and-fire neurons with optional refractory period, exponential term and
adaptation. Forward Euler with step ``dt``; x is the sum of the weighted input spikes, Theta the Heaviside
function:

    dv = dt/c (i + g (leak - v) + g D exp((v - v_T)/D) - w)
    i <- i (1 - dt/tau_syn) + x
    v <- v + dv
    z  = Theta(v - threshold)
    w <- w (1 - dt/tau_w) + dt/tau_w a (v - leak) + b z
    v <- reset where z = 1

The membrane sees the current of the step before: an input at step t moves the membrane first at t + 1. The
reset carries no gradient. Values measured on the chip take the place of v and z as soon as these are computed
(`inject`), while gradients pass through the equations.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hxtorch.snn.functional.injection import fit_steps, inject
from hxtorch.snn.functional.surrogate import threshold as spike_function
from hxtorch.snn.parameter import Value

# All values are numbers or tensors that broadcast against (B, N); times are in seconds.


@dataclass(frozen=True)
class Membrane:
    """Leak and synaptic current. `g` is the leak conductance c/tau_mem; without `leaky` there is none."""

    leak: Value
    tau_syn: Value
    c: Value
    g: Value = 1.0
    leaky: bool = True


@dataclass(frozen=True)
class Firing:
    """Threshold, reset and surrogate gradient; it clamps `refractory_steps` after a spike."""

    threshold: Value
    reset: Value
    method: str = "superspike"
    alpha: float = 50.0
    refractory_steps: Value | None = None


@dataclass(frozen=True)
class Exponential:
    """Spike initiation of the adaptive exponential neuron: `slope` D and `threshold` v_T."""

    slope: Value
    threshold: Value


@dataclass(frozen=True)
class Adaptation:
    """Adaptation current: time constant `tau`, subthreshold strength a, spike-triggered increment b."""

    tau: Value
    subthreshold: Value = 0.0
    increment: Value = 0.0


@dataclass(frozen=True)
class Measured:
    """Values from the chip, each (T', B, N) or None."""

    membrane: Tensor | None = None
    spikes: Tensor | None = None
    adaptation: Tensor | None = None


@dataclass(frozen=True)
class States:
    """State at the end of every step, each (T, B, N). `spikes` and `adaptation` may be None."""

    membrane: Tensor
    current: Tensor
    spikes: Tensor | None = None
    adaptation: Tensor | None = None


def integrate(
    input: Tensor,
    membrane: Membrane,
    firing: Firing | None = None,
    exponential: Exponential | None = None,
    adaptation: Adaptation | None = None,
    measured: Measured | None = None,
    dt: float = 1e-6,
) -> States:
    """Integrate neurons over the weighted input spikes `input` (T, B, N).

    Without `firing` the neurons do not spike. Values of `measured` replace those of the model; a measured
    membrane has been reset on the chip, so it is not reset again.
    """
    measured = measured or Measured()
    v_chip = _steps_of(measured.membrane, input)
    z_chip = _steps_of(measured.spikes, input, repeat_last=False)
    w_chip = _steps_of(measured.adaptation, input)

    decay_syn = 1 - dt / membrane.tau_syn
    dt_c = dt / membrane.c
    rest = membrane.leak if membrane.leaky or adaptation else 0.0
    v = torch.zeros_like(input[0]) + rest
    i = torch.zeros_like(v)
    w = torch.zeros_like(v)
    refractory = torch.zeros_like(v)
    reset = torch.as_tensor(firing.reset).to(v) if firing else v

    membranes, currents, spikes, adaptations = [], [], [], []
    # Indexing input[t] in the loop would make the backward pass quadratic in the number of steps.
    for t, x in enumerate(input.unbind(0)):
        drive = i
        if membrane.leaky:
            drive = drive + _times(membrane.g, membrane.leak - v)
        if exponential:
            slope = exponential.slope
            drive = drive + membrane.g * slope * torch.exp((v - exponential.threshold) / slope)
        if adaptation:
            drive = drive - w
        dv = dt_c * drive

        i = i * decay_syn + x
        v = v + dv
        if v_chip:
            v = inject(v, v_chip[t])

        if firing:
            z = spike_function(v - firing.threshold, firing.method, firing.alpha)
            if z_chip:
                z = inject(z, z_chip[t])
        if adaptation:
            decay = dt / adaptation.tau
            w = w * (1 - decay) + decay * adaptation.subthreshold * (v - membrane.leak)
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

        membranes.append(v)
        currents.append(i)
        adaptations.append(w)

    return States(
        membrane=torch.stack(membranes),
        current=torch.stack(currents),
        spikes=torch.stack(spikes) if firing else None,
        adaptation=torch.stack(adaptations) if adaptation else None,
    )


def _steps_of(measured: Tensor | None, input: Tensor, repeat_last: bool = True) -> tuple[Tensor, ...]:
    """Rows of a measured trace, one per time step of the input; nothing if there is no trace."""
    if measured is None:
        return ()
    if measured.shape[1:] != input.shape[1:]:
        raise ValueError(
            f"The data of the chip has shape {tuple(measured.shape)}, "
            f"but the input has {tuple(input.shape)} (time, batch, neuron)."
        )
    return fit_steps(measured, input, repeat_last).unbind(0)


def _times(factor: Value, value: Tensor) -> Tensor:
    return value if isinstance(factor, (int, float)) and factor == 1 else factor * value
