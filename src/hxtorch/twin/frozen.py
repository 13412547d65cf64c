"""Dataclasses whose arrays nobody can change, so that what was derived from them stays right."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

A = TypeVar("A", bound=NDArray[Any])


def frozen(values: A) -> A:
    """The same values in memory of their own that is read-only; an array that is so already stays what it is."""
    if values.flags.writeable or values.base is not None:  # somebody may hold a way to change it
        values = values.copy()
        values.flags.writeable = False
    return values


class Frozen:
    """Base of frozen dataclasses with arrays: they become read-only copies, also in copies and from pickles."""

    def __post_init__(self) -> None:
        for item in fields(self):  # type: ignore[arg-type]  # subclasses are dataclasses
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, item.name, frozen(value))

    @cached_property
    def fingerprint(self) -> str:
        """Equal for objects of a class that are equal in everything, and only for them."""
        digest = hashlib.sha256()
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            part = value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
            digest.update(len(part).to_bytes(8, "little") + part)
        return digest.hexdigest()[:32]

    def __getstate__(self) -> dict[str, Any]:
        # without what was derived; numpy's copies and pickles of read-only arrays can be written to
        return {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        Frozen.__post_init__(self)
