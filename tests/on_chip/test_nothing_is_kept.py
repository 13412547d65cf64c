"""Runs on the chip after a change of settings: what ran is what the settings say now, as in a fresh experiment."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from small_networks import STEPS, spikes, synapse

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch import calibration
from hxtorch.calibration import CalibrationTarget
from hxtorch.snn.morphology import SingleCompartmentNeuron
from hxtorch.snn.transforms.weight_transforms import linear_saturating
from hxtorch.twin import Die, Noise, VirtualChip


def run(exp, syn, *layers, **options):
    """Run a chain of modules; returns the last handle."""
    handle = hxsnn.NeuronHandle(spikes(syn.in_features))
    for module in (syn, *layers):
        handle = module(handle)
    hxsnn.run(exp, STEPS, trial_seed=1, **options)
    return handle


def circuits(exp):
    return exp.plans.last.circuits(0).tolist()


# --- The plan of a network ----------------------------------------------------------------------------------


def test_places_that_change_in_place():
    exp, places = hxsnn.Experiment(), [3, 5]
    syn, lif = synapse(2, 2, exp), hxsnn.Neuron(2, exp, placement_constraint=places)
    run(exp, syn, lif)
    assert circuits(exp) == [[3], [5]]
    places[1] = 400
    run(exp, syn, lif)
    assert circuits(exp) == [[3], [400]]
    lif.placement_constraint = np.array([8, 9])
    run(exp, syn, lif)
    lif.placement_constraint[:] = [10, 11]
    run(exp, syn, lif)
    assert circuits(exp) == [[10], [11]]
    places.append(7)
    lif.placement_constraint = places
    with pytest.raises(hxtorch.mapping.MappingError, match="names 3"):
        run(exp, syn, lif)


def test_a_structure_that_changes_in_place():
    exp, shape = hxsnn.Experiment(), SingleCompartmentNeuron(2)
    syn, lif = synapse(2, 2, exp), hxsnn.Neuron(2, exp, neuron_structure=shape)
    run(exp, syn, lif)
    assert circuits(exp) == [[0, 256], [1, 257]]
    lif.neuron_structure = SingleCompartmentNeuron(4, expand_horizontally=True)
    run(exp, syn, lif)
    assert circuits(exp) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_equal_settings_keep_the_plan():
    exp = hxsnn.Experiment()
    syn, lif = synapse(2, 2, exp), hxsnn.Neuron(2, exp, placement_constraint=[3, 5])
    run(exp, syn, lif)
    first = exp.plans.last
    lif.placement_constraint = (3, 5)
    run(exp, syn, lif)
    assert exp.plans.last is first


def test_loop_back_that_is_switched_between_runs():
    exp = hxsnn.Experiment()
    inputs, syn, lif = hxsnn.InputNeuron(2, exp), synapse(2, 2, exp), hxsnn.Neuron(2, exp)
    given = 2 * spikes(2)  # the chip sends one event, whatever the value
    for loopback in (False, True, False):
        exp.default_execution_instance.input_loopback = loopback
        x = inputs(hxsnn.NeuronHandle(given))
        lif(syn(x))
        with pytest.warns(UserWarning, match="neither 0 nor 1"):
            hxsnn.run(exp, STEPS)
        torch.testing.assert_close(x.spikes, spikes(2) if loopback else given)


def test_another_default_instance_of_an_experiment_that_was_mock():
    exp = hxsnn.Experiment(mock=True)
    syn, lif = synapse(2, 2, exp), hxsnn.Neuron(2, exp)
    exp.mock = False
    instances = [hxsnn.ExecutionInstance() for _ in range(2)]
    for instance in instances:
        exp.default_execution_instance = instance
        run(exp, syn, lif)
        assert list(exp.last_run_chip_configs) == [instance.ID]


def test_connections_of_own_synapses():
    """Synapses that make their connections anew whenever they are asked."""

    class Choosing(hxsnn.SparseSynapse):
        chosen = 0

        @property
        def chip_connections(self):
            exists = np.zeros((2, 2), dtype=bool)
            exists[:, self.chosen] = True
            return hxtorch.mapping.Connections.of(exists)

    exp = hxsnn.Experiment()
    syn, lif = Choosing(torch.ones(2, 2), exp), hxsnn.Neuron(2, exp)
    syn.weight.data.fill_(60.0)
    x = torch.zeros(STEPS, 1, 2)
    x[5:30:2, :, 0] = 1
    for _ in range(3):
        for syn.chosen in (0, 1):
            z = lif(syn(hxsnn.NeuronHandle(x)))
            hxsnn.run(exp, STEPS)
            assert bool(z.spikes.any()) == (syn.chosen == 0)


def test_connections_cannot_be_changed():
    rows = np.array([0, 1])
    made = hxtorch.mapping.Connections(rows, rows)
    rows[0] = 1
    assert made.post.tolist() == [0, 1]
    with pytest.raises(ValueError, match="read-only"):
        made.pre[0] = 1


def test_neurons_without_spike_recording_are_heard_by_later_runs():
    found = []
    for recorded in (True, False):
        exp, places = hxsnn.Experiment(), [hxsnn.ExecutionInstance() for _ in range(2)]
        lif = hxsnn.Neuron(2, exp, execution_instance=places[0], enable_spike_recording=recorded)
        li = hxsnn.ReadoutNeuron(2, exp, execution_instance=places[1])
        found.append(run(exp, synapse(3, 2, exp, 60.0), lif, synapse(2, 2, exp), li).membrane_cadc)
    assert torch.equal(*found) and found[0].std() > 1


# --- Calibrations -------------------------------------------------------------------------------------------


def file_of(path, **target):
    result = calibration.calibrate(VirtualChip(Die.ideal()), CalibrationTarget(**target))
    calibration.save(result, path)
    return path


@pytest.fixture
def ideal_file(tmp_path):
    """A calibration whose thresholds count the circuits: 100 at the first, 110 from circuit 256 on."""
    threshold = np.where(np.arange(512) < 256, 100.0, 110.0)
    return file_of(tmp_path / "own.calibration", threshold=threshold)


def test_a_file_is_known_by_its_content(tmp_path):
    path = file_of(tmp_path / "one.calibration", threshold=100.0)
    first = hxsnn.ExecutionInstance(path)
    assert hxsnn.ExecutionInstance(path).calibration is first.calibration
    before = path.stat()
    for threshold in range(101, 140):  # another file of the same size
        content = file_of(tmp_path / "two.calibration", threshold=float(threshold)).read_bytes()
        if len(content) == before.st_size:
            break
    assert len(content) == before.st_size
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hxsnn.ExecutionInstance(path).calibration.target.threshold == threshold


def test_neurons_that_move_take_the_targets_of_their_circuits(ideal_file):
    exp = hxsnn.Experiment()
    exp.default_execution_instance.load_calib(ideal_file)
    syn, lif = synapse(2, 2, exp), hxsnn.Neuron(2, exp, placement_constraint=[0, 1], tau_mem=10e-6)
    run(exp, syn, lif)
    assert lif.threshold.hardware_value.tolist() == [100, 100]
    lif.placement_constraint = [1, 300]
    run(exp, syn, lif)
    assert lif.threshold.hardware_value.tolist() == [100, 110] == lif.threshold.model_value.tolist()
    own = hxsnn.HXParameter(torch.tensor([90, 90]))
    lif.threshold = own  # chosen since: it is the user's
    lif.placement_constraint = [300, 1]
    run(exp, syn, lif)
    assert lif.threshold is own and lif.threshold.hardware_value.tolist() == [90, 90]


def test_failures_that_are_noted_in_place(ideal_file):
    exp = hxsnn.Experiment()
    exp.default_execution_instance.load_calib(ideal_file)
    syn, lif = synapse(2, 2, exp), hxsnn.Neuron(2, exp)
    run(exp, syn, lif)
    assert circuits(exp) == [[0], [1]]
    success = exp.default_execution_instance.calibration.success
    success["leak"] = success["leak"].copy()
    success["leak"][0] = False
    run(exp, syn, lif)
    assert circuits(exp) == [[1], [2]]


def test_chips_of_one_name_have_calibrations_of_their_own(monkeypatch, tmp_path):
    made = []

    def instant(chip, target, options, trial_seed):
        made.append(chip)
        result = calibration.calibrate(VirtualChip(Die.ideal()), target, options=options)
        return replace(result, chip_identifier=chip.identifier)

    monkeypatch.setattr("hxtorch.calibration.cache.calibrate", instant)
    die = Die.from_seed(5)
    chips = [
        VirtualChip(die),
        VirtualChip(die, Noise.off()),
        VirtualChip(die, step=0.25),
        VirtualChip(replace(die, threshold_code=die.threshold_code + 1)),
    ]
    exp = hxsnn.Experiment()
    exp.default_execution_instance.calib_cache_dir = tmp_path
    syn, lif = synapse(2, 2, exp), hxsnn.Neuron(2, exp)
    for chip in (*chips, *chips, VirtualChip(Die.from_seed(5))):
        hxtorch.init_hardware(chip)
        run(exp, syn, lif)
    assert made == chips


def test_values_that_change_in_place_are_calibrated_anew():
    exp, values = hxsnn.Experiment(), torch.tensor([120, 130])
    syn, lif = synapse(3, 2, exp, 60.0), hxsnn.Neuron(2, exp, threshold=values)
    for _ in range(2):
        run(exp, syn, lif)
        target = exp.default_execution_instance.made_calibration[1].target
        assert target.threshold[:2].tolist() == lif.threshold.hardware_value.tolist()
        values[0] -= 20


def test_whether_something_changed_sees_what_changes_in_place():
    exp, bounds = hxsnn.Experiment(), np.array([40.0])
    lif = hxsnn.Neuron(2, exp, e_coba_reversal=torch.tensor([float("nan"), float("nan")]))

    def scaled(weight, by):
        return linear_saturating(weight * float(by[0]))

    syn = hxsnn.Synapse(2, 2, exp, transform=partial(scaled, by=bounds))
    run(exp, syn, lif)
    assert not syn.changed_since_last_run and not lif.changed_since_last_run
    bounds[0] = 30
    assert syn.changed_since_last_run


# --- Threads ------------------------------------------------------------------------------------------------


def trained(seed, runs=30):
    """An experiment on the connected chip: what is recorded, and the weights after a few steps of training."""
    exp = hxsnn.Experiment()
    torch.manual_seed(0)
    syn, out = synapse(3, 5 + seed, exp, 40.0 + seed), synapse(5 + seed, 2, exp, 10.0)
    lif, li = hxsnn.Neuron(5 + seed, exp), hxsnn.ReadoutNeuron(2, exp)
    optimizer = torch.optim.SGD([syn.weight, out.weight], 1e-4)
    found = []
    for n in range(runs):
        lif.placement_constraint = [(seed + n // 8) * 20 + k for k in range(5 + seed)]  # another plan now and then
        z = lif(syn(hxsnn.NeuronHandle(spikes(3, seed=n))))
        y = li(out(z))
        hxsnn.run(exp, STEPS, trial_seed=100 * seed + n)
        optimizer.zero_grad()
        y.membrane_cadc.square().mean().backward()
        optimizer.step()
        found += [z.spikes.detach(), y.membrane_cadc.detach()]
    return [*found, syn.weight.detach(), out.weight.detach()]


def test_two_threads_with_an_experiment_each():
    interval = sys.getswitchinterval()
    for connect in (lambda: Die.ideal(), lambda: VirtualChip(Die.ideal(), Noise())):
        hxtorch.init_hardware(connect())
        serial = [trained(seed) for seed in (0, 1)]
        hxtorch.init_hardware(connect())
        sys.setswitchinterval(1e-5)
        try:
            with ThreadPoolExecutor(2) as pool:
                together = list(pool.map(trained, (0, 1)))
        finally:
            sys.setswitchinterval(interval)
        for alone, found in zip(serial, together, strict=True):
            assert len(alone) == 62 and all(torch.equal(a, b) for a, b in zip(alone, found, strict=True))
            assert alone[0].sum() > 10
