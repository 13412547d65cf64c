"""Tensors of a run on their way from one module to the next.

Most of what neurons could show is never looked at, and writing it to memory takes longer than computing it. So a
`Carried` tensor takes part in the autograd graph from the run on, like any other, but may get its numbers only when
somebody reads it. Two rules make that invisible:

* Whatever fills it later was copied in the run: no weight, parameter or input that a script can write to.
* Memory that the run still needs, for its gradients or to fill other tensors, is never handed out: who reads a
  tensor gets memory of his own, in the same place of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Fill = Callable[[], Tensor]


class Carried:
    """One tensor. Give `fill` with a `blank` tensor: it returns the numbers, computed from what the run keeps."""

    def __init__(self, tensor: Tensor, fill: Fill | None = None) -> None:
        self._tensor = tensor
        self._fill = fill
        self._kept = False
        self._read = False
        self._watched = False

    @property
    def shape(self) -> torch.Size:
        """Shape of the tensor."""
        return self._tensor.shape

    @property
    def like(self) -> Tensor:
        """The tensor for its shape, dtype, device and place in the graph; its numbers may not be there yet."""
        return self._tensor

    @property
    def is_private(self) -> bool:
        """Whether nobody outside of the run has seen the tensor."""
        return not self._read

    @property
    def is_filled(self) -> bool:
        """Whether the numbers are there."""
        return self._fill is None

    @property
    def is_watched(self) -> bool:
        """Whether gradients may come to the tensor, or be seen there, other than from those who compute with it."""
        return self._read or self._watched

    def watch(self) -> None:
        """Note that gradients come to the tensor itself."""
        self._watched = True

    def values(self) -> Tensor:
        """The tensor with its numbers, for the run: neither write to it nor hand it out.

        Who computes with it sends gradients to it.
        """
        self._watched = True
        if self._fill is not None:
            with torch.inference_mode(False), torch.no_grad():
                self._move(self._fill())
            self._fill = None
        return self._tensor

    def keep(self) -> Tensor:
        """The numbers, for the gradient of the run or to compute more from them later; without gradient.

        Nobody else will write to them: who reads the tensor from now on gets a copy.
        """
        numbers = self.values().data  # counts versions by itself, unlike detach()
        if self._read:
            return numbers.clone()
        self._kept = True
        return numbers

    def operand(self) -> Tensor:
        """The tensor for an operation of torch, which may save it for its gradient."""
        tensor = self.values()
        if not torch.is_grad_enabled() or _is_traced():
            return tensor
        if self._read:
            return tensor.clone()
        self._kept = True
        return tensor.view_as(tensor)

    def read(self) -> Tensor:
        """The tensor for scripts, which may do with it what they like."""
        tensor = self.values()
        if not self._read:
            if self._kept and tensor.requires_grad:
                with torch.inference_mode(False):
                    self._move(tensor.data.clone())
            elif self._kept:
                self._tensor = tensor.clone()
            self._read = True
        return self._tensor

    def detached(self) -> Carried:
        """The same numbers outside of the graph, which this one does not keep alive."""
        if self._fill is not None:
            return Carried(blank(self.shape, self._tensor.dtype, self._tensor.device), self._fill)
        other = Carried(self._tensor.data)
        other._kept = True
        return other

    def _move(self, numbers: Tensor) -> None:
        """Give the tensor other memory. Its place in the graph stays; without a gradient it has none."""
        if self._tensor.requires_grad:
            self._tensor.data = numbers
        else:
            self._tensor = numbers


def _is_traced() -> bool:
    """Whether torch follows what happens to tensors by other means than its graph of gradients."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def blank(shape: Sequence[int], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Tensor:
    """A tensor without memory to speak of, in the place of one that is filled later."""
    return torch.empty_strided(tuple(shape), (0,) * len(shape), dtype=dtype, device=device)


def carried(value: Tensor | Carried) -> Carried:
    """A tensor that somebody else holds as well, as a carried one; a carried one stays what it is."""
    if isinstance(value, Carried):
        return value
    made = Carried(value)
    made.read()
    return made


def part_of(whole: Carried, of: Callable[[Tensor], Tensor]) -> Carried:
    """What `of` makes of a tensor, with its gradient, when it is read."""
    return _Part(whole, of)


class _Part(Carried):
    """A part of another tensor, taken when it is read, in the grad mode of the run."""

    def __init__(self, whole: Carried, of: Callable[[Tensor], Tensor]) -> None:
        super().__init__(whole.like)
        self._whole: Carried | None = whole
        self._of = of
        self._grad, self._inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    @property
    def shape(self) -> torch.Size:
        """Shape of the part."""
        return self.values().shape

    @property
    def like(self) -> Tensor:
        """The part."""
        return self.values()

    @property
    def is_filled(self) -> bool:
        """Whether the numbers are there."""
        return self._whole is None

    def detached(self) -> Carried:
        """The same numbers outside of the graph."""
        return super().detached() if self._whole is None else _Part(self._whole.detached(), self._of)

    def values(self) -> Tensor:
        """The part with its numbers."""
        if self._whole is not None:
            with torch.inference_mode(self._inference), torch.set_grad_enabled(self._grad):
                self._tensor = self._of(self._whole.read())
            self._whole = None
        return self._tensor
