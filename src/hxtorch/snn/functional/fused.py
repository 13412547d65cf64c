"""The neuron equations by fused kernels: forward and backward through time in one pass over memory each.

float32 on the CPU. Forward values equal those of the reference bit for bit, except for the exponential term
and recurrent sums. In eager mode the kernels run below an `autograd.Function`, whose overhead is a tenth of a
custom operator's; `torch.compile` sees the operators of `operators.py`.

Backward keeps 4 bytes per time step and neuron (the membrane before reset); with refractory period or spikes
from the chip 1 more; gradients of parameters also keep the membrane and the current, which the caller holds
anyway.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxtorch.snn.functional.kernels import layout as at
from hxtorch.snn.functional.kernels.backward import propagate_lanes
from hxtorch.snn.functional.kernels.forward import integrate_lanes
from hxtorch.snn.functional.neuron_model import Adaptation, Exponential, Firing, Measured, Membrane, States
from hxtorch.snn.functional.products import weight_gradient
from hxtorch.snn.functional.reference import fit_measured
from hxtorch.snn.functional.spikes import SpikeList, keep_index
from hxtorch.snn.functional.surrogate import surrogate
from hxtorch.snn.functional.threads import share
from hxtorch.snn.functional.workspace import empty
from hxtorch.snn.parameter import Value

PARALLEL_FROM = 60_000  # lanes times steps; below, a second thread costs more than it saves
NOTHING = np.empty((0, 0), np.float32)
NO_MARKS = np.empty((0, 0), np.uint8)
NO_PLACES, NO_COLUMNS = np.empty(0, np.int64), np.empty(0, np.int32)

Options = tuple[int, ...]


class Forward(NamedTuple):
    """What the forward pass computes: states (T, B, N), `last` (4, B, N), and what backward needs."""

    membrane: Tensor
    current: Tensor
    spikes: Tensor | None
    adaptation: Tensor | None
    last: Tensor
    before: Tensor | None  # membrane before reset
    marks: Tensor | None


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
    parameters = pack(_values(membrane, firing, exponential, adaptation, dt), input)
    options = (
        int(membrane.leaky),
        int(firing is not None),
        int(exponential is not None),
        int(adaptation is not None),
        int(firing is not None and firing.refractory_steps is not None),
        surrogate(firing.method).code if firing else 0,
        int(state is None and (membrane.leaky or adaptation is not None)),
    )
    alpha = firing.alpha if firing else 0.0
    chip: tuple[Tensor | None, ...] = (None, None, None)
    if measured is not None:
        chip = (
            fit_measured(measured.membrane, input),
            fit_measured(measured.spikes, input, repeat_last=False) if firing else None,
            fit_measured(measured.adaptation, input) if adaptation else None,
        )
    if torch.compiler.is_compiling():
        operator = torch.ops.hxtorch.integrate
        v, i, z, w, last = operator(input, parameters, recurrent, state, *chip, list(options), float(alpha))[:5]
    else:
        arguments = (input, parameters, recurrent, state, chip, options, alpha)
        v, i, z, w, last = _Integrate.apply(*arguments)  # type: ignore[no-untyped-call]
    return States(v, i, z if firing else None, w if adaptation else None, last)


def _values(
    membrane: Membrane,
    firing: Firing | None,
    exponential: Exponential | None,
    adaptation: Adaptation | None,
    dt: float,
) -> tuple[Value, ...]:
    """The rows of `layout`, computed as the reference does."""
    values: list[Value] = [0.0] * at.PARAMETERS
    values[at.LEAK] = membrane.leak
    values[at.DECAY] = 1 - dt / membrane.tau_syn
    values[at.GAIN] = dt / membrane.c
    values[at.CONDUCTANCE] = membrane.g
    if firing:
        values[at.THRESHOLD] = firing.threshold
        values[at.RESET] = firing.reset
        values[at.REFRACTORY] = 0.0 if firing.refractory_steps is None else firing.refractory_steps
    if exponential:
        values[at.EXP_GAIN] = membrane.g * exponential.slope
        values[at.EXP_SLOPE] = exponential.slope
        values[at.EXP_THRESHOLD] = exponential.threshold
    if adaptation:
        rate = dt / adaptation.tau
        values[at.ADAPT_DECAY] = 1 - rate
        values[at.ADAPT_PULL] = rate * adaptation.subthreshold
        values[at.ADAPT_STEP] = adaptation.increment
    return tuple(values)


def pack(values: tuple[Value, ...], input: Tensor) -> Tensor:
    """All parameters in one tensor (PARAMETERS, period), where the period is 1, N or B*N."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    if not tensors:
        return _pack_numbers(values)
    _, entries, size = input.shape
    shape: tuple[int, ...] = torch.broadcast_shapes(  # type: ignore[no-untyped-call]
        (1,), *(tensor.shape for tensor in tensors)
    )
    if len(shape) > 2 or any(have not in (1, need) for have, need in zip(shape[::-1], (size, entries))):
        raise ValueError(
            f"Parameters of shape {tuple(shape)} do not fit neurons (batch, neuron) of {(entries, size)}."
        )
    if len(shape) == 2 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) == 2:
        shape = (entries, size)
    rows = []
    for value in values:
        row = value.to(input) if isinstance(value, Tensor) else torch.full((1,), value, dtype=torch.float32)
        rows.append(row.expand(shape).reshape(-1))
    return torch.stack(rows)


