"""The neuron equations by fused kernels: forward and backward through time in one pass over memory each.

float32 on the CPU. Forward values equal those of the reference bit for bit, except for the exponential term
and sums over spikes. In eager mode the kernels run below an `autograd.Function`, whose overhead is a tenth of a
custom operator's; `torch.compile` sees the operators of `operators.py`.

Where the input comes from few spikes, the sum over their weights is part of the same pass, and so is the
gradient of the weights: the weighted input is never in memory, unless somebody reads it. What only an onlooker
would read, membrane and current of spiking neurons, is computed when it is read (`carried`).

Backward keeps 4 bytes per time step and neuron (the membrane before reset); with refractory period or spikes
from the chip 1 more; gradients of parameters also keep the membrane and the current.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from hxtorch.snn.functional.integrators.forward_backward import Given, Saved, run_backward, run_forward
from hxtorch.snn.functional.integrators.reference import fit_measured
from hxtorch.snn.functional.kernels import layout as at
from hxtorch.snn.functional.memory.carried import Carried, blank
from hxtorch.snn.functional.memory.spikes import CarriedSpikes, SpikeIndex
from hxtorch.snn.functional.model.neuron_model import Dynamics, Measured, Observed, States
from hxtorch.snn.functional.model.packing import options_of, pack, values_of
from hxtorch.snn.functional.products.spike_linear import Product, note_of_weight
from hxtorch.snn.shapes import RecurrentWeights, StateRows, TimeBatchNeuron


class _Plan(NamedTuple):
    """What an integration reads and what of it is written to memory; what is not is blank.

    `product` is the input if the neurons sum it themselves.
    """

    given: Given
    alpha: float
    membrane: bool = True
    current: bool = True
    product: Product | None = None


class _Listed:
    """Where an integration leaves the index of its spikes."""

    index: SpikeIndex | None = None


def integrate_fused(
    input: TimeBatchNeuron,
    dynamics: Dynamics,
    measured: Measured | None = None,
    *,
    recurrent: RecurrentWeights | None = None,
    state: StateRows | None = None,
) -> States:
    """Integrate neurons over `input` (T, B, N), float32 on the CPU; arguments as in `integrate`."""
    compiling = torch.compiler.is_compiling()
    x = None if compiling else input.detach().contiguous()
    given = _given(tuple(input.shape), input, dynamics, measured, recurrent, state, x=x)
    alpha = dynamics.firing.alpha if dynamics.firing else 0.0
    if compiling:
        operator = torch.ops.hxtorch.integrate
        arguments = (input, given.parameters, recurrent, state, *given.chip, list(given.options), float(alpha))
        v, i, z, w, last = operator(*arguments)[:5]
    else:
        v, i, z, w, last = _integrate(input, recurrent, _Plan(given, alpha), _Listed())
    return States(v, i, z if dynamics.firing else None, w if dynamics.adaptation else None, last)


def observe_fused(
    input: Carried,
    dynamics: Dynamics,
    measured: Measured | None = None,
    *,
    recurrent: RecurrentWeights | None = None,
    state: StateRows | None = None,
) -> Observed:
    """As `integrate_fused`, for what modules hand to each other."""
    product = input if isinstance(input, Product) and input.is_private and not input.is_filled else None
    private = input.is_private
    given = _given(
        tuple(input.shape), input.like, dynamics, measured, recurrent, state,
        x=None if product is not None else input.keep() if private else input.values().detach().contiguous(),
        product=product,
    )  # fmt: skip
    firing, adaptation = dynamics.firing, dynamics.adaptation
    trained = given.parameters.requires_grad and torch.is_grad_enabled()
    # The gradients of parameters and of these terms are computed from the states. And of an input that others may
    # write to, nothing can be computed later.
    all_needed = (
        trained or not private or dynamics.exponential is not None or (firing is None and adaptation is not None)
    )
    plan = _Plan(given, firing.alpha if firing else 0.0, all_needed or firing is None, all_needed, product)
    if product is not None:
        product.claim()
    listed = _Listed()
    v, i, z, w, last = _integrate(input.like, recurrent, plan, listed)
    later = _Later(given)
    observed = Observed(
        None if z is None else CarriedSpikes(z, listed.index),
        Carried(v, None if plan.membrane else later.membrane),
        Carried(i, None if plan.current else later.current),
        None if w is None else Carried(w),
        last,
    )
    # What backward has saved of them is not what a script will hold.
    saved = (observed.membrane, observed.current, observed.adaptation) if all_needed else ()
    for item in (*saved, observed.spikes if recurrent is not None else None):
        if item is not None and item.is_filled:
            item.keep()
    return observed


def _given(
    shape: tuple[int, ...],
    like: Tensor,
    dynamics: Dynamics,
    measured: Measured | None,
    recurrent: RecurrentWeights | None,
    state: StateRows | None,
    x: Tensor | None,
    product: Product | None = None,
) -> Given:
    """The arguments of `integrate` as the kernels read them."""
    chip: tuple[Tensor | None, ...] = (None, None, None)
    if measured is not None:
        chip = (
            fit_measured(measured.membrane, like),
            fit_measured(measured.spikes, like, repeat_last=False) if dynamics.firing else None,
            fit_measured(measured.adaptation, like) if dynamics.adaptation else None,
        )
    return Given(
        shape,  # type: ignore[arg-type]  # three of them
        pack(values_of(dynamics), shape),
        options_of(dynamics, state is None),
        x,
        None if product is None else product.index,
        None if product is None else product.columns,
        None if recurrent is None or torch.compiler.is_compiling() else recurrent.detach().numpy().T.copy(),
        state,
        chip,
    )


def _integrate(x: Tensor, recurrent: RecurrentWeights | None, plan: _Plan, listed: _Listed) -> Any:
    """Membrane, current, spikes, adaptation and last state, for autograd to see."""
    given = plan.given
    return _Integrate.apply(  # type: ignore[no-untyped-call]
        x, given.parameters, recurrent, given.state, plan, listed
    )


class _Later:
    """Membrane and current of an integration, computed once more when one of them is read."""

    def __init__(self, given: Given) -> None:
        self._given = given
        self._found: dict[str, Tensor] = {}

    def membrane(self) -> Tensor:
        """The membrane (T, B, N)."""
        return self._take("membrane")

    def current(self) -> Tensor:
        """The current (T, B, N)."""
        return self._take("current")

    def _take(self, name: str) -> Tensor:
        if name not in self._found:
            done = run_forward(self._given, saving=False)
            assert done.membrane is not None and done.current is not None
            self._found = {"membrane": done.membrane, "current": done.current}
        return self._found.pop(name)


class _Integrate(torch.autograd.Function):
    """Forward and backward through time."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        parameters: Tensor,
        recurrent: RecurrentWeights | None,
        state: StateRows | None,
        plan: _Plan,
        listed: _Listed,
    ) -> tuple[Tensor | None, ...]:
        needs = ctx.needs_input_grad
        given = plan.given
        done = run_forward(given, any(needs), plan.membrane, plan.current)
        listed.index = done.listed
        if any(needs):
            ctx.set_materialize_grads(False)
            ctx.options, ctx.alpha, ctx.shape, ctx.product = given.options, plan.alpha, given.shape, plan.product
            _, of_parameters, of_recurrent, _, _, _ = needs
            values = of_parameters or given.options[at.EXPONENTIAL]
            ctx.save_for_backward(
                parameters,
                recurrent,
                state,
                given.chip[0],
                done.before,
                done.marks,
                done.membrane if values or (not given.options[at.FIRE] and given.options[at.ADAPTATION]) else None,
                done.current if of_parameters else None,
                done.adaptation if of_parameters else None,
                done.spikes if of_recurrent else None,
            )
        membrane = blank(given.shape) if done.membrane is None else done.membrane
        current = blank(given.shape) if done.current is None else done.current
        return membrane, current, done.spikes, done.adaptation, done.last

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "The fused kernels have no second derivative. Compute within "
                "hxtorch.snn.functional.reference_numerics()."
            )
        needs, product = ctx.needs_input_grad, ctx.product
        # The gradient of the weights comes along, unless somebody can look at that of the product before.
        summing = product is not None and product.is_summed_here
        done = run_backward(
            grads,
            Saved(*ctx.saved_tensors),
            ctx.shape,
            ctx.options,
            ctx.alpha,
            product.index if summing and product.needs_weight else None,
            of_x=needs[0] and not (summing and not product.needs_spikes),
            of_parameters=needs[1],
            of_recurrent=needs[2],
            of_state=needs[3],
        )
        of_x = done.x
        if needs[0] and summing:
            of_x = note_of_weight(ctx.shape, done.x, done.columns)
        return of_x, done.parameters, done.recurrent, done.state, None, None
