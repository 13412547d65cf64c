"""The neuron equations by fused kernels: forward and backward through time in one pass over memory each.

float32 on the CPU. Forward values equal those of the reference bit for bit, except for the exponential term
and sums over spikes. In eager mode the kernels run below an `autograd.Function`, whose overhead is a tenth of a
custom operator's; `torch.compile` sees the operators of `operators.py`.

Where the input comes from few spikes, the sum over their weights is part of the same pass, and so is the
gradient of the weights: the weighted input is never in memory. What only an onlooker would read, membrane and
current of spiking neurons, is computed when it is asked for (`later`).

Backward keeps 4 bytes per time step and neuron (the membrane before reset); with refractory period or spikes
from the chip 1 more; gradients of parameters also keep the membrane and the current.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hxtorch.snn.functional.kernels import layout as at
from hxtorch.snn.functional.later import Later, Postponed
from hxtorch.snn.functional.neuron_model import (
    Adaptation,
    Exponential,
    Firing,
    Measured,
    Membrane,
    Observed,
    States,
)
from hxtorch.snn.functional.packing import options_of, pack, values_of
from hxtorch.snn.functional.passes import Given, Saved, run_backward, run_forward
from hxtorch.snn.functional.products import Product
from hxtorch.snn.functional.reference import fit_measured
from hxtorch.snn.functional.workspace import empty

Keep = tuple[bool, bool]  # whether membrane and current are computed


def integrate_fused(
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
    """Integrate neurons over `input` (T, B, N), float32 on the CPU; arguments as in `integrate`."""
    given = _given(input, membrane, firing, exponential, adaptation, measured, dt, recurrent, state)
    alpha = firing.alpha if firing else 0.0
    if torch.compiler.is_compiling():
        operator = torch.ops.hxtorch.integrate
        arguments = (input, given.parameters, recurrent, state, *given.chip, list(given.options), float(alpha))
        v, i, z, w, last = operator(*arguments)[:5]
    else:
        v, i, z, w, last = _apply(given, input, None, recurrent, alpha, (True, True))
    return States(v, i, z if firing else None, w if adaptation else None, last)


def observe_fused(
    input: Tensor | Product,
    membrane: Membrane,
    firing: Firing | None = None,
    exponential: Exponential | None = None,
    adaptation: Adaptation | None = None,
    measured: Measured | None = None,
    dt: float = 1e-6,
    *,
    recurrent: Tensor | None = None,
) -> Observed:
    """As `integrate_fused`, but what is not needed yet waits, and so does the product that a neuron reads."""
    product = input if isinstance(input, Product) and input.fuses else None
    x = None if product is not None else input.get() if isinstance(input, Product) else input
    source = x if product is None else product
    assert source is not None
    given = _given(source, membrane, firing, exponential, adaptation, measured, dt, recurrent, None)
    alpha = firing.alpha if firing else 0.0
    trained = given.parameters.requires_grad and torch.is_grad_enabled()
    # The gradients of parameters and of these terms are computed from the states.
    all_needed = trained or exponential is not None or (firing is None and adaptation is not None)
    keep = (all_needed or firing is None, all_needed)
    v, i, z, w, _ = _apply(given, x, product, recurrent, alpha, keep)
    if not all(keep):
        waiting = _postponed(given, x, product, recurrent, alpha)
        v = Later(waiting, 0) if v is None else v
        i = Later(waiting, 1) if i is None else i
    return Observed(z, v, i, w)


def _given(
    input: Tensor | Product,
    membrane: Membrane,
    firing: Firing | None,
    exponential: Exponential | None,
    adaptation: Adaptation | None,
    measured: Measured | None,
    dt: float,
    recurrent: Tensor | None,
    state: Tensor | None,
) -> Given:
    """The arguments of `integrate` as the kernels read them."""
    shape = tuple(input.shape)
    chip: tuple[Tensor | None, ...] = (None, None, None)
    product = input if isinstance(input, Product) else None
    like = input.spikes.new_empty(1).expand(shape) if isinstance(input, Product) else input
    if measured is not None:
        chip = (
            fit_measured(measured.membrane, like),
            fit_measured(measured.spikes, like, repeat_last=False) if firing else None,
            fit_measured(measured.adaptation, like) if adaptation else None,
        )
    compiling = torch.compiler.is_compiling()
    return Given(
        shape,
        pack(values_of(membrane, firing, exponential, adaptation, dt), shape),
        options_of(membrane, firing, exponential, adaptation, state is None),
        None if compiling or product is not None else like.detach().contiguous(),
        None if product is None else product.index,
        None if product is None else product.columns,
        None if recurrent is None or compiling else recurrent.detach().numpy().T.copy(),
        state,
        chip,
    )


def _apply(
    given: Given, x: Tensor | None, product: Product | None, recurrent: Tensor | None, alpha: float, keep: Keep
) -> Any:
    """Membrane, current, spikes, adaptation and last state, for autograd to see."""
    operands = (None, None) if product is None else (product.spikes, product.weight)
    return _Integrate.apply(  # type: ignore[no-untyped-call]
        x, *operands, given.parameters, recurrent, given.state, given, alpha, keep
    )


def _postponed(
    given: Given, x: Tensor | None, product: Product | None, recurrent: Tensor | None, alpha: float
) -> Postponed:
    """Membrane and current, computed again."""
    operands = (x, recurrent, *((None, None) if product is None else (product.spikes, product.weight)))
    version = None if x is None or x.is_inference() else x._version

    def compute() -> tuple[Tensor, Tensor]:
        v, i, *_ = _apply(given, x, product, recurrent, alpha, (True, True))
        return v, i

    def values() -> tuple[Tensor, Tensor]:
        if x is not None and version is not None and x._version != version:
            raise RuntimeError(
                "The input of these neurons was written to in place before their membrane or current was read. "
                "Read it first, or write to a clone()."
            )
        done = run_forward(given, saving=False)
        assert done.membrane is not None and done.current is not None
        return done.membrane, done.current

    return Postponed(operands, compute, values)


class _Integrate(torch.autograd.Function):
    """Forward and backward through time, with the synapses in front of the neurons where `spikes` are given."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor | None,
        spikes: Tensor | None,
        weight: Tensor | None,
        parameters: Tensor,
        recurrent: Tensor | None,
        state: Tensor | None,
        given: Given,
        alpha: float,
        keep: Keep,
    ) -> tuple[Tensor | None, ...]:
        needs = ctx.needs_input_grad
        done = run_forward(given, any(needs), *keep)
        if any(needs):
            ctx.set_materialize_grads(False)
            ctx.options, ctx.alpha, ctx.shape, ctx.index = given.options, alpha, given.shape, given.index
            of_parameters, options = needs[3], given.options
            values = of_parameters or options[at.EXPONENTIAL]
            ctx.save_for_backward(
                weight if needs[1] else None,
                parameters,
                recurrent,
                state,
                given.chip[0],
                done.before,
                done.marks,
                done.membrane if values or (not options[at.FIRE] and options[at.ADAPTATION]) else None,
                done.current if of_parameters else None,
                done.adaptation if of_parameters else None,
                done.spikes if needs[4] else None,
            )
        return done[:5]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "The fused kernels have no second derivative. Compute within "
                "hxtorch.snn.functional.reference_numerics()."
            )
        weight, *saved = ctx.saved_tensors
        needs = ctx.needs_input_grad
        done = run_backward(
            grads,
            Saved(*saved),
            ctx.shape,
            ctx.options,
            ctx.alpha,
            ctx.index if needs[2] else None,
            of_x=needs[0] or needs[1],
            of_parameters=needs[3],
            of_recurrent=needs[4],
            of_state=needs[5],
        )
        of_x, of_spikes = done.x, None
        if needs[1]:
            assert done.x is not None
            flat = done.x.view(-1, weight.shape[0])
            of_spikes = torch.mm(flat, weight, out=empty((flat.shape[0], weight.shape[1])))
            of_spikes = of_spikes.view(*ctx.shape[:2], -1)
        of_weight = None if done.columns is None else done.columns.T
        if not needs[0]:
            of_x = None
        return of_x, of_spikes, of_weight, done.parameters, done.recurrent, done.state, None, None, None
