"""What a virtual chip keeps between runs: nothing that a change of its parts or another thread makes wrong."""

from __future__ import annotations

import copy
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from bench import neurons, program

from hxtorch.twin import (
    CommonConfig,
    Die,
    NeuronConfig,
    PlasticityConfig,
    Program,
    Record,
    Recording,
    RoutingConfig,
    VirtualChip,
    get_num_threads,
    set_num_threads,
)

CIRCUITS = [0, 1, 300]


def firing(threshold: float = 100.0, batch: int = 1, **registers: object) -> Program:
    """A program in which three circuits fire, and are recorded."""
    events = [(250 * n, n % 4) for n in range(4, 24)]
    cells = neurons(leak=80.0, reset=70.0, threshold=threshold, **registers)
    record = Record(spikes=np.array(CIRCUITS), cadc=np.array(CIRCUITS))
    return program(np.full((4, 3), 60), events, CIRCUITS, batch=batch, cells=cells, record=record)


def content(recording: Recording) -> tuple[bytes, ...]:
    assert recording.spikes is not None and recording.cadc is not None
    assert recording.spikes.time.size > 2
    spikes = recording.spikes
    return tuple(array.tobytes() for array in (spikes.entry, spikes.time, spikes.circuit, recording.cadc.value))


# --- Parts that change --------------------------------------------------------------------------------------


def test_another_die_step_or_noise() -> None:
    chip, wanted = VirtualChip(Die.from_seed(1)), firing()
    first = content(chip.run(wanted, 5))
    for name, value in (("die", Die.from_seed(2)), ("step", 0.25), ("noise", replace(chip.noise, cadc=3.0))):
        setattr(chip, name, value)
        fresh = VirtualChip(chip.die, chip.noise, chip.step)
        now = content(chip.run(wanted, 5))
        assert now == content(fresh.run(wanted, 5)) != first
        first = now


def test_weights_that_change_in_place() -> None:
    chip, wanted = VirtualChip(Die.from_seed(1)), firing()
    first = content(chip.run(wanted, 5))
    wanted.config.weights[:, :, 0] //= 2
    assert content(chip.run(wanted, 5)) == content(VirtualChip(chip.die).run(wanted, 5)) != first


CONFIGS = (NeuronConfig(), CommonConfig(), RoutingConfig(), PlasticityConfig(), Die.from_seed(1))


@pytest.mark.parametrize("whole", CONFIGS, ids=lambda item: type(item).__name__)
def test_arrays_are_read_only_copies(whole: Any) -> None:
    """Also those of views, of copies and from pickles; what was given can still be written to."""
    names = [item.name for item in fields(whole) if isinstance(getattr(whole, item.name), np.ndarray)]
    for name in names:
        base = np.stack([getattr(whole, name)] * 2)
        given = base[1]
        given_read_only = given.view()
        given_read_only.flags.writeable = False
        for values in (given, given_read_only):
            changed = replace(whole, **{name: values})
            kept = getattr(changed, name).copy()
            base[1] = base[0].flat[0] if base.dtype == np.bool_ else 0
            np.testing.assert_array_equal(getattr(changed, name), kept)
            base[1] = base[0]
    for other in (whole, copy.copy(whole), copy.deepcopy(whole), pickle.loads(pickle.dumps(whole)), replace(whole)):
        for name in names:
            np.testing.assert_array_equal(getattr(other, name), getattr(whole, name))
            with pytest.raises(ValueError, match="read-only"):
                getattr(other, name)[...] = 0


def test_parts_that_did_not_change_are_not_copied() -> None:
    whole = NeuronConfig()
    changed = replace(whole, v_leak=np.full(512, 300.0))
    assert changed.v_reset is whole.v_reset and changed.v_leak is not whole.v_leak


def test_lists_of_the_script_are_taken_over() -> None:
    scale, charge = [3, 10], [100.0, 330.0]
    common = CommonConfig(refractory_clock_scale=scale)  # type: ignore[arg-type]
    plasticity = PlasticityConfig(v_charge=charge)  # type: ignore[arg-type]
    scale[0], charge[0] = 9, 0.0
    assert common.refractory_clock_scale == (3, 10) and plasticity.v_charge == (100.0, 330.0)


def test_an_array_of_the_script_changes_nothing_between_runs() -> None:
    chip, codes = VirtualChip(Die.from_seed(1)), neurons(threshold=100.0).v_threshold.copy()
    wanted = firing(v_threshold=codes)
    first = content(chip.run(wanted, 5))
    codes += 100
    assert content(chip.run(wanted, 5)) == first
    other = content(chip.run(firing(v_threshold=codes), 5))
    assert other == content(VirtualChip(chip.die).run(firing(v_threshold=codes), 5)) != first


def test_fingerprints() -> None:
    die = Die.from_seed(1)
    assert die.fingerprint == Die.from_seed(1).fingerprint == pickle.loads(pickle.dumps(die)).fingerprint
    others = [
        Die.from_seed(2),
        replace(die, identifier="other"),
        replace(die, madc_offset=die.madc_offset + 1e-9),
        replace(die, synapse=np.where(np.arange(256) == 7, 1.0, die.synapse)),
    ]
    assert len({item.fingerprint for item in (die, *others)}) == 5


def test_a_chip_can_be_copied_and_pickled() -> None:
    chip, wanted = VirtualChip(Die.from_seed(1)), firing()
    first = content(chip.run(wanted, 5))
    for other in (copy.deepcopy(chip), pickle.loads(pickle.dumps(chip))):
        assert content(other.run(wanted, 5)) == first
        assert content(other.run(firing(110.0), 5)) == content(chip.run(firing(110.0), 5)) != first


# --- Threads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_two_threads_on_one_chip(workers: int) -> None:
    """More programs than a chip remembers, so that entries come and go while the other thread looks for its own."""
    die, threads, interval = Die.from_seed(1), get_num_threads(), sys.getswitchinterval()
    programs = [firing(95.0 + n, batch=2) for n in range(12)]
    work = [(programs[n % 12], n) for n in range(30)], [(programs[(7 * n) % 12], 100 + n) for n in range(30)]
    serial = VirtualChip(die)
    wanted = [[content(serial.run(wanted, seed)) for wanted, seed in part] for part in work]
    shared = VirtualChip(die)
    set_num_threads(workers)
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda part: [content(shared.run(wanted, seed)) for wanted, seed in part], work))
    finally:
        sys.setswitchinterval(interval)
        set_num_threads(threads)
    assert found == wanted


def test_a_spike_buffer_that_grows_in_two_threads() -> None:
    """Every neuron fires all the time in one of them: more spikes than the buffer holds at first."""
    die = Die.from_seed(1).without("spike_delay")
    busy = replace(firing(batch=2), config=replace(firing().config, neurons=neurons(leak=120.0, threshold=90.0)))
    busy = replace(busy, batch_size=40, record=Record(spikes=np.arange(512), cadc=np.array(CIRCUITS)))
    quiet = firing()
    wanted = content(VirtualChip(die).run(busy, 1)), content(VirtualChip(die).run(quiet, 2))
    shared = VirtualChip(die)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            one, two = pool.submit(shared.run, busy, 1), pool.submit(shared.run, quiet, 2)
            assert (content(one.result()), content(two.result())) == wanted
