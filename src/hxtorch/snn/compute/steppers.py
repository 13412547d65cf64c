"""Populations in a loop, computed one time step after the other through their `forward_func`.

A `forward_func` takes all time steps at once and starts from rest. Most of them integrate with the functions
of this package, which can go on from the step before (`functional.contexts.resumption`): `Resumer`, at a cost
that grows with the number of steps. Others, for example with a loop over time of their own, compute all
steps before again for every step: `Repeater`, at a cost that grows with its square.

A class says which it is next to its `forward_func` (`Population.resumes`). Of one that does not say, a trial over a
few steps tells once; docs/choices.md has what that is worth.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from hxtorch.snn.functional.contexts.resumption import CannotResumeError, Session, resuming
from hxtorch.snn.functional.gradients.injection import fit_steps
from hxtorch.snn.handles.handle import Handle, SynapseHandle
from hxtorch.snn.modules.population import Population
from hxtorch.snn.parameters.parameter import on_cpu
from hxtorch.snn.recording.observables import NeuronData

_PROBE_STEPS = 12

# What a function may raise that cannot take few steps, or not the ones that a trial gives it. All of it comes
# again, and is shown, where all steps are computed.
_UNFIT = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError, RuntimeError)


class Stepper(ABC):
    """A population whose spikes of a step depend on earlier inputs alone. `data` is its `hw_data` of all steps."""

    def __init__(self, module: Population, like: Tensor, data: Any) -> None:
        self.module, self.like, self.data = module, like, data
        self.inputs: list[Tensor] = []

    @abstractmethod
    def spikes(self, t: int) -> Tensor:
        """The spikes (B, size) of step t, after `receive` of all steps before."""

    def receive(self, t: int, x: Tensor) -> None:
        """Take the summed input (B, size) of step t."""
        self.inputs.append(x)

    def result(self) -> Handle:
        """The output of all steps."""
        return self.compute(torch.stack(self.inputs), self.data)

    def compute(self, x: Tensor, data: Any) -> Handle:
        """What the module makes of inputs (T, B, size)."""
        return self.module.func((SynapseHandle(x),), hw_data=data)

    def spikes_in(self, handle: Handle) -> Tensor:
        """The spikes that a handle holds; none: ValueError."""
        spikes = getattr(handle, "spikes", None)
        if not isinstance(spikes, Tensor):
            raise ValueError(f"{self.module} is part of a loop, but gives no spikes.")
        return spikes


class Repeater(Stepper):
    """Computes all steps before again. Right for every `forward_func`."""

    def spikes(self, t: int) -> Tensor:
        """Of all steps up to this one, without input in this one."""
        x = torch.stack([*self.inputs, torch.zeros_like(self.like)])
        return self.module.masked(self.spikes_in(self.compute(x, self.data))[t])


class Resumer(Stepper):
    """Goes on from the step before: once without input, which tells the spikes, and once with it."""

    def __init__(self, module: Population, like: Tensor, steps: int, data: NeuronData | None) -> None:
        super().__init__(module, like, data)
        self._session = Session()
        self._fired: list[Tensor] = []
        self._rows: dict[str, Tensor] = {}
        if data is not None:
            whole = like.expand(steps, *like.shape)
            if data.spikes is not None:
                self._rows["spikes"] = fit_steps(data.spikes, whole, repeat_last=False)
            if data.cadc is not None:
                self._rows["cadc"] = fit_steps(data.cadc, whole)

    def spikes(self, t: int) -> Tensor:
        """Of a trial without input, which is then forgotten."""
        spikes = self.spikes_in(self._step(t, self.like))[0]
        self._session.repeat()
        self._fired.append(spikes)
        return self.module.masked(spikes)

    def receive(self, t: int, x: Tensor) -> None:
        """Take the input, and go on."""
        super().receive(t, x)
        self._step(t, x)
        self._session.advance()

    def _step(self, t: int, x: Tensor) -> Handle:
        data = self.data and self.data._replace(**{name: rows[t : t + 1] for name, rows in self._rows.items()})
        with resuming(self._session):
            return self.compute(x[None], data)

    def result(self) -> Handle:
        """The output of all steps at once; CannotResumeError if it has other spikes than step by step."""
        whole = super().result()
        if not torch.equal(self.spikes_in(whole), torch.stack(self._fired)):
            raise CannotResumeError(f"{self.module} computes something else step by step.")
        return whole


def stepper(module: Population, like: Tensor, steps: int, data: Any, resume: bool) -> Stepper:
    """How to compute a module with inputs as `like` (B, size) step by step; with `resume` it goes on, if it can."""
    if resume and (data is None or isinstance(data, NeuronData)) and _resumes(module, like):
        return Resumer(module, like, steps, data)
    return Repeater(module, like, data)


def _resumes(module: Population, like: Tensor) -> bool:
    """Whether a module can go on from the step before: what its class says, else what a trial has found."""
    declared = _declared(module)
    if declared is not None:
        return declared
    function = getattr(module.forward_func, "__func__", module.forward_func)
    situation = (id(function), module.training, like.dtype, like.device)
    known = module.found_to_resume
    if known is None or known[0] != situation:
        with torch.inference_mode(False):  # there are no gradients in it, of which the answer is, too
            known = module.found_to_resume = (situation, _same_by_step(module, like))
    return known[1]


def _declared(module: Population) -> bool | None:
    """What the class with the `forward_func` of a module says of it, or a class below; None: nothing."""
    if "forward_func" in vars(module):
        return None
    for kind in type(module).__mro__:
        if "resumes" in vars(kind):
            declared: bool | None = vars(kind)["resumes"]
            return declared
        if "forward_func" in vars(kind):
            return None
    return None


def _same_by_step(module: Population, like: Tensor) -> bool:
    """Whether random inputs give a module the same spikes and gradients step by step as for all steps at once."""
    draw = torch.Generator("cpu").manual_seed(0)
    shape = (_PROBE_STEPS, *like.shape)
    swing = on_cpu(module.model("threshold", like)) - on_cpu(module.model("leak", like))
    size = 2 * float(swing.detach().abs().max())
    x = (size * torch.rand(shape, generator=draw, dtype=torch.float32, device="cpu")).to(like).requires_grad_()
    weights = torch.rand(shape, generator=draw, dtype=torch.float32, device="cpu").to(like)
    one = Resumer(module, torch.zeros_like(like), _PROBE_STEPS, None)
    try:
        with torch.enable_grad():
            whole = one.spikes_in(one.compute(x, None))
            fired = []
            for t, row in enumerate(x.unbind(0)):
                fired.append(one.spikes(t))
                one.receive(t, row)
            by_step = torch.stack(fired)
            if not torch.equal(module.masked(whole.detach()), by_step.detach()):
                return False
            gradients = [torch.autograd.grad((s * weights).sum(), x)[0] for s in (module.masked(whole), by_step)]
    except _UNFIT:
        return False
    atol = 1e-3 * float(gradients[0].abs().max())
    return torch.allclose(gradients[0], gradients[1], rtol=1e-3, atol=atol)
