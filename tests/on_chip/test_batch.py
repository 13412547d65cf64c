"""Batches: an entry is what a run of that entry alone gives; and a cleared experiment is a fresh one."""

from __future__ import annotations

import pytest
import torch
from small_networks import spikes

import hxtorch.snn as hxsnn

STEPS = 30
SIZES = {"loop": 40, "partition": 600, "sparse": 100, "dropout": 30, "loopback": 30, "instances": 40}


class Net:
    """30 inputs, one layer of neurons and a sparse readout, with something of its `kind`."""

    def __init__(self, kind, exp=None):
        torch.manual_seed(0)
        self.exp = exp = exp or hxsnn.Experiment(partition=kind == "partition")
        size, places = SIZES[kind], [None, None]
        if kind == "instances":
            places = [hxsnn.ExecutionInstance() for _ in range(2)]
        if kind == "loopback":
            exp.default_execution_instance = hxsnn.ExecutionInstance(input_loopback=True)
        exists = torch.rand(30, size) < (0.4 if kind == "sparse" else 2)
        self.syn = hxsnn.SparseSynapse(exists, exp, places[0])
        self.syn.weight.data = torch.rand(size, 30) * 40 * exists.T
        self.lif = hxsnn.Neuron(size, exp, execution_instance=places[0])
        self.back = hxsnn.Synapse(size, size, exp) if kind == "loop" else None
        if self.back is not None:
            self.back.weight.data.uniform_(-4, 5)
        self.dropout = hxsnn.BatchDropout(size, 0.3, exp) if kind == "dropout" else None
        self.inputs = hxsnn.InputNeuron(30, exp) if kind == "loopback" else None
        self.out = hxsnn.SparseSynapse(torch.rand(size, 4) < 0.1, exp, places[1])
        self.out.weight.data = 20 * self.out.mask.float()
        self.li = hxsnn.ReadoutNeuron(4, exp, execution_instance=places[1])

    def __call__(self, x):
        given = hxsnn.NeuronHandle(x)
        fed = [self.syn(given if self.inputs is None else self.inputs(given))]
        if self.back is not None:
            fed.append(self.back(self.lif.output_handle))
        z = self.lif(*fed)
        torch.manual_seed(1)  # of the dropout
        y = self.li(self.out(z if self.dropout is None else self.dropout(z)))
        hxsnn.run(self.exp, STEPS, trial_seed=3)
        return z.spikes.detach(), y.membrane_cadc.detach()


@pytest.mark.filterwarnings("ignore:.*failed to calibrate")
@pytest.mark.parametrize("kind", SIZES)
def test_an_entry_of_a_batch_is_its_run_alone(kind):
    net, x = Net(kind), spikes(30, STEPS, batch=3, rate=0.05)
    batch = net(x)
    assert (batch[0].sum((0, 2)) > 20).all() and batch[1].std() > 0
    for entry in range(3):
        own = slice(entry, entry + 1)
        for values, alone in zip(batch, net(x[:, own])):
            torch.testing.assert_close(values[:, own], alone)


def test_a_cleared_experiment_is_a_fresh_one():
    x = spikes(30, STEPS, rate=0.05)
    fresh = Net("loop")(x)
    exp = hxsnn.Experiment()
    Net("sparse", exp)(x)
    exp.inter_batch_entry_wait = 7
    exp.clear()
    again = Net("loop", exp)(x)
    torch.testing.assert_close(again, fresh)
    assert vars(exp).keys() == vars(hxsnn.Experiment()).keys() and exp.inter_batch_entry_wait is None
    assert len(exp.modules.nodes) == 5
