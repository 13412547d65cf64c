"""What is refused at the door: run times, inputs and weights that no network can use."""

from __future__ import annotations

import math
import sys
import warnings
from numbers import Integral
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from hxtorch.snn.functional.gradients.surrogate import check_alpha
from hxtorch.snn.functional.memory.spikes import carried_spikes
from hxtorch.snn.functional.model.stepping import check_dt
from hxtorch.snn.model_values import check_model_values
from hxtorch.twin.coordinates import CYCLES_PER_US, MAX_RUNTIME_CYCLES

if TYPE_CHECKING:
    from hxtorch.snn.graph import Graph, Node
    from hxtorch.snn.modules.base import HXBaseExperimentModule
    from hxtorch.snn.modules.population import Population


def positive_int(name: str, value: Any) -> int:
    """`value` if it is a whole number above zero, else ValueError or TypeError."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} is {value!r}, but must be a whole number.")
    number = int(value)
    if number < 1:
        raise ValueError(f"{name} is {number}, but must be at least 1.")
    return number


def check_runtime(runtime: Any, dt: float) -> int:
    """The run time on the chip in steps of `dt`, if it is a whole number that the timer holds."""
    if isinstance(runtime, bool) or not isinstance(runtime, Integral):
        raise ValueError(f"Requested runtime invalid. It is {runtime!r}, but must be a whole number of time steps.")
    steps = int(runtime)
    longest = int(MAX_RUNTIME_CYCLES / (dt * 1e6 * CYCLES_PER_US))
    if steps < 0:
        raise ValueError(f"Requested runtime invalid. It is {runtime}, but must not be negative.")
    if steps > longest:
        raise ValueError(f"Runtime of {runtime} to long. Maximum supported runtime {longest} steps of {dt:g} s.")
    return steps


def check_graph(graph: Graph) -> None:
    """ValueError if a tensor in the network has a shape or values that it cannot be computed with."""
    for node in graph.modules_in_order:
        _check_weights(node.module)
        for source in node.predecessors:
            if source is not None:
                _check_connection(source, node)


def check_model(graph: Graph, dt: float) -> None:
    """ValueError if parameters of the model are out of their limits, however they came there.

    One warning for all time constants that are shorter than the time step.
    """
    check_dt(dt)
    lines: list[str] = []
    for node in graph.modules_in_order:
        if node.module.remembers:
            module = cast("Population", node.module)
            lines += check_model_values(module, dt)
            check_alpha(getattr(module, "alpha", 50.0))
    if lines:
        warn_user(
            f"Time constants of the model are shorter than its time step of {dt:g} s: {', '.join(lines)}. They "
            "decay by exp(-dt/tau) per step, which is stable, but nothing happens within a step. Choose a smaller "
            "dt of the experiment."
        )


def check_chip_input(graph: Graph, runtime: int) -> None:
    """What the chip needs beyond `check_graph`: a run that covers the inputs; a warning for graded spikes."""
    graded = False
    for node, handle in graph.open_inputs:
        field = node.module.input_field
        given = None if field is None else handle.peek(field)
        if given is None:
            continue
        steps = given.shape[0]
        if runtime < steps:
            raise ValueError(
                f"Requested runtime invalid. It is {runtime} steps, but the input of {node.module} has "
                f"{steps}. Run for at least {steps} steps."
            )
        if field == "spikes" and not graded:
            spikes = carried_spikes(given)
            graded = not spikes.has_index and not _zeros_and_ones(spikes.values())
    if graded:
        warn_user(
            "Input spikes are neither 0 nor 1. The chip receives one event for every entry that is not 0, "
            "its value is ignored."
        )


def _zeros_and_ones(tensor: Tensor) -> bool:
    return tensor.dtype == torch.bool or torch.equal(tensor.square(), tensor)


def _check_weights(module: HXBaseExperimentModule) -> None:
    for name, parameter in module.named_parameters(recurse=False):
        if not all_finite(parameter):
            raise ValueError(f"The {name} of {module} contains NaN or infinite values. Set finite ones.")


def _check_connection(source: Node, target: Node) -> None:
    field = target.module.input_field
    if field is not None and field not in source.output.names():
        raise ValueError(
            f"{target.module} reads {field}, but {source.module} gives {', '.join(source.output.names())}. "
            "Put a module that gives them in between."
        )
    given, expected = source.module.output_size, target.module.input_size
    if given is not None and expected is not None and given != expected:
        raise ValueError(
            f"{target.module} expects {expected} features, but {source.module} gives {given}. Make the sizes agree."
        )


def all_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinite values."""
    if not tensor.is_floating_point():
        return True
    # One reduction is much cheaper than an elementwise test; only an overflow of the sum needs the latter.
    # And a number of Python tells in a tenth of the time of torch's own test.
    total = tensor.detach().sum()
    return (not total.is_meta and math.isfinite(total.item())) or bool(torch.isfinite(tensor).all())


def check_wait(cycles: int) -> int:
    """Wait between batch entries in cycles of 8 ns; TypeError or ValueError if the chip's timer cannot hold it."""
    if isinstance(cycles, bool) or not isinstance(cycles, Integral):
        raise TypeError(f"inter_batch_entry_wait is {cycles!r}, but must be a whole number of cycles of 8 ns.")
    if not 0 <= cycles <= MAX_RUNTIME_CYCLES:
        raise ValueError(
            f"inter_batch_entry_wait is {cycles} cycles of 8 ns, but the chip's timer holds 0 to "
            f"{MAX_RUNTIME_CYCLES} (34 s)."
        )
    return int(cycles)


def warn_user(message: str) -> None:
    """Give a UserWarning that points at the user's line: the nearest caller outside of hxtorch and torch."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("hxtorch", "torch"):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)
