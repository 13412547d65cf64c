"""What a module asked the chip for in its last run, to tell whether that has changed since."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

State = Mapping[str, tuple[Any, ...]]


def snapshot(state: State) -> State:
    """A copy that later changes in place do not reach."""
    return {name: tuple(_copied(item) for item in items) for name, items in state.items()}


def same(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether all items are equal; tensors by their values."""
    return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))


def function_state(function: Callable[..., Any]) -> tuple[Any, ...]:
    """A function, and the arguments bound to it, which scripts change in place."""
    if isinstance(function, partial):
        return (
            function.func,
            *function.args,
            *(part for item in sorted(function.keywords.items()) for part in item),
        )
    return (function,)


def _copied(item: Any) -> Any:
    return item.detach().clone() if isinstance(item, Tensor) else item


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and a.device == b.device and bool(torch.equal(a, b))
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return False
    return bool(a is b or a == b)
