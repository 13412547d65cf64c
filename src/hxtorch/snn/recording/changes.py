"""What a module asked the chip for in its last run, to tell whether that has changed since."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
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
    if isinstance(item, Tensor):
        return item.detach().clone()
    return copy.deepcopy(item) if isinstance(item, (np.ndarray, list, dict)) else item


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape or a.device != b.device:
            return False
        return bool(((a == b) | ((a != a) & (b != b))).all())  # NaN is a value, too: that of an unused potential
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return False
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return type(a) is type(b) and a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())
    return bool(a is b or a == b)
