"""`run` on a stand-in for the chip: what it asks for, and what becomes of the recorded data."""

import warnings

import numpy as np
import pytest
import torch

import hxtorch.snn as hxsnn
from hxtorch.snn.recording.observables import CADCHandle, HardwareObservables, MADCHandle, SpikeHandle


class FakeChip:
    """Stands in for `hxtorch.snn.chip.run`: every population returns a fixed recording."""

    def __init__(self):
        self.seeds = []

    def execute(self, settings, plans, graph, runtime, trial_seed):
        self.seeds.append(trial_seed)
        batch = graph.open_inputs[0][1].spikes.shape[1]
        data = {
            node.module: self.record(node.module, batch)
            for node in graph.modules_in_order
            if isinstance(node.module, hxsnn.Neuron)
        }
        return data, hxsnn.ExecutionInfo({"chip": 1.0}, {"lost_spikes": 0})

    def record(self, module, batch):
        samples = 30
        time = np.tile(np.arange(samples) * 212.5, (batch, 2, 1))
        value = np.full((batch, samples, module.size), 80, dtype=np.uint8)
        value[:, 15:] = 100
        fired = np.zeros(batch, dtype=np.int64)
        return HardwareObservables(
            SpikeHandle(np.arange(batch), fired + 7 * 125, fired, batch, module.size),
            CADCHandle(value, time, np.full((batch, 2), samples), np.zeros(module.size, dtype=np.int64)),
            MADCHandle(np.arange(5.0), np.zeros((batch, 5), np.uint16)),
        )


@pytest.fixture
def chip(monkeypatch):
    fake = FakeChip()
    monkeypatch.setattr("hxtorch.snn.chip.run.execute", fake.execute)
    return fake


def chip_net(steps=20, **settings):
    exp = hxsnn.Experiment()
    syn, lif = hxsnn.Synapse(1, 2, exp), hxsnn.Neuron(2, exp, **settings)
    x = torch.zeros(steps, 3, 1)
    x[3] = 1
    return exp, syn, lif, x


def test_chip_data_replaces_the_model(chip):
    exp, syn, lif, x = chip_net(trace_offset=-48.0, trace_scale=0.5)
    z = lif(syn(hxsnn.NeuronHandle(x)))
    info = hxsnn.run(exp, 25, trial_seed=7)
    assert info.health == {"lost_spikes": 0}
    assert chip.seeds == [7]
    assert z.spikes.shape == z.membrane_cadc.shape == z.current.shape == (20, 3, 2)
    assert z.spikes.nonzero().tolist() == [[7, b, 0] for b in range(3)]
    assert (z.membrane_cadc == 0).all()
    assert z.membrane_madc.shape == (2, 5, 3)
    z.membrane_cadc.sum().backward()
    assert syn.weight.grad.abs().sum() > 0


def test_chip_data_of_a_readout(chip):
    exp, syn, _, x = chip_net(30)
    readout = hxsnn.ReadoutNeuron(2, exp, cadc_time_shift=1, shift_cadc_to_first=True, trace_offset=5.0)
    y = readout(syn(hxsnn.NeuronHandle(x)))
    hxsnn.run(exp, 30)
    assert y.membrane_cadc.shape == (30, 3, 2)
    assert (y.membrane_cadc[0] == 0).all()
    assert (y.membrane_cadc[-1] == 20).all()


def test_unplaced_offsets_by_place(chip):
    exp, syn, lif, x = chip_net(trace_offset={"place": 1.0})
    lif(syn(hxsnn.NeuronHandle(x)))
    with pytest.raises(ValueError, match="trace_offset has no value"):
        hxsnn.run(exp, 20)


@pytest.mark.parametrize(
    ("runtime", "message"),
    [
        (None, "Requested runtime invalid."),
        (20.0, "Requested runtime invalid."),
        (True, "Requested runtime invalid."),
        (-1, "must not be negative"),
        (10, "It is 10 steps, but the input of .* has 20"),
        (10**10, "Runtime of 10000000000 to long. Maximum supported runtime 34359738 "),
    ],
)
def test_bad_runtimes(chip, runtime, message):
    exp, syn, lif, x = chip_net()
    lif(syn(hxsnn.NeuronHandle(x)))
    with pytest.raises(ValueError, match=message):
        hxsnn.run(exp, runtime)
    z = lif(syn(hxsnn.NeuronHandle(x)))
    hxsnn.run(exp, np.int64(20))
    assert z.holds("spikes")


def test_graded_input_spikes_warn_once(chip):
    exp, syn, lif, x = chip_net()
    lif(syn(hxsnn.NeuronHandle(2 * x)))
    with pytest.warns(UserWarning, match="neither 0 nor 1") as caught:
        hxsnn.run(exp, 20)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lif(syn(hxsnn.NeuronHandle(x)))
        hxsnn.run(exp, 20)


def test_get_hw_results(chip):
    exp, syn, lif, x = chip_net()
    lif(syn(hxsnn.NeuronHandle(x)))
    data, info = exp.get_hw_results(20)
    assert set(data) == {lif}
    assert data[lif].cadc.shape == (21, 3, 2)
    assert isinstance(info, hxsnn.ExecutionInfo)
    assert hxsnn.Experiment(mock=True).get_hw_results(None) == ({}, None)
