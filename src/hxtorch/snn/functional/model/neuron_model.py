r"""What the integrators compute, as data: the parts of the neuron model, measured values, and states.

Current-based leaky integrate-and-fire neurons with optional refractory period, exponential term, adaptation
and recurrent synapses. Forward Euler with step ``dt``; x is the sum of the weighted input spikes, Theta the
Heaviside function:

    dv = dt/c (i + g (leak - v) + g D exp((v - v_T)/D) - w)
    v <- v + dv
    z  = Theta(v - threshold)
    w <- w (1 - dt/tau_w) + dt/tau_w a (v - leak) + b z
    v <- reset where z = 1
    i <- i (1 - dt/tau_syn) + x + R z

The membrane sees the current of the step before: an input at step t moves the membrane first at t + 1, and
so does a spike at step t through the recurrent weights R. The reset carries no gradient. Within the
refractory period the membrane stays at reset and no spike leaves. Values measured on the chip take the place
of v and z as soon as these are computed (`inject`), while gradients pass through the equations.

Two rules keep the step stable (`stepping`). Where a time constant is shorter than the step, forward Euler would
swing up: there 1 - dt/tau becomes exp(-dt/tau), and dt/c becomes (1 - exp(-dt g/c))/g; the state comes to rest
where it did before. And the exponential term sees the potential min(v, peak, v_T + 60 D), where the peak is the
threshold; in one step it carries the membrane no higher than peak + 4 |peak - leak|. Beyond these bounds it has no
slope, and gradients stay finite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from hxtorch.snn.functional.memory.carried import Carried
from hxtorch.snn.parameters.parameter import Value
from hxtorch.snn.shapes import MeasuredSteps, StateRows, TimeBatchNeuron

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
    """Threshold, reset and surrogate gradient; it clamps `refractory_steps` after a spike.

    `method` is a name in `surrogate.SURROGATES`, `alpha` its steepness. With `threshold_at_spikes` the surrogate
    gradient sees the membrane of the chip at the threshold, or above, where the chip spiked: the sample of the
    CADC next to a spike was taken before or after it.
    """

    threshold: Value
    reset: Value
    method: str = "superspike"
    alpha: float = 50.0
    refractory_steps: Value | None = None
    threshold_at_spikes: bool = False


@dataclass(frozen=True)
class Exponential:
    """Spike initiation of the adaptive exponential neuron: `slope` D and `threshold` v_T.

    `peak` bounds the term of neurons that do not fire; of others it is their threshold. Without it, their membrane
    may rise up to where the exponential is e^60.
    """

    slope: Value
    threshold: Value
    peak: Value | None = None


@dataclass(frozen=True)
class Adaptation:
    """Adaptation current: time constant `tau`, subthreshold strength a, spike-triggered increment b."""

    tau: Value
    subthreshold: Value = 0.0
    increment: Value = 0.0


@dataclass(frozen=True)
class Dynamics:
    """The equations of a population: all terms, and the time step `dt`. Without `firing` it does not spike."""

    membrane: Membrane
    firing: Firing | None = None
    exponential: Exponential | None = None
    adaptation: Adaptation | None = None
    dt: float = 1e-6

    @property
    def terms(self) -> tuple[Membrane, Firing | None, Exponential | None, Adaptation | None]:
        """Membrane, firing, exponential term and adaptation."""
        return self.membrane, self.firing, self.exponential, self.adaptation


@dataclass(frozen=True)
class Measured:
    """Values from the chip, or None."""

    membrane: MeasuredSteps | None = None
    spikes: MeasuredSteps | None = None
    adaptation: MeasuredSteps | None = None


class ChipData(Protocol):
    """What a chip recorded of neurons, each (T', B, N) or None."""

    @property
    def spikes(self) -> Tensor | None: ...  # noqa: D102  # as in `Measured`

    @property
    def cadc(self) -> Tensor | None: ...  # noqa: D102  # the membrane


@dataclass(frozen=True)
class States:
    """State at the end of every step. `spikes` and `adaptation` may be None.

    `last` is what `integrate` takes as `state` to go on from here.
    """

    membrane: TimeBatchNeuron
    current: TimeBatchNeuron
    spikes: TimeBatchNeuron | None = None
    adaptation: TimeBatchNeuron | None = None
    last: StateRows | None = None


@dataclass(frozen=True)
class Observed:
    """What neurons show, each (T, B, N): as `States`, on its way to a handle; `last` as there."""

    spikes: Carried | None
    membrane: Carried
    current: Carried
    adaptation: Carried | None = None
    last: StateRows | None = None
