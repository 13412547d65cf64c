"""What a run is given: the inputs of the user, as they are at the moment of `run`.

The memory of an input is not ours: a loader fills it again, numpy or another process writes to it, and no version
counter of torch tells. So a run takes its inputs down once, as copies or as lists of spikes, and computes values,
later readings and gradients from these alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hxtorch.snn.functional.carried import Carried
from hxtorch.snn.functional.linear import spikes_at_once
from hxtorch.snn.functional.memory.spikes import CarriedSpikes, carried_spikes
from hxtorch.snn.graph.contract import Member, Node
from hxtorch.snn.graph.graph import Graph
from hxtorch.snn.handles.handle import Handle
from hxtorch.snn.refusals import all_finite


def take_inputs(graph: Graph) -> None:
    """Let the nodes of a graph read what the user's handles hold now; `Node.given` are the handles themselves.

    Arrays, lists and sparse tensors become dense tensors. Missing, misshapen or unusable inputs: ValueError or
    TypeError.
    """
    readers: dict[int, tuple[Handle, list[Node]]] = {}
    for node, handle in graph.open_inputs:
        readers.setdefault(id(handle), (handle, []))[1].append(node)
    taken = {key: _taken(handle, nodes) for key, (handle, nodes) in readers.items()}
    batch: tuple[int, Member] | None = None
    for node, handle in graph.open_inputs:
        field = node.module.input_field
        if field is None:
            continue
        entries = _peek(taken[id(handle)], field, node.module).shape[1]
        if batch is None:
            batch = entries, node.module
        elif entries != batch[0]:
            raise ValueError(
                f"The inputs have unequal batch sizes: {batch[0]} for {batch[1]}, {entries} for {node.module}. "
                "Give all inputs the same."
            )
    for node in graph.modules_in_order:
        node.given = node.inputs
        node.inputs = tuple(taken.get(id(handle), handle) for handle in node.inputs)


def spikes_of(handle: Handle) -> CarriedSpikes:
    """The spikes (T, B, size) that a handle holds."""
    spikes = handle.peek("spikes")
    assert spikes is not None
    return carried_spikes(spikes)


def open_handles(graph: Graph) -> list[Handle]:
    """The handles that the user gave, each once, in the order of the graph."""
    handles: dict[int, Handle] = {}
    for _, handle in graph.open_inputs:
        handles.setdefault(id(handle), handle)
    return list(handles.values())


def _taken(handle: Handle, readers: list[Node]) -> Handle:
    """A handle of the run with what its readers need of the user's `handle`; the rest is passed on."""
    own = handle.shallow_copy()
    found: dict[str, Carried] = {}
    for node in readers:
        field = node.module.input_field
        if field is None:
            continue
        if field in found:
            _check_shape(found[field].shape, node.module, field)
        else:
            found[field] = _checked(_peek(handle, field, node.module), node.module, field)
    own.put(**found)
    if any(node.module.input_field is None for node in readers):  # which may read anything
        for name in own.names():
            value = own.peek(name)
            if isinstance(value, Tensor) and value.layout == torch.strided:
                own.put(**{name: value.clone()})
    return own


def _peek(handle: Handle, field: str, module: Member) -> Any:
    value = handle.peek(field) if field in handle.names() else None
    if value is None:
        raise ValueError(
            f"An input of {module} holds no {field}. Give a handle with {field}, and call all "
            "modules again before each run: their output handles are filled once."
        )
    return value


def _checked(value: Any, module: Member, field: str) -> Carried:
    """The input of `module`, taken down and found fit."""
    given = value.read() if isinstance(value, Carried) else value
    tensor = _dense_tensor(given, module, field)
    _check_shape(tensor.shape, module, field)
    # Where the synapses will look for spikes anyway, they do so here: an entry that is not finite is no spike.
    listed = spikes_at_once(tensor, module.output_size) if field == "spikes" else None
    if listed is not None:
        return listed
    copy = tensor.clone() if tensor is given else tensor
    if not all_finite(copy):
        raise ValueError(f"The {field} given to {module} contain NaN or infinite values. Give finite ones.")
    return CarriedSpikes(copy)


def _dense_tensor(value: Any, module: Member, field: str) -> Tensor:
    """Arrays, lists and sparse tensors as dense tensors, of memory of their own; dense tensors as they are."""
    if isinstance(value, Tensor):
        if value.dtype.is_complex or value.is_quantized:
            raise TypeError(f"The {field} given to {module} are of type {value.dtype}. Give real numbers.")
        return value if value.layout == torch.strided else value.to_dense()
    if isinstance(value, list | tuple) and value and all(isinstance(item, Tensor) for item in value):
        return _stacked(value, module, field)
    return _from_array(value, f"The {field} given to {module}")


def _stacked(rows: Sequence[Tensor], module: Member, field: str) -> Tensor:
    if len({item.shape for item in rows}) > 1:
        raise ValueError(
            f"The {field} given to {module} are a list of tensors of different shapes. Give one tensor."
        )
    return torch.stack([_dense_tensor(item, module, field) for item in rows])


def _from_array(value: Any, what: str) -> Tensor:
    if not isinstance(value, np.ndarray | list | tuple):
        raise TypeError(f"{what} are of type {type(value).__name__}. Give a tensor, an array or a list.")
    try:
        array = np.array(value)  # a copy
    except ValueError:
        raise ValueError(
            f"{what} are a list of rows of different lengths. Give a tensor, or rows of one length."
        ) from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} are an array of type {array.dtype}. Give real numbers.")
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)  # torch computes with few of the unsigned types
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))


def _check_shape(shape: torch.Size, module: Member, field: str) -> None:
    size = module.input_size
    if len(shape) != 3 or (size is not None and shape[2] != size):
        expected = f"(time, batch, {'features' if size is None else size})"
        raise ValueError(f"The {field} given to {module} have shape {tuple(shape)}, expected {expected}.")
    if 0 in shape:
        raise ValueError(
            f"The {field} given to {module} have shape {tuple(shape)}. "
            "Give at least one time step, batch entry and feature."
        )
