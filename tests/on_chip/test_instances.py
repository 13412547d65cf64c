"""Fresh experiments, several execution instances, partition, and a router of the user's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_networks import STEPS, spikes, synapse

import hxtorch.snn as hxsnn
from hxtorch.mapping import MappingError, map_network
from hxtorch.snn.morphology import SingleCompartmentNeuron
from hxtorch.twin.circuits import nominal_drive


def test_clear_gives_a_fresh_experiment():
    exp = hxsnn.Experiment()
    instance = exp.default_execution_instance
    lif = hxsnn.Neuron(2, exp)
    lif(synapse(1, 2, exp)(hxsnn.NeuronHandle(spikes(1))))
    hxsnn.run(exp, STEPS)
    lif(synapse(1, 2, exp)(hxsnn.NeuronHandle(spikes(1))))
    assert exp.plans.last is not None
    exp.clear()
    assert exp.default_execution_instance is not instance and exp.plans.last is None
    with pytest.raises(ValueError, match="nothing to run"):
        hxsnn.run(exp, STEPS)


def test_instances_that_need_each_other():
    exp = hxsnn.Experiment()
    one, two = hxsnn.ExecutionInstance(), hxsnn.ExecutionInstance()
    first, second = hxsnn.Neuron(2, exp, execution_instance=one), hxsnn.Neuron(2, exp, execution_instance=two)
    z = first(synapse(2, 2, exp)(hxsnn.NeuronHandle(spikes(2))), synapse(2, 2, exp)(second.output_handle))
    second(synapse(2, 2, exp)(z))
    with pytest.raises(MappingError, match="need each other's spikes"):
        hxsnn.run(exp, STEPS)


@pytest.mark.filterwarnings("ignore:refractory_time = 0.008")
def test_partition_of_a_layer_that_exceeds_the_chip():
    """700 neurons run in two turns, and the readout with the second."""
    x, exists = spikes(20, rate=0.05), torch.rand(700, 3, generator=torch.Generator().manual_seed(0)) < 0.1
    unit = float(nominal_drive(np.array(500.0), np.array(600.0), np.array(63))) * 10  # current of a weight of 1
    results = []
    for options in ({"partition": True}, {"mock": True}):
        exp = hxsnn.Experiment(**options)
        torch.manual_seed(0)
        syn, out = hxsnn.Synapse(20, 700, exp, transform=lambda w: w / unit), hxsnn.SparseSynapse(exists, exp)
        syn.weight.data.uniform_(0, 40)
        lif, li = hxsnn.Neuron(700, exp, refractory_time=0.0), hxsnn.ReadoutNeuron(3, exp)
        z = lif(syn(hxsnn.NeuronHandle(x)))
        y = li(out(z))
        hxsnn.run(exp, STEPS)
        y.membrane_cadc.sum().backward()
        results.append((z, syn.weight.grad[out.mask.any(0)], exp))
    (z, gradient, exp), (model, _, _) = results
    runs = exp.plans.last.runs
    assert [sum(m.size for m in run.part.members.values()) for run in runs] == [512, 191]
    assert z.spikes.shape == z.membrane_cadc.shape == (STEPS, 2, 700)
    assert (gradient.abs().sum(1) > 0).all()
    rates, expected = z.spikes.sum((0, 1)), model.spikes.sum((0, 1))
    assert torch.corrcoef(torch.stack([rates, expected]))[0, 1] > 0.9
    for part in (slice(0, 512), slice(512, 700)):
        assert float(rates[part].detach().mean()) == pytest.approx(float(expected[part].detach().mean()), rel=0.2)


def test_five_instances_by_hand():
    """784-256-10: four instances of 64 hidden neurons with 8 circuits each, and one readout called for each."""
    x = spikes(784, steps=30, rate=0.02)
    results = []
    for is_mock in (True, False):
        exp = hxsnn.Experiment(mock=is_mock)
        exp.inter_batch_entry_wait = 125 * 50
        unit = 1.0 if is_mock else float(nominal_drive(np.array(500.0), np.array(600.0), np.array(63))) * 10
        given, torch_seed = hxsnn.NeuronHandle(x), torch.Generator().manual_seed(3)
        places = [hxsnn.ExecutionInstance() for _ in range(5)]
        two = SingleCompartmentNeuron(2, False)
        li = hxsnn.ReadoutNeuron(10, exp, execution_instance=places[4], neuron_structure=two, cadc_time_shift=1)
        hidden, synapses = [], []
        for place in places[:4]:
            options = {"transform": lambda w, unit=unit: w / unit}
            syn = hxsnn.Synapse(784, 64, exp, execution_instance=place, **options)
            lif = hxsnn.Neuron(
                64,
                exp,
                execution_instance=place,
                neuron_structure=SingleCompartmentNeuron(size=8, expand_horizontally=False),
                refractory_time=hxsnn.MixedHXModelParameter(0.0, 1e-6),
            )
            out = hxsnn.Synapse(64, 10, exp, execution_instance=places[4], **options)
            for module, scale, middle in ((syn, 9.0, 0.2), (out, 8.0, 0.5)):
                gain = 0.3 + torch.rand(module.out_features, 1, generator=torch_seed)  # some fire much, some do not
                module.weight.data = scale * gain * (torch.rand(module.weight.shape, generator=torch_seed) - middle)
            synapses += [syn, out]
            hidden.append(lif(syn(given)))
            y = li(out(hidden[-1]))
        hxsnn.run(exp, 32)
        y.membrane_cadc.pow(2).mean().backward()
        assert all(module.weight.grad.abs().sum() > 0 for module in synapses)
        results.append((torch.cat([z.spikes for z in hidden], 2), y.membrane_cadc))
    (model, trace), (chip, measured) = results
    assert len(exp.plans.last.runs) == 5
    assert [run.mapping.circuits[0].shape for run in exp.plans.last.runs] == [(64, 8)] * 4 + [(10, 2)]
    assert measured.shape == (30, 2, 10)
    rates, expected = chip.detach().sum((0, 1)), model.detach().sum((0, 1))
    assert torch.corrcoef(torch.stack([rates, expected]))[0, 1] > 0.9
    ends = torch.stack([measured.detach()[-1].reshape(-1), trace.detach()[-1].reshape(-1)])
    assert torch.corrcoef(ends)[0, 1] > 0.8


def test_a_router_of_the_users_own():
    asked = []

    def router(network):
        asked.append(network)
        return map_network(network)

    exp = hxsnn.Experiment(hw_routing_func=router)
    lif, syn = hxsnn.Neuron(2, exp), synapse(1, 2, exp)
    for _ in range(3):
        lif(syn(hxsnn.NeuronHandle(spikes(1))))
        hxsnn.run(exp, STEPS)
    assert len(asked) == 1 and asked[0].neurons[0].size == 2  # once per structure
