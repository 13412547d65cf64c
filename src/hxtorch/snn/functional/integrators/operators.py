"""The kernels as torch operators ``hxtorch::...``, which is how `torch.compile` sees them.

Eager code takes a shorter way to the same kernels (`fused`), because calling a custom operator costs more than
a small network needs to compute.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hxtorch.snn.functional.integrators.forward_backward import Given, Saved, run_backward, run_forward
from hxtorch.snn.functional.kernels import layout as at


@torch.library.custom_op("hxtorch::integrate", mutates_args=())
def _integrate(
    input: Tensor,
    parameters: Tensor,
    recurrent: Tensor | None,
    state: Tensor | None,
    v_chip: Tensor | None,
    z_chip: Tensor | None,
    w_chip: Tensor | None,
    options: list[int],
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    done = run_forward(
        Given(
            tuple(input.shape),  # type: ignore[arg-type]  # three of them
            parameters,
            tuple(options),
            input.contiguous(),
            recurrent=None if recurrent is None else np.ascontiguousarray(recurrent.numpy().T),
            state=state,
            chip=(v_chip, z_chip, w_chip),
        ),
        saving=True,
    )
    assert done.membrane is not None and done.current is not None
    none = input.new_empty(0)
    return (
        done.membrane,
        done.current,
        none if done.spikes is None else done.spikes,
        none.clone() if done.adaptation is None else done.adaptation,
        done.last,
        none.clone() if done.before is None else done.before,
        torch.empty(0, dtype=torch.uint8) if done.marks is None else done.marks,
    )


@_integrate.register_fake
def _(
    input: Tensor,
    parameters: Tensor,
    recurrent: Tensor | None,
    state: Tensor | None,
    v_chip: Tensor | None,
    z_chip: Tensor | None,
    w_chip: Tensor | None,
    options: list[int],
    alpha: float,
) -> tuple[Tensor, ...]:
    fire = bool(options[at.FIRE])
    none = input.new_empty(0)
    like = torch.empty_like(input, memory_format=torch.contiguous_format)
    marked = fire and (options[at.REFRACTORY_PERIOD] or z_chip is not None)
    return (
        like,
        torch.empty_like(like),
        torch.empty_like(like) if fire else none,
        torch.empty_like(like) if options[at.ADAPTATION] else none.clone(),
        input.new_empty((at.STATES, *input.shape[1:])),
        torch.empty_like(like) if fire and v_chip is None else none.clone(),
        torch.empty_like(like, dtype=torch.uint8) if marked else none.to(torch.uint8),
    )


@torch.library.custom_op("hxtorch::integrate_backward", mutates_args=())
def _integrate_backward(
    grads: list[Tensor],
    parameters: Tensor,
    recurrent: Tensor | None,
    state: Tensor | None,
    v_chip: Tensor | None,
    saved: list[Tensor],
    options: list[int],
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    present = [tensor if tensor.numel() else None for tensor in saved]
    v, i, z, w, before, marks = present
    done = run_backward(
        tuple(grad if grad.numel() else None for grad in grads),
        Saved(parameters, recurrent, state, v_chip, before, marks, v, i, w, z),
        tuple(saved[0].shape),  # type: ignore[arg-type]  # three of them
        tuple(options),
        alpha,
        of_parameters=True,
        of_recurrent=recurrent is not None,
        of_state=state is not None,
    )
    x, _, of_parameters, of_recurrent, of_state = done
    assert x is not None and of_parameters is not None
    return (
        x,
        of_parameters,
        x.new_empty(0) if of_recurrent is None else of_recurrent,
        x.new_empty(0) if of_state is None else of_state,
    )


@_integrate_backward.register_fake
def _(
    grads: list[Tensor],
    parameters: Tensor,
    recurrent: Tensor | None,
    state: Tensor | None,
    v_chip: Tensor | None,
    saved: list[Tensor],
    options: list[int],
    alpha: float,
) -> tuple[Tensor, ...]:
    none = parameters.new_empty(0)
    return (
        torch.empty_like(saved[0]),
        torch.empty_like(parameters, memory_format=torch.contiguous_format),
        none if recurrent is None else torch.empty_like(recurrent, memory_format=torch.contiguous_format),
        none.clone() if state is None else torch.empty_like(state, memory_format=torch.contiguous_format),
    )


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    _, parameters, recurrent, state, v_chip, _, _, options, alpha = inputs
    v, i, z, w, _, before, marks = output
    ctx.options, ctx.alpha = options, alpha
    ctx.save_for_backward(parameters, recurrent, state, v_chip, v, i, z, w, before, marks)


def _backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    parameters, recurrent, state, v_chip, *saved = ctx.saved_tensors
    given = [parameters.new_empty(0) if grad is None else grad for grad in grads[:5]]
    x, of_parameters, of_recurrent, of_state = _integrate_backward(
        given, parameters, recurrent, state, v_chip, saved, ctx.options, ctx.alpha
    )
    return (
        x,
        of_parameters,
        None if recurrent is None else of_recurrent,
        None if state is None else of_state,
        *(None,) * 5,
    )


_integrate.register_autograd(_backward, setup_context=_setup_context)
