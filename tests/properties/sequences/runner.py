"""Run a sequence, say what was wrong, make it smaller."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass, field, replace

import torch

from . import act_on_networks, act_on_results  # noqa: F401  # fill the table
from .description import KINDS, Sequence, contains, without
from .record import Flip, Wrong
from .state import start
from .table import perform


@dataclass
class Outcome:
    """Of a sequence: `fault` says what was wrong, `flip` that rounding ended it; `counts` what was compared."""

    fault: str | None = None
    flip: bool = False
    counts: Counter[str] = field(default_factory=Counter)


def play(sequence: Sequence) -> Outcome:
    """Run a sequence. Any error that an action does not expect is a fault too."""
    outcome = Outcome()
    state = None
    doing = "building the networks"
    torch.manual_seed(0)  # for the masks of dropouts, so that a sequence can be replayed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            state = start(sequence)
            for number, item in enumerate(sequence.actions):
                doing = f"action {number} ({item.name}{item.how and ' '}{item.how})"
                perform(state, item)
    except Flip:
        outcome.flip = True
    except Wrong as error:
        outcome.fault = f"{doing}: {error}"
    except Exception as error:
        outcome.fault = f"{doing}: {type(error).__name__}: {str(error).splitlines()[0]}"
    if state is not None:
        outcome.counts = state.counts
    return outcome


def fails(sequence: Sequence) -> bool:
    """Whether something is wrong with a sequence."""
    return play(sequence).fault is not None


def smaller(sequence: Sequence, tries: int = 60) -> Sequence:
    """A sequence that still fails, with as few actions and networks as a greedy search finds."""
    changed = True
    while changed and tries > 0:
        changed = False
        for place in reversed(range(len(sequence.actions))):
            shorter = replace(sequence, actions=sequence.actions[:place] + sequence.actions[place + 1 :])
            tries -= 1
            if shorter.actions and fails(shorter):
                sequence, changed = shorter, True
    for place in reversed(range(len(sequence.nets))):
        fewer = replace(sequence, nets=sequence.nets[:place] + sequence.nets[place + 1 :])
        if fewer.nets and fails(fewer):
            sequence = fewer
    return sequence


def kinds_of(sequence: Sequence) -> list[int]:
    """The kinds without which a failing sequence passes."""
    return [kind for kind in KINDS if contains(sequence, kind) and not fails(without(sequence, kind))]
