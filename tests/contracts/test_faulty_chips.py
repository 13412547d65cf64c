"""The contract of chips finds planted faults, each in the test that is meant for it, and says what is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from contract_failures import require_failure

from hxtorch.testing import ChipContract
from hxtorch.twin import Die, InputEvents, Noise, VirtualChip

DIE = Die.from_seed(66)


class Chip:
    """A good chip around a virtual one; the faulty ones derive from it."""

    identifier = "a chip of my own"
    nominal = False

    def __init__(self):
        self.inner = VirtualChip(DIE)
        self.runs = 0

    def run(self, program, trial_seed=0):
        self.runs += 1
        return self.inner.run(program, trial_seed)


class WithoutNominal(Chip):
    @property
    def nominal(self):
        raise AttributeError("nominal")


class RunWithoutSeed(Chip):
    def run(self, program):
        return self.inner.run(program)


class SeedByPositionOnly(Chip):
    def run(self, program, seed):
        return self.inner.run(program, seed)


class NameOfTheDay(Chip):
    @property
    def identifier(self):
        return f"chip {self.runs}"


class FalselyNominal(Chip):
    nominal = True


class KeepsItsMembranes(Chip):
    """The level of the last program stays in the next one."""

    left = 0

    def run(self, program, trial_seed=0):
        recording = super().run(program, trial_seed)
        if recording.cadc is None:
            return recording
        value = recording.cadc.value
        shown = np.clip(value.astype(np.int64) + self.left, 0, 255).astype(np.uint8)
        self.left = int(value.mean()) // 40
        return replace(recording, cadc=replace(recording.cadc, value=shown))


class EntriesLeak(Chip):
    """A batch entry starts where the one before ended."""

    def run(self, program, trial_seed=0):
        recording = super().run(program, trial_seed)
        if recording.cadc is None:
            return recording
        value = recording.cadc.value.astype(np.int64)
        value[1:, :8] += (value[:-1, -1:] - value[:-1, :1]) // 2
        return replace(recording, cadc=replace(recording.cadc, value=np.clip(value, 0, 255).astype(np.uint8)))


class BatchBackwards(Chip):
    def run(self, program, trial_seed=0):
        events, last = program.events, program.batch_size - 1
        order = np.lexsort((events.time, last - events.entry))
        turned = InputEvents(
            (last - events.entry)[order], events.time[order], events.source[order], events.addresses
        )
        return super().run(replace(program, events=turned), trial_seed)


class SpikesAfterTheEnd(Chip):
    def run(self, program, trial_seed=0):
        recording = super().run(program, trial_seed)
        spikes = recording.spikes
        if spikes is None:
            return recording
        return replace(recording, spikes=replace(spikes, time=spikes.time + 2500))


class SpikesOfAll(Chip):
    def run(self, program, trial_seed=0):
        every = replace(program, record=replace(program.record, spikes=np.arange(512)))
        recording = super().run(every, trial_seed)
        return recording if program.record.spikes.size else replace(recording, spikes=None)


class SpikesInAnyOrder(Chip):
    def run(self, program, trial_seed=0):
        recording = super().run(program, trial_seed)
        spikes = recording.spikes
        if spikes is None:
            return recording
        turned = {name: getattr(spikes, name)[::-1] for name in ("entry", "time", "circuit")}
        return replace(recording, spikes=replace(spikes, **turned))


class OtherEveryTime(Chip):
    def run(self, program, trial_seed=0):
        return super().run(program, trial_seed + self.runs)


class SeedIgnored(Chip):
    def run(self, program, trial_seed=0):
        return super().run(program, 3)


class CircuitsSorted(Chip):
    """CADC columns come sorted, whatever the order in the program."""

    def run(self, program, trial_seed=0):
        recording = super().run(program, trial_seed)
        if recording.cadc is None:
            return recording
        order = np.argsort(program.record.cadc)
        return replace(recording, cadc=replace(recording.cadc, value=recording.cadc.value[:, :, order]))


class BatchLast(Chip):
    def run(self, program, trial_seed=0):
        recording = super().run(program, trial_seed)
        if recording.cadc is None:
            return recording
        return replace(recording, cadc=replace(recording.cadc, value=recording.cadc.value.swapaxes(0, 1)))


class NoCadc(Chip):
    def run(self, program, trial_seed=0):
        return replace(super().run(program, trial_seed), cadc=None)


class AlwaysSpikes(Chip):
    def run(self, program, trial_seed=0):
        recording = super().run(program, trial_seed)
        other = replace(program, record=replace(program.record, spikes=np.arange(8)))
        return replace(recording, spikes=recording.spikes or super().run(other, trial_seed).spikes)


class LosesQuietly(Chip):
    def run(self, program, trial_seed=0):
        recording = super().run(program, trial_seed)
        spikes = recording.spikes
        if spikes is None:
            return recording
        kept = {name: getattr(spikes, name)[::2] for name in ("entry", "time", "circuit")}
        return replace(recording, spikes=replace(spikes, **kept))


class Slow(Chip):
    """Input events arrive 30 µs late."""

    def run(self, program, trial_seed=0):
        late = replace(program.events, time=program.events.time + 3750)
        late = replace(late, time=np.minimum(late.time, program.runtime))
        return super().run(replace(program, events=late), trial_seed)


class OneBuffer(Chip):
    """All recordings share the memory of the samples."""

    memory = None

    def run(self, program, trial_seed=0):
        recording = super().run(program, trial_seed)
        if recording.cadc is None:
            return recording
        value = recording.cadc.value
        if self.memory is None or self.memory.shape != value.shape:
            self.memory = value
        self.memory[...] = value
        return replace(recording, cadc=replace(recording.cadc, value=self.memory))


class WritesToWeights(Chip):
    def run(self, program, trial_seed=0):
        program.config.weights[...] //= 2
        return super().run(program, trial_seed)


class NoResets(Chip):
    def run(self, program, trial_seed=0):
        return super().run(replace(program, resets=()), trial_seed)


class SignsIgnored(Chip):
    def run(self, program, trial_seed=0):
        routing = program.config.routing
        exciting = replace(routing, row_mode=np.minimum(routing.row_mode, 1))
        return super().run(replace(program, config=replace(program.config, routing=exciting)), trial_seed)


class Dict(Chip):
    def run(self, program, trial_seed=0):
        return vars(super().run(program, trial_seed))


def contract(kind):
    class Contract(ChipContract):
        def make_chip(self):
            return kind()

    return Contract


class TestGoodChip(ChipContract):
    """The chip that the faulty ones derive from has no fault."""

    def make_chip(self):
        return Chip()


FAULTS = [
    (WithoutNominal, "test_follows_the_protocol", ["no `nominal`", "raises AttributeError"]),
    (RunWithoutSeed, "test_follows_the_protocol", ["cannot be called as run(program, trial_seed)"]),
    (SeedByPositionOnly, "test_follows_the_protocol", ["run(program)", "seed"]),
    (NameOfTheDay, "test_keeps_its_name", ["'chip 0'", "changed in a run"]),
    (FalselyNominal, "test_membranes_follow_their_leak", ["is nominal", "LSB off"]),
    (
        KeepsItsMembranes,
        "test_no_state_between_runs",
        ["before and after others", "cadc.value differs in"],
    ),
    (KeepsItsMembranes, "test_trial_seeds", ["same trial seed"]),
    (EntriesLeak, "test_batch_entries_are_independent", ["each has to start from rest"]),
    (BatchBackwards, "test_batch_entries_are_independent", ["Batch entry 0"]),
    (BatchBackwards, "test_events_arrive_in_time", ["Batch entry 0"]),
    (SpikesAfterTheEnd, "test_spikes_lie_within_the_run", ["outside of the run, 0 to 7500"]),
    (SpikesOfAll, "test_spikes_lie_within_the_run", ["Record.spikes does not ask for"]),
    (SpikesInAnyOrder, "test_spikes_lie_within_the_run", ["not sorted by batch entry and time"]),
    (OtherEveryTime, "test_trial_seeds", ["same program with the same trial seed", "differs in"]),
    (SeedIgnored, "test_trial_seeds", ["The chip is noisy", "same recording"]),
    (CircuitsSorted, "test_order_of_circuits", ["[3, 0]", "CADC"]),
    (BatchLast, "test_records_what_was_asked_for", ["`cadc`: value has shape", "expected (5,"]),
    (NoCadc, "test_records_what_was_asked_for", ["`cadc` is None, but Record.cadc asks for it"]),
    (AlwaysSpikes, "test_records_what_was_asked_for", ["Asked for cadc", "also recorded spikes"]),
    (LosesQuietly, "test_lost_spikes_are_counted", ["counters saw", "lost_spikes"]),
    (Slow, "test_events_arrive_in_time", ["event at 10 µs", "expected within 12 µs"]),
    (OneBuffer, "test_recordings_stay_what_they_were", ["changed an earlier recording", "cadc.value"]),
    (WritesToWeights, "test_recordings_stay_what_they_were", ["changed its program", "weights"]),
    (NoResets, "test_resets_by_command", ["reset"]),
    (SignsIgnored, "test_events_move_the_membrane", ["lower its membranes"]),
    (Dict, "test_records_what_was_asked_for", ["of type dict, not a hxtorch.twin.Recording"]),
]


@pytest.mark.parametrize(("kind", "test", "words"), FAULTS, ids=lambda item: getattr(item, "__name__", None))
def test_planted_faults_are_found(kind, test, words):
    require_failure(contract(kind), test, *words)


def test_a_contract_without_a_chip_says_what_to_define():
    with pytest.raises(NotImplementedError, match="Define make_chip in Contract"):
        type("Contract", (ChipContract,), {})().test_follows_the_protocol()


def test_a_chip_of_silicon_may_vary():
    """Recordings of one trial seed differ a little, which a chip may declare, but not much."""

    class Silicon(contract(OtherEveryTime)):
        reproducible = False

    for test in ("test_trial_seeds", "test_no_state_between_runs"):
        getattr(Silicon(), test)()

    class Remembering(Silicon):
        jitter = 0.0

    require_failure(Remembering, "test_no_state_between_runs", "first spikes of batch entry")


def test_noise_that_was_not_declared():
    class Quiet(ChipContract):
        noisy = False

        def make_chip(self):
            return VirtualChip(DIE, Noise.off())

    Quiet().test_trial_seeds()
    require_failure(type("Noisy", (contract(Chip),), {"noisy": False}), "test_trial_seeds", "no noise", "changes")
