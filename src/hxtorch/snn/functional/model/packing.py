"""Parameters of neurons as the kernels read them: the rows of `layout` in one tensor."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxtorch.snn.functional.gradients.surrogate import surrogate
from hxtorch.snn.functional.kernels import layout as at
from hxtorch.snn.functional.model.neuron_model import Dynamics
from hxtorch.snn.functional.model.stepping import exponential_peak, step_decay, step_gain, step_rate
from hxtorch.snn.parameters.parameter import Value
from hxtorch.snn.shapes import PackedParameters

Options = tuple[int, ...]


def options_of(dynamics: Dynamics, from_rest: bool) -> Options:
    """Which terms there are, in the order of `layout`."""
    membrane, firing, exponential, adaptation = dynamics.terms
    return (
        int(membrane.leaky),
        int(firing is not None),
        int(exponential is not None),
        int(adaptation is not None),
        int(firing is not None and firing.refractory_steps is not None),
        surrogate(firing.method).code if firing else 0,
        int(from_rest and (membrane.leaky or adaptation is not None)),
        int(firing is not None and firing.threshold_at_spikes),
    )


def values_of(dynamics: Dynamics) -> tuple[Value, ...]:
    """The rows of `layout`, computed as the reference does."""
    membrane, firing, exponential, adaptation = dynamics.terms
    dt = dynamics.dt
    values: list[Value] = [0.0] * at.PARAMETERS
    values[at.LEAK] = membrane.leak
    values[at.DECAY] = step_decay(membrane.tau_syn, dt, "tau_syn")
    values[at.GAIN] = step_gain(membrane, dt)
    values[at.CONDUCTANCE] = membrane.g
    if exponential:
        values[at.EXP_GAIN] = membrane.g * exponential.slope
        values[at.EXP_SLOPE] = exponential.slope
        values[at.EXP_THRESHOLD] = exponential.threshold
        peak = exponential_peak(exponential, firing)
        values[at.THRESHOLD] = math.inf if peak is None else peak
    if firing:
        values[at.THRESHOLD] = firing.threshold
        values[at.RESET] = firing.reset
        values[at.REFRACTORY] = 0.0 if firing.refractory_steps is None else firing.refractory_steps
    if adaptation:
        values[at.ADAPT_DECAY] = step_decay(adaptation.tau, dt, "tau_adap")
        values[at.ADAPT_PULL] = step_rate(adaptation.tau, dt, "tau_adap") * adaptation.subthreshold
        values[at.ADAPT_STEP] = adaptation.increment
    return tuple(values)


def pack(values: tuple[Value, ...], input_shape: tuple[int, ...]) -> PackedParameters:
    """All parameters in one tensor (PARAMETERS, period), where the period is 1, N or B*N."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    if not tensors:
        return _pack_numbers(values)  # type: ignore[arg-type]  # no tensor among them
    _, entries, size = input_shape
    # Torch's own function imports a package for symbols, which takes 1.4 s.
    shape: tuple[int, ...] = np.broadcast_shapes((1,), *(tuple(tensor.shape) for tensor in tensors))
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
        row = (
            value.to(torch.float32)
            if isinstance(value, Tensor)
            else torch.full((1,), value, dtype=torch.float32, device="cpu")
        )
        if row.ndim > len(shape):  # (1, N) for every batch
            row = row.reshape(-1)
        rows.append(row.expand(shape).reshape(-1))
    return torch.stack(rows)


def _pack_numbers(values: tuple[float, ...]) -> PackedParameters:
    # A tensor made anew each time: it belongs to the mode and the device in which it was made.
    return torch.from_numpy(_numbers(values).copy())


@lru_cache(maxsize=256)
def _numbers(values: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(values, np.float32)[:, None]
