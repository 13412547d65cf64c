"""Three journeys through a real run on the virtual chip: a parameter, an input spike, and a sample of the CADC."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import numpy as np
import torch
from record import following

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch.calibration import CalibrationResult, CalibrationTarget
from hxtorch.snn.graph import Graph, Node
from hxtorch.snn.graph.forward_passes import Call
from hxtorch.snn.handles.handle import Handle
from hxtorch.snn.parameters.parameter import HXBaseParameter
from hxtorch.snn.parameters.parameter_set import ParameterSet
from hxtorch.twin import Die, Noise, VirtualChip
from hxtorch.twin.places.coordinates import CIRCUITS

LEAK = 81.5
CODE = 201  # no other sample of the CADC is as high: the neurons rest near 80
STEP, CHANNEL = 17, 3


def _network(execution_instance, leak=80.0, **options):
    experiment = hxsnn.Experiment()
    synapse = hxsnn.Synapse(5, 2, experiment, execution_instance)
    synapse.weight.data.zero_()
    neuron = hxsnn.Neuron(2, experiment, leak=leak, execution_instance=execution_instance, **options)
    x = torch.zeros(40, 1, 5)
    x[STEP, 0, CHANNEL] = 1
    return experiment, neuron, neuron(synapse(hxsnn.NeuronHandle(x)))


def _holds_leak(value, depth=4):
    if isinstance(value, int | float):
        return value == LEAK
    if isinstance(value, torch.Tensor | np.ndarray):
        numbers = np.asarray(value.detach() if isinstance(value, torch.Tensor) else value)
        # of a neuron, of two, of all circuits: others are what was measured, and 81.5 there by chance
        return numbers.size in (1, 2, CIRCUITS) and numbers.dtype.kind in "fiu" and bool((numbers == LEAK).any())
    if isinstance(value, HXBaseParameter):
        return _holds_leak(value.hardware_value)
    if depth and isinstance(value, Mapping):
        return any(_holds_leak(item, depth - 1) for item in value.values())
    if depth and isinstance(value, list | tuple):
        return any(_holds_leak(item, depth - 1) for item in value)
    if depth and isinstance(value, ParameterSet | CalibrationTarget | CalibrationResult):
        return any(_holds_leak(getattr(value, item.name), depth - 1) for item in fields(value))
    return False


def leak_to_capmem(calibrations):
    """`leak` of `Neuron(leak=...)` until the calibration looks for its CapMem code."""

    def carrier(value):
        return type(value).__name__ if _holds_leak(value) else None

    instance = hxsnn.ExecutionInstance(calib_cache_dir=calibrations)
    with following(carrier, until="calibrate_leak") as journey:
        experiment, _, _ = _network(instance, LEAK)
        hxsnn.run(experiment, 40, trial_seed=1)
    return journey, experiment


class Marking:
    """A chip that marks one sample of the CADC."""

    def __init__(self, chip):
        self.chip, self.identifier, self.nominal = chip, chip.identifier, chip.nominal
        self.marks = False  # not while it is calibrated

    def __getattr__(self, name):
        return getattr(self.chip, name)

    def run(self, program, trial_seed):
        recording = self.chip.run(program, trial_seed)
        if self.marks:
            recording.cadc.value[0, 4, 1] = CODE  # at a time step, 2 µs
        return recording


def _holds_sample(value, depth=4):
    if isinstance(value, np.ndarray):
        return value.dtype == np.uint8 and bool((value == CODE).any())
    if isinstance(value, torch.Tensor):
        return value.is_floating_point() and bool((value.detach() == CODE - 128).any())
    if depth and isinstance(value, Mapping):
        return any(_holds_sample(item, depth - 1) for item in value.values())
    if depth and isinstance(value, list | tuple):
        return any(_holds_sample(item, depth - 1) for item in value)
    if depth and is_dataclass(value) and not isinstance(value, type | Handle):
        return any(_holds_sample(getattr(value, item.name), depth - 1) for item in fields(value))
    return False


def _kind_of(value):
    """The record that a value is, or the first in a container of several."""
    if isinstance(value, Mapping) and value:
        return _kind_of(next(iter(value.values())))
    if type(value) in (list, tuple) and value:
        return _kind_of(value[0])
    return type(value).__name__


def sample_to_membrane(calibrations, chip):
    """A sample of the CADC from the recording of the chip to `membrane_cadc`."""
    instance = hxsnn.ExecutionInstance(calib_cache_dir=calibrations)
    experiment, _, _ = _network(instance)
    hxsnn.run(experiment, 40)  # calibrates the chip
    experiment, _, z = _network(instance, interpolation_mode="nn")

    def carrier(value):
        return _kind_of(value) if _holds_sample(value) else None

    chip.marks = True
    with following(carrier) as journey:
        hxsnn.run(experiment, 40, trial_seed=1)
    return journey, z


def event_to_engine(calibrations):
    """A spike of the input until the time loop of the virtual chip hears it."""
    instance = hxsnn.ExecutionInstance(calib_cache_dir=calibrations)
    experiment, _, _ = _network(instance)
    cycle = STEP * 125

    def holds(value, depth=3):
        if isinstance(value, Handle):
            return value.holds("spikes") if "spikes" in value.names() else False
        if isinstance(value, torch.Tensor):
            return value.shape == (40, 1, 5) and bool(value[STEP, 0, CHANNEL] == 1)
        if isinstance(value, np.ndarray):
            return value.size == 1 and value.dtype.kind in "fiu" and bool((value == cycle).any())
        if isinstance(value, Node | Call | Graph):  # they hold all of the network
            return False
        if depth and isinstance(value, Mapping):
            return any(holds(item, depth - 1) for item in value.values())
        if depth and isinstance(value, list | tuple):
            return any(holds(item, depth - 1) for item in value)
        if depth and is_dataclass(value) and not isinstance(value, type):
            return any(holds(getattr(value, item.name), depth - 1) for item in fields(value))
        return hasattr(value, "has_index") and value.shape == (40, 1, 5)

    def carrier(value):
        return _kind_of(value) if holds(value) else None

    with following(carrier, until="input_stimulus") as journey:
        hxsnn.run(experiment, 40, trial_seed=1)
    return journey, experiment


def recorded(calibrations):
    """All three, by their names; connects a chip and releases it."""
    try:
        hxtorch.init_hardware()
        leak, _ = leak_to_capmem(calibrations)
        hxtorch.release_hardware()
        # The mathematical model of the chip, as it needs no search for its calibration.
        chip = Marking(VirtualChip(Die.ideal(), Noise.off()))
        hxtorch.init_hardware(chip)
        event, _ = event_to_engine(calibrations)
        sample, z = sample_to_membrane(calibrations, chip)
        assert (z.membrane_cadc[:, 0, 1] == CODE - 128).any()
    finally:
        hxtorch.release_hardware()
    return {"leak": leak, "event": event, "sample": sample}


def records(journey):
    """What carried the value from room to room, beside plain tensors and arrays."""
    return [kind for kind in journey.carriers if kind not in ("Tensor", "ndarray")]


def drawings(journeys):
    """Each journey as lines of text, by its name."""
    return {
        "leak": journeys["leak"].drawing(),
        "event": "\n".join(f"{number}. {file}" for number, file in enumerate(journeys["event"].passed, 1)),
        "sample": " -> ".join(records(journeys["sample"])),
    }
