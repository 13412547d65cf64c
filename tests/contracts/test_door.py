"""What is no chip is refused when it is connected, and what is no recording in the first run, by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch.calibration import calibrate
from hxtorch.connection import connected_chip
from hxtorch.twin import ChipConfig, Die, Noise, Program, Record, VirtualChip
from hxtorch.twin.conformance import RecordingError, checked, chip_faults, recording_faults

STEPS = 20


@pytest.fixture(autouse=True)
def _released():
    hxtorch.release_hardware()
    yield
    hxtorch.release_hardware()


class Own:
    """A chip of somebody else: not a virtual one, and nothing but the protocol."""

    identifier = "my chip"
    nominal = True

    def __init__(self):
        self.inner = VirtualChip(Die.ideal(), Noise.off())

    def run(self, program, trial_seed=0):
        return self.inner.run(program, trial_seed)


def network():
    experiment = hxsnn.Experiment()
    synapse, neuron = hxsnn.Synapse(3, 2, experiment), hxsnn.Neuron(2, experiment)
    synapse.weight.data.fill_(60)
    z = neuron(synapse(hxsnn.NeuronHandle(torch.ones(STEPS, 2, 3))))
    hxsnn.run(experiment, STEPS, trial_seed=1)
    return z


# --- The chip -----------------------------------------------------------------------------------------------


def test_a_chip_of_ones_own_is_connected_as_it_is():
    chip = Own()
    hxtorch.init_hardware(chip)
    assert connected_chip() is chip
    assert network().spikes.sum() > 0


def coroutine():
    async def run(program, trial_seed=0):
        return None

    return run


def hidden():
    class Hidden(Own):
        @property
        def nominal(self):
            return self.not_there

    return Hidden()


def changed(**attributes):
    return type("Changed", (Own,), attributes)()


class WithoutNominal:
    identifier = "my chip"

    def run(self, program, trial_seed=0):
        raise AssertionError("nothing runs before the chip is connected")


@pytest.mark.parametrize(
    ("chip", "words"),
    [
        (object(), ["object", "no `identifier`", "no `nominal`", "no `run`"]),
        (3.5, ["a chip, a Die or a seed", "float"]),
        (WithoutNominal(), ["WithoutNominal", "no `nominal` (whether the chip is the mathematical model, a bool)"]),
        (WithoutNominal, ["WithoutNominal is a class", "WithoutNominal(...)"]),
        (hidden(), ["no `nominal`, whose property raises AttributeError"]),
        (changed(identifier=7), ["`identifier` is 7 (int)"]),
        (changed(identifier=lambda self: "x"), ["`identifier` is a method"]),
        (changed(identifier=""), ["`identifier` is empty"]),
        (changed(nominal="no"), ["`nominal` is 'no' (str)"]),
        (changed(run=3), ["`run` is 3 (int)"]),
        (changed(run=lambda self, program: None), ["cannot be called as run(program, trial_seed)", "too many"]),
        (changed(run=lambda self, program, seed, more: None), ["cannot be called", "'more'"]),
        (changed(run=staticmethod(coroutine())), ["coroutine"]),
    ],
    ids=lambda item: type(item).__name__,
)
def test_everything_that_is_missing_is_named(chip, words):
    hxtorch.init_hardware(3)
    with pytest.raises(TypeError) as error:
        hxtorch.init_hardware(chip)
    for word in [*words, "docs/extending.md"]:
        assert word in str(error.value)
    assert hxtorch.get_unique_identifier() == ["twin:3"]  # the connection of before


def test_what_can_be_called_is_taken():
    """A seed of any name, values that are properties or numpy's, functions of which nothing is known."""
    for chip in (
        changed(run=lambda self, program, seed: None),
        changed(run=lambda self, *arguments: None),
        changed(nominal=np.True_),
        changed(run=max),
        VirtualChip(Die.ideal()),
    ):
        assert chip_faults(chip) == []


# --- The recording ------------------------------------------------------------------------------------------


def part(name, **fields):
    """A chip whose recordings have other fields in the part `name`; a function gets what was there."""

    class Faulty(Own):
        def run(self, program, trial_seed=0):
            recording = super().run(program, trial_seed)
            there = getattr(recording, name)
            if there is None:
                return recording
            new = {key: value(getattr(there, key)) if callable(value) else value for key, value in fields.items()}
            return replace(recording, **{name: replace(there, **new)})

    return Faulty()


