"""Everything that a handle, a gradient or a loss gives is that of its run, whatever a script does before and after.

Networks and sequences of actions are drawn at random; every value and gradient is compared with a plain model that
keeps nothing (`sequences.model`). `run_many.py` beside this file runs thousands, and finds out which kind of fault
a failing one belongs to.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from sequences.description import KINDS, Action, Cell, Net, Sequence
from sequences.draw import chip_sequences, sequences
from sequences.runner import play

import hxtorch

SETTINGS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
flips: Counter[bool] = Counter()


@pytest.fixture(autouse=True)
def alone():
    """One thread of torch, and the connection and the random numbers of other tests as they were."""
    threads, numbers = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_rng_state(numbers)
    hxtorch.release_hardware()


def is_right(sequence: Sequence) -> None:
    outcome = play(sequence)
    flips[outcome.flip] += 1
    assert outcome.fault is None, f"{outcome.fault}\n{sequence}"


@settings(SETTINGS, max_examples=100)
@given(sequences())
def test_what_you_read_is_what_ran(sequence):
    is_right(sequence)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_hidden_state(kind):
    settings(SETTINGS, max_examples=15)(given(sequences(kind))(is_right))()


@settings(SETTINGS, max_examples=12)
@given(chip_sequences(("ideal",)))
def test_on_the_virtual_chip(sequence):
    is_right(sequence)


def test_hardly_a_sequence_is_given_up():
    if flips.total() < 200:
        pytest.skip("needs the tests above")
    assert flips[True] < 0.02 * flips.total()


@pytest.mark.parametrize("change", ["step", "clamp", "alpha", "threshold", "mask", "refill", "evaluate"])
def test_the_sizes_where_results_come_late(change):
    net = Net(200, (Cell(size=64), Cell("LIF", 40)), batch=25, steps=50, density=0.02, seed=5)
    before = (Action("run"), Action("run"), Action(change, how="numpy" if change == "refill" else "", seed=3))
    after = [Action(name, run=seed % 2, seed=seed) for name in ("backward", "hook", "grad_of") for seed in range(4)]
    is_right(Sequence((net,), (*before, *after, Action("read", seed=98), Action("check", seed=4))))


def test_the_model_disagrees_with_another_network():
    """The comparison can fail: a network that was changed behind its back is found."""
    for name in ("weight", "threshold"):
        outcome = play(Sequence((Net(density=0.5),), (Action("spoil", how=name), Action("check"))))
        assert outcome.fault is not None and "differs" in outcome.fault