@lru_cache(maxsize=256)
def _pack_numbers(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).unsqueeze(1)


class _Integrate(torch.autograd.Function):
    """Forward and backward through time for `integrate_fused`."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        parameters: Tensor,
        recurrent: Tensor | None,
        state: Tensor | None,
        chip: tuple[Tensor | None, ...],
        options: Options,
        alpha: float,
    ) -> tuple[Tensor | None, ...]:
        needs = ctx.needs_input_grad
        done = run_forward(input, parameters, recurrent, state, chip, options, saving=any(needs))
        if any(needs):
            ctx.set_materialize_grads(False)
            ctx.options, ctx.alpha, ctx.shape = options, alpha, input.shape
            values = needs[1] or options[at.EXPONENTIAL]
            ctx.save_for_backward(
                parameters,
                recurrent,
                state,
                chip[0],
                done.before,
                done.marks,
                done.membrane if values or (not options[at.FIRE] and options[at.ADAPTATION]) else None,
                done.current if needs[1] else None,
                done.adaptation if needs[1] else None,
                done.spikes if needs[2] else None,
            )
        return done[:5]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "The fused kernels have no second derivative. Compute within "
                "hxtorch.snn.functional.reference_numerics()."
            )
        saved = ctx.saved_tensors
        x, parameters, recurrent, state = run_backward(
            grads, saved, ctx.shape, ctx.options, ctx.alpha, ctx.needs_input_grad[:4]
        )
        return x, parameters, recurrent, state, None, None, None


def run_forward(
    input: Tensor,
    parameters: Tensor,
    recurrent: Tensor | None,
    state: Tensor | None,
    chip: tuple[Tensor | None, ...],
    options: Options,
    saving: bool,
) -> Forward:
    """The forward pass on memory, without autograd."""
    input = input.detach().contiguous()
    steps, entries, size = input.shape
    lanes = entries * size
    fire, adaptive = bool(options[at.FIRE]), bool(options[at.ADAPTATION])
    v_chip, z_chip, w_chip = chip
    shape = tuple(input.shape)
    membrane, current = empty(shape), empty(shape)
    spikes = empty(shape) if fire else None
    adaptation = empty(shape) if adaptive else None
    before = empty(shape) if saving and fire and v_chip is None else None
    marked = saving and fire and (options[at.REFRACTORY_PERIOD] or z_chip is not None)
    marks = empty(shape, torch.uint8) if marked else None
    last = torch.empty((at.STATES, entries, size))
    parallel = steps * lanes >= PARALLEL_FROM
    # The next synapses will ask where the spikes are, which is cheap to note while they are made.
    listed = SpikeList(steps, entries, size) if spikes is not None and z_chip is None and parallel else None
    arguments = (
        input.numpy().reshape(steps, lanes),
        parameters.detach().numpy(),
        np.array(options),
        NOTHING if recurrent is None else np.ascontiguousarray(recurrent.detach().numpy().T),
        start_state(state, parameters, lanes, options),
        _lanes(v_chip, lanes),
        _lanes(z_chip, lanes),
        _lanes(w_chip, lanes),
        _lanes(membrane, lanes),
        _lanes(current, lanes),
        _lanes(spikes, lanes),
        _lanes(adaptation, lanes),
        _lanes(before, lanes),
        NO_MARKS if marks is None else marks.numpy().reshape(steps, lanes),
        _lanes(last, lanes),
        *(
            (0, NO_PLACES, NO_COLUMNS, NO_COLUMNS)
            if listed is None
            else (size, listed.places, listed.counts, listed.room)
        ),
    )
    share(
        lambda begin, end: integrate_lanes(*arguments, begin, end),
        lanes,
        parallel,
        multiple=16 if recurrent is None and listed is None else size,
    )
    if spikes is not None and listed is not None:
        keep_index(spikes, listed.index())
    return Forward(membrane, current, spikes, adaptation, last, before, marks)


def run_backward(
    grads: tuple[Tensor | None, ...],
    saved: tuple[Tensor | None, ...],
    shape: torch.Size,
    options: Options,
    alpha: float,
    needs: tuple[bool, ...],
) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """The backward pass on memory: gradients of input, parameters, recurrent weights and state."""
    parameters, recurrent, state, v_chip, before, marks, membrane, current, adaptation, spikes = saved
    assert parameters is not None
    steps, entries, size = shape
    lanes = entries * size
    grad_v, grad_i, grad_z, grad_w, grad_last = grads
    start = start_state(state, parameters, lanes, options)
    if v_chip is not None:
        before = v_chip
    elif not options[at.FIRE]:
        before = membrane
    grad_x = empty(tuple(shape))
    grad_state = torch.zeros((at.STATES, entries, size))
    grad_parameters = np.zeros((at.PARAMETERS, lanes), np.float32) if needs[1] else NOTHING
    arguments = (
        _lanes(grad_v, lanes),
        _lanes(grad_i, lanes),
        _lanes(grad_z, lanes),
        _lanes(grad_w, lanes),
        _lanes(grad_last, lanes),
        parameters.detach().numpy(),
        np.float32(alpha),
        np.array(options),
        NOTHING if recurrent is None else recurrent.detach().contiguous().numpy(),
        start,
        _lanes(v_chip, lanes),
        _lanes(before, lanes),
        NO_MARKS if marks is None else marks.numpy().reshape(steps, lanes),
        _lanes(membrane, lanes),
        _lanes(current, lanes),
        _lanes(adaptation, lanes),
        _lanes(grad_x, lanes),
        _lanes(grad_state, lanes),
        grad_parameters,
    )
    share(
        lambda begin, end: propagate_lanes(*arguments, begin, end),
        lanes,
        parallel=steps * lanes >= PARALLEL_FROM,
        multiple=16 if recurrent is None else size,
    )
    of_parameters = None
    if needs[1]:
        if options[at.REST_IS_LEAK]:
            grad_parameters[at.LEAK] += _lanes(grad_state, lanes)[at.V]
        period = parameters.shape[1]
        of_parameters = torch.from_numpy(
            grad_parameters.reshape(at.PARAMETERS, -1, period).sum(1, dtype=np.float64).astype(np.float32)
            if period > 1
            else grad_parameters.sum(1, keepdims=True, dtype=np.float64).astype(np.float32)
        )
    of_recurrent = None
    if needs[2]:
        assert spikes is not None
        of_recurrent = weight_gradient(spikes, grad_x.view(-1, size))
    return grad_x, of_parameters, of_recurrent, grad_state if needs[3] else None


def start_state(state: Tensor | None, parameters: Tensor, lanes: int, options: Options) -> NDArray[np.float32]:
    """The state before the first step, (STATES, lanes): the given one, or rest."""
    if state is not None:
        return _lanes(state, lanes)
    start = np.zeros((at.STATES, lanes), np.float32)
    if options[at.REST_IS_LEAK]:
        leak = parameters.detach().numpy()[at.LEAK]
        start[at.V].reshape(-1, leak.shape[0])[:] = leak
    return start


def _lanes(tensor: Tensor | None, lanes: int) -> NDArray[np.float32]:
    """A tensor (K, B, N) as an array (K, B*N)."""
    if tensor is None:
        return NOTHING
    return tensor.detach().contiguous().numpy().reshape(-1, lanes)
