"""Tensors that are computed when somebody asks for them.

Most of what neurons could show is never looked at. Writing it to memory takes longer than computing it, so it
waits here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]


class Postponed:
    """A computation with one or more tensors as results, done once, when the first of them is asked for.

    `compute` gives the results with their gradients, in the grad mode of now. `values` gives them without, from
    what later changes do not reach; it is taken where there are no gradients, and after one of the `operands`
    was written to in place, as an optimizer does with weights.
    """

    def __init__(
        self, operands: tuple[Tensor | None, ...], compute: Callable[[], Tensors], values: Callable[[], Tensors]
    ) -> None:
        self._compute: Callable[[], Tensors] | None = compute
        self._values: Callable[[], Tensors] | None = values
        self._operands = tuple(t for t in operands if t is not None and not t.is_inference())
        self._versions = tuple(t._version for t in self._operands)
        self._with_gradient = torch.is_grad_enabled()
        self._results: Tensors | None = None
        self._detached: Tensors | None = None

    @property
    def done(self) -> bool:
        """Whether the results are there, with their gradients."""
        return self._results is not None

    def results(self) -> Tensors:
        """All results, with gradients where they have any."""
        if self._results is None:
            unchanged = all(t._version == v for t, v in zip(self._operands, self._versions, strict=True))
            if self._with_gradient and unchanged:
                assert self._compute is not None
                with torch.enable_grad():
                    self._results = self._compute()
            else:
                self._results = self.detached()
            self._compute = self._values = None
            self._operands, self._versions = (), ()
        return self._results

    def detached(self) -> Tensors:
        """All results without gradients; what belongs to gradients is neither computed nor kept."""
        if self._results is not None:
            return tuple(tensor.detach() for tensor in self._results)
        if self._detached is None:
            assert self._values is not None
            with torch.no_grad():
                self._detached = self._values()
        return self._detached


class Later:
    """A tensor that is computed when it is first asked for: one result of a `Postponed`, or a part of it."""

    def __init__(self, source: Postponed, number: int = 0, part: Callable[[Tensor], Tensor] | None = None) -> None:
        self.source = source
        self._number = number
        self._part = part

    @property
    def like(self) -> Tensor:
        """A tensor of the dtype and on the device of this one, of any shape."""
        return self.get()

    def get(self) -> Tensor:
        """The tensor."""
        return self._picked(self.source.results())

    def detached(self) -> Tensor:
        """The tensor without gradient."""
        return self._picked(self.source.detached())

    def part(self, of: Callable[[Tensor], Tensor]) -> Later:
        """What `of` makes of the tensor."""
        before = self._part
        return Later(self.source, self._number, of if before is None else lambda tensor: of(before(tensor)))

    def _picked(self, results: Tensors) -> Tensor:
        tensor = results[self._number]
        return tensor if self._part is None else self._part(tensor)


@overload
def now(value: Tensor | Later) -> Tensor: ...
@overload
def now(value: Tensor | Later | None) -> Tensor | None: ...
def now(value: Tensor | Later | None) -> Tensor | None:
    """The tensor itself; None stays None."""
    return value.get() if isinstance(value, Later) else value
