"""The forward and the backward pass through time of the fused kernels: memory and threads, without autograd."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxtorch.shapes import F32, ColumnWeights, LaneStates, RecurrentRows
from hxtorch.snn.functional.kernels import layout as at
from hxtorch.snn.functional.kernels.arguments import (
    NO_LISTS,
    NO_MARK,
    NO_MARKS,
    NO_PARTS,
    NOTHING,
    BackwardRoom,
    Chip,
    Computed,
    Equations,
    ForwardRoom,
    InputGradients,
    Known,
    Lists,
    OutputGradients,
    Received,
    Sizes,
)
from hxtorch.snn.functional.kernels.backward import propagate
from hxtorch.snn.functional.kernels.forward import integrate_lanes
from hxtorch.snn.functional.kernels.threads import share
from hxtorch.snn.functional.memory.spikes import SpikeIndex, SpikeList
from hxtorch.snn.functional.memory.workspace import empty
from hxtorch.snn.functional.model.packing import Options
from hxtorch.snn.functional.products.sums import SHARES, add_parts, empty_parts, weight_gradient
from hxtorch.snn.shapes import ColumnGradients, PackedParameters, RecurrentWeights, StateRows, TimeBatchNeuron

PARALLEL_FROM = 60_000  # lanes times steps; below, a second thread costs more than it saves


@dataclass(frozen=True, eq=False)
class Given:
    """What the neurons receive, of `shape` (T, B, N): `x`, or the sum of `columns` over spikes in `index`.

    `columns` are transposed weights (in, padded(N)), see `products.sums.transposed`.
    `recurrent` are transposed weights (N, N), `chip` measured membrane, spikes and adaptation. All of it is memory
    of the run: nobody else writes to it.
    """

    shape: tuple[int, int, int]
    parameters: PackedParameters
    options: Options
    x: TimeBatchNeuron | None = None
    index: SpikeIndex | None = None
    columns: ColumnWeights | None = None
    recurrent: RecurrentRows | None = None
    state: StateRows | None = None
    chip: tuple[TimeBatchNeuron | None, ...] = (None, None, None)


class Forward(NamedTuple):
    """What the forward pass computes: states (T, B, N), `last` (4, B, N), and what backward needs.

    `listed` is their index, where they were listed while they were made.
    """

    membrane: TimeBatchNeuron | None
    current: TimeBatchNeuron | None
    spikes: TimeBatchNeuron | None
    adaptation: TimeBatchNeuron | None
    last: StateRows
    before: TimeBatchNeuron | None  # membrane before reset
    marks: Tensor | None
    listed: SpikeIndex | None


class Saved(NamedTuple):
    """What the backward pass takes from the forward pass; None where it has no need of it."""

    parameters: PackedParameters
    recurrent: RecurrentWeights | None
    state: StateRows | None
    v_chip: TimeBatchNeuron | None
    before: TimeBatchNeuron | None
    marks: Tensor | None
    membrane: TimeBatchNeuron | None
    current: TimeBatchNeuron | None
    adaptation: TimeBatchNeuron | None
    spikes: TimeBatchNeuron | None


class Gradients(NamedTuple):
    """Gradients of the input (or of the columns that it was summed from), parameters, recurrent weights, state."""

    x: TimeBatchNeuron | None
    columns: ColumnGradients | None
    parameters: PackedParameters | None
    recurrent: RecurrentWeights | None
    state: StateRows | None


def run_forward(given: Given, saving: bool, keep_membrane: bool = True, keep_current: bool = True) -> Forward:
    """The forward pass; `saving` also what a backward pass needs."""
    steps, entries, size = shape = given.shape
    lanes = entries * size
    options = given.options
    fire, adaptive = bool(options[at.FIRE]), bool(options[at.ADAPTATION])
    v_chip, z_chip, w_chip = given.chip
    membrane = empty(shape) if keep_membrane else None
    current = empty(shape) if keep_current else None
    spikes = empty(shape) if fire else None
    adaptation = empty(shape) if adaptive else None
    before = empty(shape) if saving and fire and v_chip is None else None
    marked = saving and fire and (options[at.REFRACTORY_PERIOD] or z_chip is not None)
    marks = empty(shape, torch.uint8) if marked else None
    last = empty((at.STATES, entries, size))
    parallel = steps * lanes >= PARALLEL_FROM
    # The next synapses will ask where the spikes are, which is cheap to note while they are made.
    listed = SpikeList(steps * entries, size) if spikes is not None and z_chip is None and parallel else None
    # Where membrane and spikes are those of the chip, the input moves the current alone.
    needed = keep_current or v_chip is None or (fire and z_chip is None) or (adaptive and w_chip is None)
    index = given.index if needed else None
    x = given.x if needed else None
    recurrent = NOTHING if given.recurrent is None or not needed else given.recurrent
    whole = recurrent.shape[0] > 0 or listed is not None or index is not None
    group = _group(size, whole, recurrent.shape[0] > 0)
    columns = NOTHING if index is None or given.columns is None else given.columns
    arguments = (
        Sizes(steps, size, group),
        Received(_lanes(x, lanes), _lists(index), columns),
        _equations(given.parameters, options, recurrent, given.state, lanes),
        Chip(_lanes(v_chip, lanes), _lanes(z_chip, lanes), _lanes(w_chip, lanes)),
        Computed(
            _lanes(membrane, lanes),
            _lanes(current, lanes),
            _lanes(spikes, lanes),
            _lanes(adaptation, lanes),
            _lanes(before, lanes),
            _marks(marks, lanes),
            _lanes(last, lanes),
        ),
        NO_LISTS if listed is None else Lists(listed.start, listed.stop, listed.columns),
    )

    def work(begin: int, end: int) -> None:
        width = min(group, end - begin)
        room = ForwardRoom(
            _blocks(width, at.FORWARD_ROWS),
            np.empty(width if whole else 0, np.float32),
            np.empty(recurrent.shape[0], np.int64),
        )
        integrate_lanes(*arguments, room, begin, end)

    share(work, lanes, parallel, multiple=size if whole else 16)
    found = None if listed is None else listed.index()
    return Forward(membrane, current, spikes, adaptation, last, before, marks, found)


def run_backward(
    grads: tuple[Tensor | None, ...],
    saved: Saved,
    shape: tuple[int, int, int],
    options: Options,
    alpha: float,
    index: SpikeIndex | None = None,
    *,
    of_x: bool = True,
    of_parameters: bool = False,
    of_recurrent: bool = False,
    of_state: bool = False,
) -> Gradients:
    """The backward pass. With the `index` of the input spikes it also gives the gradient of the columns (in, N)."""
    steps, entries, size = shape
    lanes = entries * size
    grad_v, grad_i, grad_z, grad_w, grad_last = grads
    grad_x = empty(shape) if of_x or of_recurrent else None
    grad_state = torch.from_numpy(np.zeros((at.STATES, entries, size), np.float32))
    grad_parameters = np.zeros((at.PARAMETERS, lanes), np.float32) if of_parameters else NOTHING
    recurrent = NOTHING if saved.recurrent is None else saved.recurrent.detach().contiguous().numpy()
    connected = recurrent.shape[0] > 0
    group = _group(size, connected or index is not None, connected)
    # A share of the batch entries has its own sum, whatever the number of threads: for the order of summation.
    parts = None if index is None else empty_parts(index.size, size)
    arguments = (
        Sizes(steps, size, group),
        np.float32(alpha),
        _lists(index),
        NO_PARTS if parts is None else parts.numpy(),
        OutputGradients(
            _lanes(grad_v, lanes),
            _lanes(grad_i, lanes),
            _lanes(grad_z, lanes),
            _lanes(grad_w, lanes),
            _lanes(grad_last, lanes),
        ),
        _equations(saved.parameters, options, recurrent, saved.state, lanes),
        _known(saved, bool(options[at.FIRE]), lanes),
        InputGradients(_lanes(grad_x, lanes), _lanes(grad_state, lanes), grad_parameters),
    )

    def work(begin: int, end: int) -> None:
        width = min(group, end - begin if parts is None else -(-entries // SHARES) * size)
        room = BackwardRoom(
            _blocks(width, at.BACKWARD_ROWS),
            np.empty(width if connected or index is not None else 0, np.float32),
            np.empty(width if connected else 0, np.float32),
            NO_MARK,
            NOTHING,
        )
        propagate(*arguments, room, begin, end)

    parallel = steps * lanes >= PARALLEL_FROM
    if parts is None:
        share(work, lanes, parallel, multiple=size if connected else 16)
    else:
        share(work, SHARES, parallel)
    values = loop = None
    if of_parameters:
        if options[at.REST_IS_LEAK]:
            grad_parameters[at.LEAK] += _lanes(grad_state, lanes)[at.V]
        values = _sum_over_lanes(grad_parameters, saved.parameters.shape[1])
    if of_recurrent:
        assert saved.spikes is not None and grad_x is not None
        loop = weight_gradient(saved.spikes, grad_x.view(-1, size))
    return Gradients(
        grad_x if of_x else None,
        None if parts is None else add_parts(parts, size),
        values,
        loop,
        grad_state if of_state else None,
    )


def _known(saved: Saved, fire: bool, lanes: int) -> Known:
    """What the forward pass has left, as the kernel reads it: `before` is what the surrogate gradient sees."""
    before = saved.before if fire else saved.membrane
    if saved.v_chip is not None:
        before = saved.v_chip
    return Known(
        _lanes(saved.v_chip, lanes),
        _lanes(before, lanes),
        _marks(saved.marks, lanes),
        _lanes(saved.membrane, lanes),
        _lanes(saved.current, lanes),
        _lanes(saved.adaptation, lanes),
    )


def _sum_over_lanes(of_lanes: F32, period: int) -> PackedParameters:
    """Gradients (PARAMETERS, period) of parameters from those of lanes, (PARAMETERS, lanes)."""
    if period > 1:
        found = of_lanes.reshape(at.PARAMETERS, -1, period).sum(1, dtype=np.float64)
    else:
        found = of_lanes.sum(1, keepdims=True, dtype=np.float64)
    return torch.from_numpy(found.astype(np.float32))


def _group(size: int, whole: bool, connected: bool) -> int:
    """Lanes that are integrated together: batch entries where they must be `whole`, more if they are connected."""
    if connected:
        return at.BATCH_BLOCK * size
    return max(1, at.BLOCK // size) * size if whole else at.BLOCK


def _blocks(lanes: int, rows: int) -> F32:
    """Room for the blocks of a group, (blocks, rows * STRIDE), from the beginning of a cache line on."""
    count, width = -(-lanes // at.BLOCK), rows * at.STRIDE
    memory = np.empty(count * width + 15, np.float32)
    first = -memory.ctypes.data % 64 // 4
    return memory[first : first + count * width].reshape(count, width)


def _equations(
    parameters: PackedParameters, options: Options, recurrent: F32, state: StateRows | None, lanes: int
) -> Equations:
    start = start_state(state, parameters, lanes, options)
    return Equations(parameters.detach().numpy(), _as_array(options), recurrent, start)


def start_state(state: StateRows | None, parameters: PackedParameters, lanes: int, options: Options) -> LaneStates:
    """The state before the first step, (STATES, lanes): the given one, or rest."""
    if state is not None:
        return _lanes(state, lanes)
    start = np.zeros((at.STATES, lanes), np.float32)
    if options[at.REST_IS_LEAK]:
        leak = parameters.detach().numpy()[at.LEAK]
        start[at.V].reshape(-1, leak.shape[0])[:] = leak
    return start


@lru_cache(maxsize=64)
def _as_array(options: Options) -> NDArray[np.int64]:
    """Options for the kernels, which only read them."""
    return np.array(options)


def _lists(index: SpikeIndex | None) -> Lists:
    return NO_LISTS if index is None else Lists(index.start, index.stop, index.columns)


def _marks(marks: Tensor | None, lanes: int) -> NDArray[np.uint8]:
    return NO_MARKS if marks is None else marks.numpy().reshape(-1, lanes)


def _lanes(tensor: Tensor | None, lanes: int) -> F32:
    """A tensor (K, B, N) as an array (K, B*N)."""
    if tensor is None:
        return NOTHING
    if tensor.requires_grad:
        tensor = tensor.detach()
    return tensor.contiguous().numpy().reshape(-1, lanes)
