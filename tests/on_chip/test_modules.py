"""Wrapper, dropout, masks, loop-back, sparse synapses, parallel rows: in mock mode and on the chip."""

from __future__ import annotations

import pytest
import torch
from small_networks import STEPS, spikes, synapse

import hxtorch.snn as hxsnn

# --- Wrapper ------------------------------------------------------------------------------------------------


class Doubling(hxsnn.HXModuleWrapper):
    def forward_func(self, input, hw_data=None):
        assert hw_data is None or len(hw_data) == 2
        g = hxsnn.SynapseHandle(2 * input.spikes @ self.syn.weight.T)
        return g, self.lif.forward_func(g, hw_data=None if hw_data is None else hw_data[1])


def test_wrapper_computes_its_modules(exp):
    syn, lif, out = synapse(3, 4, exp, 10.0), hxsnn.Neuron(4, exp), synapse(4, 2, exp)
    wrapper = Doubling(exp, syn=syn, lif=lif)
    assert wrapper.contains(syn) and wrapper.contains([syn, lif]) and not wrapper.contains([syn, out])
    assert list(wrapper.modules) == ["syn", "lif"]
    g = syn(hxsnn.NeuronHandle(spikes(3)))
    z = lif(g)
    y = hxsnn.ReadoutNeuron(2, exp)(out(z))
    wrapper()
    hxsnn.run(exp, STEPS)
    torch.testing.assert_close(g.graded_spikes, 2 * spikes(3) @ syn.weight.T)
    assert z.spikes.shape == (STEPS, 2, 4) and y.membrane_cadc.shape == (STEPS, 2, 2)
    assert len(list(wrapper.parameters())) > 0


def test_wrapper_errors():
    exp = hxsnn.Experiment(mock=True)
    syn, lif = synapse(3, 4, exp), hxsnn.Neuron(4, exp)

    class Half(hxsnn.HXModuleWrapper):
        def forward_func(self, input, hw_data=None):
            return (hxsnn.SynapseHandle(),)

    one, two = Half(exp, syn=syn, lif=lif), Doubling(exp, syn=syn)
    given = hxsnn.NeuronHandle(spikes(3))
    lif(syn(given))
    one()
    with pytest.raises(ValueError, match="'syn' is already in another wrapper"):
        two()
    with pytest.raises(AssertionError, match="returns 1 handle, but it wraps 2 modules"):
        hxsnn.run(exp, None)
    syn(given)
    one()
    with pytest.raises(ValueError, match="'lif' of Half was not called"):
        hxsnn.run(exp, None)
    with pytest.raises(TypeError, match="called without arguments"):
        one(given)
    with pytest.raises(TypeError, match="wraps modules, got int"):
        hxsnn.HXModuleWrapper(exp, a=1)


# --- Masks and dropout --------------------------------------------------------------------------------------


def test_masked_neurons_are_heard_by_nobody(exp):
    syn, lif, out = synapse(3, 4, exp, 60.0), hxsnn.Neuron(4, exp), hxsnn.Synapse(4, 4, exp)
    out.weight.data = 30 * torch.eye(4)
    li = hxsnn.ReadoutNeuron(4, exp)
    lif.mask = torch.tensor([True, False, True, True])
    z = lif(syn(hxsnn.NeuronHandle(spikes(3))))
    y = li(out(z))
    hxsnn.run(exp, STEPS)
    assert z.spikes[..., 1].sum() == 0 and (z.spikes[..., [0, 2, 3]].sum((0, 1)) > 0).all()
    assert torch.allclose(y.membrane_cadc[..., 1], y.membrane_cadc[0, 0, 1].expand(STEPS, 2), atol=1.01)
    assert (y.membrane_cadc[..., 0].amax(0) > y.membrane_cadc[0, :, 0] + 5).all()
    assert (
        z.membrane_cadc[..., 1] - z.membrane_cadc[..., 0]
    ).abs().max() <= 1.01  # it fires and resets all the same
    with pytest.raises(ValueError, match=r"mask has shape \(3,\)"):
        lif.mask = torch.ones(3)


def test_batch_dropout(exp):
    syn, lif, drop, out = synapse(3, 20, exp, 60.0), hxsnn.Neuron(20, exp), None, synapse(20, 2, exp, 1.0)
    drop = hxsnn.BatchDropout(20, 0.5, exp)
    li = hxsnn.ReadoutNeuron(2, exp)

    def run():
        z = lif(syn(hxsnn.NeuronHandle(spikes(3))))
        d = drop(z)
        y = li(out(d))
        hxsnn.run(exp, STEPS)
        y.membrane_cadc.sum().backward()
        return d.spikes

    torch.manual_seed(1)
    seen = [run() for _ in range(3)]
    masks = [(s.sum((0, 1)) > 0) for s in seen]
    assert all(0 < int(mask.sum()) < 20 for mask in masks) and not torch.equal(masks[0], masks[1])
    assert torch.equal(masks[2], drop.mask) and lif.mask.all()  # the dropout has its mask for itself
    drop.eval()
    assert (run().sum((0, 1)) > 0).all() and drop.mask.all()


