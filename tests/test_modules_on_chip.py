"""Wrapper, dropout, masks, loop-back, sparse synapses, parallel rows, places: in mock mode and on the chip."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch.mapping import MappingError, map_network
from hxtorch.snn.morphology import SingleCompartmentNeuron
from hxtorch.snn.neuron_placement import NeuronPlacement
from hxtorch.twin import Die, Noise
from hxtorch.twin import coordinates as halco
from hxtorch.twin.circuits import nominal_drive

STEPS = 40


@pytest.fixture(autouse=True)
def ideal_chip():
    hxtorch.init_hardware(Die.ideal(), noise=Noise.off())
    yield
    hxtorch.release_hardware()


def spikes(size, steps=STEPS, batch=2, rate=0.2, seed=0):
    return (torch.rand(steps, batch, size, generator=torch.Generator().manual_seed(seed)) < rate).float()


def synapse(n_in, n_out, exp, weight=40.0, **options):
    made = hxsnn.Synapse(n_in, n_out, exp, **options)
    made.weight.data.fill_(weight)
    return made


@pytest.fixture(params=[True, False], ids=["mock", "chip"])
def exp(request):
    return hxsnn.Experiment(mock=request.param)


# --- Loops --------------------------------------------------------------------------------------------------


def loop(exp, style, size=6):
    torch.manual_seed(0)
    inner, outer = hxsnn.Synapse(3, size, exp), hxsnn.Synapse(size, size, exp)
    inner.weight.data.uniform_(0, 60)
    outer.weight.data.uniform_(-20, 25)
    lif = hxsnn.Neuron(size, exp)
    given = hxsnn.NeuronHandle(spikes(3))
    if style == "output_handle":
        z = lif(inner(given), outer(lif.output_handle))
    else:
        z = lif(inner(given))
        lif(outer(z))
    if style == "wrapper":
        hxsnn.HXModuleWrapper(exp, inner=inner, outer=outer, lif=lif)()
    hxsnn.run(exp, STEPS)
    z.membrane_cadc.sum().backward()
    return z, inner.weight.grad, outer.weight.grad


def test_all_ways_to_close_a_loop_are_the_same(exp):
    results = [loop(exp, style) for style in ("output_handle", "call again", "wrapper")]
    for z, inner, outer in results:
        assert z.spikes.sum() > 0 and outer.abs().sum() > 0
        torch.testing.assert_close(z.spikes, results[0][0].spikes)
        torch.testing.assert_close(z.membrane_cadc, results[0][0].membrane_cadc)
        torch.testing.assert_close((inner, outer), results[0][1:])


def test_gradient_through_time_equals_an_unrolled_network():
    """A loop without delay equals a chain of layers, the k-th of which has seen k rounds of its spikes."""
    exp = hxsnn.Experiment(mock=True)
    z, inner, outer = loop(exp, "output_handle")
    exp = hxsnn.Experiment(mock=True)
    torch.manual_seed(0)
    first, back = hxsnn.Synapse(3, 6, exp), hxsnn.Synapse(6, 6, exp)
    first.weight.data.uniform_(0, 60)
    back.weight.data.uniform_(-20, 25)
    g = first(hxsnn.NeuronHandle(spikes(3)))
    chain = hxsnn.Neuron(6, exp)(g)
    for _ in range(STEPS):  # one layer for each step suffices
        again = hxsnn.Synapse(6, 6, exp)
        again.weight = back.weight
        chain = hxsnn.Neuron(6, exp)(g, again(chain))
    hxsnn.run(exp, None)
    torch.testing.assert_close(chain.spikes, z.spikes)
    chain.membrane_cadc.sum().backward()
    torch.testing.assert_close(first.weight.grad, inner)
    torch.testing.assert_close(back.weight.grad, outer)


def test_a_loop_of_own_neurons():
    """Any forward_func may stand in a loop."""

    class Slow(hxsnn.Neuron):
        def forward_func(self, *input, hw_data=None):
            return super().forward_func(*input, hw_data=hw_data)

    exp = hxsnn.Experiment(mock=True)
    outputs = []
    for kind in (hxsnn.Neuron, Slow):
        torch.manual_seed(0)
        syn, back = hxsnn.Synapse(3, 4, exp), hxsnn.Synapse(4, 4, exp)
        syn.weight.data.uniform_(0, 80)
        back.weight.data.uniform_(-30, 30)
        lif = kind(4, exp)
        z = lif(syn(hxsnn.NeuronHandle(spikes(3))), back(lif.output_handle))
        hxsnn.run(exp, None)
        z.current.sum().backward()
        outputs.append((z.spikes, z.membrane_cadc, back.weight.grad))
    assert outputs[0][0].sum() > 0
    torch.testing.assert_close(outputs[0], outputs[1])


def test_loops_over_two_populations(exp):
    forth, back = synapse(4, 5, exp, 30.0), synapse(5, 4, exp, -20.0)
    first, second = hxsnn.Neuron(4, exp), hxsnn.Neuron(5, exp)
    z = first(synapse(2, 4, exp, 50.0)(hxsnn.NeuronHandle(spikes(2))), back(second.output_handle))
    y = second(forth(z))
    readout = hxsnn.ReadoutNeuron(1, exp)(synapse(5, 1, exp)(y))
    hxsnn.run(exp, STEPS)
    assert z.spikes.sum() > 0 and y.spikes.sum() > 0 and readout.membrane_cadc is not None


def test_what_cannot_be_a_loop_is_refused():
    exp = hxsnn.Experiment(mock=True)
    lif, syn = hxsnn.Neuron(2, exp), synapse(2, 2, exp)
    syn(lif.output_handle)
    with pytest.raises(ValueError, match=r"was given to another module, but .* was not called"):
        hxsnn.run(exp, None)
    lif(syn(lif.output_handle))
    with pytest.raises(ValueError, match="no input from outside"):
        hxsnn.run(exp, None)


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
    assert torch.equal(masks[2], drop.mask) and torch.equal(masks[2], lif.mask)
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


# --- Places -------------------------------------------------------------------------------------------------


def test_coordinates_stand_in_for_the_vendors():
    from dlens_vx_v3 import halco as vendor

    assert vendor is halco
    place = vendor.AtomicNeuronOnDLS(vendor.NeuronRowOnDLS(1), vendor.NeuronColumnOnDLS(7))
    assert place == vendor.AtomicNeuronOnDLS(vendor.NeuronColumnOnDLS(7), vendor.NeuronRowOnDLS(1))
    assert int(place) == 263 == int(place.toEnum()) and place == vendor.AtomicNeuronOnDLS(vendor.Enum(263))
    assert place.toNeuronColumnOnDLS() == vendor.NeuronColumnOnDLS(7) != vendor.NeuronRowOnDLS(0)
    assert len(list(vendor.iter_all(vendor.NeuronColumnOnDLS))) == 256
    assert sorted([place, vendor.AtomicNeuronOnDLS(3)])[0] == vendor.AtomicNeuronOnDLS(3)
    for wrong in (512, -1):
        with pytest.raises(ValueError, match="0 to 511"):
            vendor.AtomicNeuronOnDLS(wrong)
    with pytest.raises(TypeError, match="whole number"):
        vendor.NeuronRowOnDLS("top")


def test_neurons_where_the_user_puts_them():
    exp = hxsnn.Experiment()
    shape = SingleCompartmentNeuron(1)
    places = [
        halco.LogicalNeuronOnDLS(
            shape.compartments, halco.AtomicNeuronOnDLS(halco.NeuronRowOnDLS(1), halco.NeuronColumnOnDLS(n))
        )
        for n in (5, 3)
    ]
    offsets = {place: -48.0 + n for n, place in enumerate(places)}
    li = hxsnn.ReadoutNeuron(
        2, exp, placement_constraint=places, trace_offset={**offsets, "elsewhere": 1.0}, neuron_structure=shape
    )
    y = li(synapse(1, 2, exp)(hxsnn.NeuronHandle(torch.zeros(STEPS, 1, 1))))
    hxsnn.run(exp, STEPS)
    assert exp.plans.last.circuits(0).tolist() == [[261], [259]]
    torch.testing.assert_close(y.membrane_cadc[-1, 0], torch.tensor([0.0, -1.0]), atol=1.01, rtol=0)


def test_placement_by_number():
    placement = NeuronPlacement()
    placement.register_id([0, 1], SingleCompartmentNeuron(2))
    placement.register_id(7, SingleCompartmentNeuron(4))
    placement.register_id(8, SingleCompartmentNeuron(4, expand_horizontally=True))
    placement.register_id(9)
    assert [p.circuits for p in placement.id2logicalneuron([0, 1, 7, 8, 9])] == [
        (0, 256), (1, 257), (2, 258, 3, 259), (4, 5, 6, 7), (8,)
    ]  # fmt: skip
    with pytest.raises(ValueError, match="Cannot register LogicalNeuron"):
        placement.register_id(10, None, placement.id2logicalneuron(7))
    with pytest.raises(KeyError):
        placement.id2logicalneuron(99)
    with pytest.raises(ValueError, match="Cannot register ID 258"):
        placement.register_id(range(11, 270), SingleCompartmentNeuron(2))


# --- The experiment -----------------------------------------------------------------------------------------


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
