"""Running a recorded chain of operations (`InferenceTracer`) again on other inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hxtorch.perceptron.elementwise import add, argmax, converting_relu, relu
from hxtorch.perceptron.product import matmul
from hxtorch.perceptron.tracer import FORMAT, InferenceTracer, note

__all__ = ["InferenceTracer", "inference_trace", "note"]


def inference_trace(input: Tensor, filename: str | Path) -> Tensor:
    """Run the recorded operations of a file on `input` and return the result of the last.

    A file that is no trace: ValueError.
    """
    value: Tensor = input
    for name, arguments in _read(Path(filename)):
        value = _OPERATIONS[name](value, **arguments)
    return value


def _product(x: Tensor, weights: Tensor, num_sends: int, wait: int, mock: bool) -> Tensor:
    rows = weights.shape[0]
    return matmul(x if x.shape[-1] == rows else x.reshape(-1, rows), weights, num_sends, wait, mock)


_OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "mac": _product,
    "add": add,
    "relu": relu,
    "converting_relu": converting_relu,
    "argmax": argmax,
}


def _read(path: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        content, arrays = FORMAT.loads(path.read_bytes())
        operations = []
        for index, settings in enumerate(content["operations"]):
            name = settings.pop("operation")
            if name not in _OPERATIONS:
                raise ValueError(f"it names the unknown operation {name!r}")
            tensors = {
                key.partition(".")[2]: torch.from_numpy(array)
                for key, array in arrays.items()
                if key.startswith(f"{index}.")
            }
            operations.append((name, {**settings, **tensors}))
    except (ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
        raise ValueError(f"{path} is no inference trace of this package: {error}.") from error
    return operations
