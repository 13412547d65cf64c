"""Recording a chain of operations to a file, which `hxtorch.perceptron.inference` runs again.

The file holds arrays and JSON (numpy's `.npz`), never code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hxtorch._files.formats import Format
from hxtorch._files.whole import write_whole

FORMAT = Format("hxtorch inference trace", "inference trace", 1, version_key=None, header="content.npy")
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
        write_whole(self.path, FORMAT.dumps({"operations": self._settings}, self._arrays))
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