def test_batch_dropout_follows_neurons():
    exp = hxsnn.Experiment(mock=True)
    drop, syn, lif = hxsnn.BatchDropout(3, 0.5, exp), synapse(3, 2, exp), hxsnn.Neuron(2, exp)
    lif(syn(drop(hxsnn.NeuronHandle(spikes(3)))))
    with pytest.raises(TypeError, match="only allowed to succeed a Neuron module"):
        hxsnn.run(exp, None)
    with pytest.raises(ValueError, match=r"dropout is 1\.5"):
        hxsnn.BatchDropout(3, 1.5, exp)


# --- Input, sparse, parallel rows ---------------------------------------------------------------------------


@pytest.mark.parametrize("loopback", [True, False])
def test_input_loop_back(loopback):
    exp = hxsnn.Experiment()
    exp.default_execution_instance = hxsnn.ExecutionInstance(input_loopback=loopback)
    inputs, syn, lif = hxsnn.InputNeuron(3, exp), synapse(3, 2, exp), hxsnn.Neuron(2, exp)
    given = 2 * spikes(3)  # the chip sends one event, whatever the value
    x = inputs(hxsnn.NeuronHandle(given))
    lif(syn(x))
    with pytest.warns(UserWarning, match="neither 0 nor 1"):
        hxsnn.run(exp, STEPS)
    torch.testing.assert_close(x.spikes, spikes(3) if loopback else given)


def test_sparse_synapse(exp):
    exists = torch.zeros(50, 6)
    exists[torch.arange(50), torch.arange(50) % 6] = 1
    torch.manual_seed(0)
    syn = hxsnn.SparseSynapse(exists.to_sparse(), exp)
    dense = hxsnn.Synapse(50, 6, exp)
    assert syn.weight.shape == (6, 50) and torch.equal(syn.mask, exists.T.bool())
    assert syn.connections == [list(i) for i in zip(*[(n % 6, n) for n in sorted(range(50), key=lambda n: n % 6)])]
    syn.weight.data.uniform_(20, 60)
    dense.weight.data = syn.weight.data * syn.mask
    lif = hxsnn.Neuron(6, exp)
    results = []
    for module in (syn, dense):
        z = lif(module(hxsnn.NeuronHandle(spikes(50, rate=0.05))))
        hxsnn.run(exp, STEPS)
        z.membrane_cadc.sum().backward()
        results.append(z.spikes)
    assert results[0].sum() > 0
    torch.testing.assert_close(results[0], results[1])
    assert torch.equal(syn.weight.data, dense.weight.data)  # what does not exist is zero again
    torch.testing.assert_close(syn.weight.grad, dense.weight.grad * syn.mask)
    for bad in (torch.zeros(3, 3), torch.ones(3)):
        with pytest.raises(ValueError, match="connections"):
            hxsnn.SparseSynapse(bad, exp)


def test_many_sources_with_few_inputs_per_neuron_fit_the_chip():
    exp = hxsnn.Experiment()
    torch.manual_seed(0)
    exists = torch.zeros(1000, 512)
    for n in range(512):
        exists[torch.randperm(1000)[:32], n] = 1
    lif = hxsnn.Neuron(512, exp)
    z = lif(hxsnn.SparseSynapse(exists, exp)(hxsnn.NeuronHandle(spikes(1000, 20))))
    hxsnn.run(exp, 20)
    assert z.spikes.shape == (20, 2, 512)


def test_weights_beyond_63_by_parallel_rows():
    exp = hxsnn.Experiment()
    peaks = {}
    for weight, parallel in ((60.0, 1), (120.0, 1), (120.0, 2), (-120.0, 2)):
        li = hxsnn.ReadoutNeuron(1, exp)
        x = torch.zeros(STEPS, 1, 1)
        x[5] = 1
        y = li(synapse(1, 1, exp, weight, parallel_rows=parallel)(hxsnn.NeuronHandle(x)))
        hxsnn.run(exp, STEPS)
        trace = y.membrane_cadc.detach() - y.membrane_cadc.detach()[0]
        peaks[weight, parallel] = float(trace[trace.abs().argmax()])
    assert peaks[120.0, 1] == pytest.approx(peaks[60.0, 1] * 63 / 60, abs=1.5)  # clipped
    assert peaks[120.0, 2] == pytest.approx(2 * peaks[60.0, 1], abs=1.5)
    assert peaks[-120.0, 2] == pytest.approx(-peaks[120.0, 2], abs=1.5)
