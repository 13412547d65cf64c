"""The table of actions: a function for each `Action.name`."""

from __future__ import annotations

from collections.abc import Callable

from .description import Action
from .state import Live, State

Function = Callable[[State, Live, Action], None]
ACTIONS: dict[str, Function] = {}


def action(function: Function) -> Function:
    """Let `Action(name=...)` mean this function."""
    ACTIONS[function.__name__.rstrip("_")] = function
    return function


def perform(state: State, item: Action) -> None:
    """Do one action; networks and runs are counted around, so that every number names one."""
    ACTIONS[item.name](state, state.lives[item.net % len(state.lives)], item)
