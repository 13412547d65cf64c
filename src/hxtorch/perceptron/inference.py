"""Running a recorded chain of operations (`InferenceTracer`) again on other inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hxtorch._files.formats import Format
from hxtorch._files.whole import write_whole

_FORMAT = Format(
    "hxtorch inference trace", "inference trace of this package", 1, version_key=None, header="content.npy"
)
_tracers: list[InferenceTracer] = []


class InferenceTracer:
    """Records the operations between `start` and `stop`, each of which takes the result of the one before.

    Reshaping in between is allowed, arithmetic in torch is not: `stop` then raises RuntimeError.
    """

    def __init__(self, filename: str | Path) -> None:
        self.path = Path(filename)
        self._names: list[str] = []
        self._settings: list[dict[str, Any]] = []
        self._arrays: dict[str, np.ndarray] = {}
        self._last: Tensor | None = None
        self._broken: str | None = None

    def start(self) -> None:
        """Begin to record; RuntimeError if it does already."""
        if self in _tracers:
            raise RuntimeError(f"The tracer of {self.path} is recording already. Call stop() first.")
        self.__init__(self.path)  # type: ignore[misc]
        _tracers.append(self)

    def stop(self) -> list[str]:
        """Write the file and return the names of the recorded operations."""
        if self not in _tracers:
            raise RuntimeError(f"The tracer of {self.path} is not recording. Call start() first.")
        _tracers.remove(self)
        if self._broken:
            raise RuntimeError(self._broken)
        write_whole(self.path, _FORMAT.dumps({"operations": self._settings}, self._arrays))
        return list(self._names)

    def _note(self, name: str, input: Tensor, result: Tensor, settings: dict[str, Any]) -> None:
        if self._last is not None and not torch.equal(self._last.flatten(), input.detach().flatten()):
            self._broken = self._broken or (
                f"The input of operation {len(self._names)} ({name}) is not the result of the one before "
                f"({self._names[-1]}), so the trace cannot be run again. Use operations of hxtorch.perceptron "
                "only, one after another."
            )
        plain: dict[str, Any] = {"operation": name}
        for key, value in settings.items():
            if isinstance(value, Tensor):
                self._arrays[f"{len(self._names)}.{key}"] = value.detach().cpu().numpy()
            else:
                plain[key] = value
        self._names.append(name)
        self._settings.append(plain)
        self._last = result.detach()


def note(name: str, input: Tensor, result: Tensor, **settings: Any) -> None:
    """Tell all recording tracers of an operation; called by the operations."""
    for tracer in _tracers:
        tracer._note(name, input, result, settings)


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
        content, arrays = _FORMAT.loads(path.read_bytes())
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