class Returns(Own):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def run(self, program, trial_seed=0):
        return self.value(super().run(program, trial_seed))


@pytest.mark.parametrize(
    ("chip", "words"),
    [
        (Returns(lambda r: None), ["of type NoneType, not a hxtorch.twin.Recording"]),
        (Returns(lambda r: replace(r, spikes=None)), ["`spikes` is None, but Record.spikes asks for it"]),
        (Returns(lambda r: replace(r, cadc=r.cadc.value)), ["`cadc` is of type ndarray"]),
        (Returns(lambda r: replace(r, lost_spikes=-1)), ["`lost_spikes` is -1"]),
        (Returns(lambda r: replace(r, lost_spikes=None)), ["`lost_spikes` is None"]),
        (part("spikes", time=lambda t: t / 125), ["`spikes`: time is of dtype float64, expected whole numbers"]),
        (part("spikes", time=lambda t: t[:-1]), ["`spikes`: entry has", "expected equally many"]),
        (part("spikes", time=list), ["`spikes`: time is of type list, not a numpy array"]),
        (part("spikes", entry=lambda e: e + 1), ["`spikes`: entry holds 1 to 2, expected 0 to 1"]),
        (
            part("spikes", circuit=lambda c: c + 17),
            ["circuit names [17, 18], which Record.spikes does not ask for"],
        ),
        (part("spikes", circuit=lambda c: c - 17), ["which Record.spikes does not ask for"]),
        (part("spikes", entry=lambda e: e[::-1].copy()), ["not sorted by batch entry and time"]),
        (part("cadc", circuits=lambda c: c + 3), ["`cadc`: circuits is [3, 4], expected"]),
        (part("cadc", value=lambda v: v.swapaxes(0, 1)), ["`cadc`: value has shape", "expected (2, "]),
        (part("cadc", value=lambda v: v.astype(np.float32)), ["value is of dtype float32, expected whole numbers"]),
        (part("cadc", value=lambda v: v.astype(np.uint16)), ["value is of dtype uint16, expected uint8"]),
        (part("cadc", time=lambda t: t[:, 0]), ["time has shape", "expected (2, 2, S)"]),
        (part("cadc", count=lambda c: c + 1000), ["count holds"]),
    ],
)
def test_the_first_run_names_what_is_wrong(chip, words):
    hxtorch.init_hardware(chip)
    with pytest.raises(RecordingError) as error:
        network()
    for word in ["returned an unusable recording", *words, "ChipContract"]:
        assert word in str(error.value)


def test_a_calibration_names_it_as_well():
    chip = part("cadc", value=lambda v: v[:, :, :5])
    chip.nominal = False
    with pytest.raises(RecordingError, match=r"`cadc`: value has shape .*, 5\), expected"):
        calibrate(chip, progress=False)


def test_other_parts_of_a_recording():
    chip = VirtualChip(Die.ideal(), Noise.off())
    chosen = np.array([3, 260])
    record = Record(madc=chosen[:1], trace=chosen, loopback=True, counters=True)
    program = Program(ChipConfig(), 2, 5000, record=record)
    good = chip.run(program)
    assert recording_faults(program, good) == []
    states = {name: values for name, values in good.trace.values.items() if name != "membrane"}
    for wrong, words in (
        (replace(good, madc=replace(good.madc, value=good.madc.value + 2000)), "`madc`: value holds"),
        (replace(good, madc=replace(good.madc, time=good.madc.time[:-1])), "`madc`: value has shape"),
        (replace(good, trace=replace(good.trace, values=states)), "`trace`: the state membrane is missing"),
        (replace(good, counters=good.counters[:1]), "`counters`: the array has shape (1, 512), expected (2, 512)"),
        (replace(good, counters=good.counters + 300), "`counters`"),
        (replace(good, loopback=replace(good.loopback, source=good.loopback.source.astype(float))), "`loopback`"),
    ):
        (fault,) = recording_faults(program, wrong)
        assert words in fault
    assert recording_faults(program, replace(good, trace=None)) == []  # which no real chip has
    assert checked(chip.run(program, 0), chip, program).lost_spikes == 0
