"""Integrations that go on from where the call before ended, for functions that are called step by step.

A loop of modules computes one time step of each of them after the other. A `forward_func` knows nothing of that:
it integrates the inputs that it is given, from rest. Within `resuming(session)` the n-th integration of a
call starts from the state in which the n-th integration of the step before ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor


class CannotResumeError(RuntimeError):
    """A function that must see all time steps at once was called for one of them."""


class Session:
    """The states of all integrations of one function between time steps."""

    def __init__(self) -> None:
        self._before: list[Tensor] = []
        self._after: list[Tensor] = []

    @property
    def state(self) -> Tensor | None:
        """State from which the next integration of this step starts; None is rest."""
        number = len(self._after)
        return self._before[number] if number < len(self._before) else None

    def keep(self, last: Tensor | None) -> None:
        """Note the state in which an integration of this step ended."""
        if last is None:
            raise CannotResumeError("The integration does not tell its last state.")
        self._after.append(last)

    def advance(self) -> None:
        """The step is done: the next one starts from its states."""
        self._before, self._after = self._after, []

    def repeat(self) -> None:
        """The step was a trial: it is computed again from where it started."""
        self._after = []


_session: ContextVar[Session | None] = ContextVar("session", default=None)


@contextmanager
def resuming(session: Session | None) -> Iterator[None]:
    """Within this context integrations start from the states of a session, and leave theirs there."""
    token = _session.set(session)
    try:
        yield
    finally:
        _session.reset(token)


def current_session() -> Session | None:
    """The session of the surrounding `resuming`, if there is one."""
    return None if torch.compiler.is_compiling() else _session.get()  # which cannot see the variable


def needs_all_steps(name: str) -> None:
    """To be called by functions whose gradient runs over all time steps at once."""
    if current_session() is not None:
        raise CannotResumeError(f"{name} computes its gradient over all time steps at once.")
