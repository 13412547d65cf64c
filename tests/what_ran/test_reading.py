"""Every number of a handle and every gradient is that of the run, whatever happens before, between and after."""

import contextlib
import copy

import numpy as np
import pytest
import torch
from small_net import (
    SIZES,
    STEPS,
    TAU,
    Net,
    expected,
    loss_of,
    reference,
    same,
    shown,
    spikes,
    unit,
    weight_gradients,
)
from torch.testing import assert_close

from hxtorch import snn
from hxtorch.snn import functional as F

# --- Nothing is kept from one context for another ----------------------------------------------------------


@pytest.mark.parametrize("size", ["tiny", "sparse", "long"])
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_an_evaluation_before_the_first_training_step(size, mode):
    net = Net(size)
    threshold = 1 + 2.0 ** -np.random.default_rng().integers(3, 20)  # a value that no run has seen
    net.lif.threshold = snn.MixedHXModelParameter(threshold, 100)
    with mode():
        evaluated = net.run(spikes(size))
        assert not evaluated[3].membrane_cadc.requires_grad
    handles = net.run(spikes(size))
    loss_of(shown(handles)).backward()
    assert net.first.weight.grad.abs().sum() > 0
    same(shown(evaluated), [v.detach() for v in shown(handles)])


def test_what_was_run_in_inference_mode_is_read_outside_and_the_other_way_round():
    net, x = Net("sparse"), spikes("sparse")
    with torch.inference_mode():
        inside = net.run(x)
    outside = net.run(x)
    with torch.inference_mode():
        values = [v.clone() for v in shown(outside)]
    same(shown(inside), values)
    assert all(v.requires_grad for v in shown(outside))
    loss_of(shown(outside)).backward()


@pytest.mark.parametrize("size", ["tiny", "sparse"])
def test_the_default_device_and_type_change_nothing(size):
    threshold = 1 + 2.0 ** -np.random.default_rng().integers(3, 20)
    net, other = Net(size), Net(size)
    for one in (net, other):
        one.lif.threshold = snn.MixedHXModelParameter(threshold, 100)
    torch.set_default_device("meta")
    try:
        first = net.run(spikes_on_cpu(size))
    finally:
        torch.set_default_device(None)
    torch.set_default_dtype(torch.float64)
    try:
        second = other.run(spikes_on_cpu(size))
    finally:
        torch.set_default_dtype(torch.float32)
    third = other.run(spikes_on_cpu(size))
    for a, b, c in zip(shown(first), shown(second), shown(third), strict=True):
        assert torch.equal(a, c) and torch.equal(b, c) and a.dtype == b.dtype == torch.float32
    loss_of(shown(third)).backward()


def spikes_on_cpu(size):
    inputs, _, batch, density = SIZES[size]
    draw = np.random.default_rng(0).random((STEPS, batch, inputs)) < density
    return torch.from_numpy(draw.astype(np.float32))


# --- Reading changes nothing and never depends on the time of reading --------------------------------------


def step(net, handles):
    with torch.no_grad():
        for weight in net.weights:
            weight.mul_(0.5)


def clamp(net, handles):
    for weight in net.weights:
        weight.data.clamp_(-0.05, 0.05)


def run_again(net, handles):
    net.run(torch.ones(STEPS, 3, net.first.in_features))


def read_without_gradient(net, handles):
    with torch.no_grad():
        for value in shown(handles):
            value.sum()


def display(net, handles):
    for handle in reversed(handles):
        handle._repr_html_()


def copy_handles(net, handles):
    with torch.no_grad():
        for handle in handles:
            for name in handle.names():
                value = getattr(handle, name)
                assert value is None or value.shape[0] == STEPS


def write_to_what_was_read(net, handles):
    for value in shown(handles)[1:]:
        value.detach().numpy()[:] += 0  # to nothing yet: the copies are made


def change_parameters(net, handles):
    net.lif.threshold = snn.MixedHXModelParameter(0.2, 100)
    net.lif.tau_mem = 3e-6
    net.lif.alpha = 2.0
    net.lif.mask = torch.zeros(net.lif.size)


DEEDS = [step, clamp, run_again, read_without_gradient, display, copy_handles, write_to_what_was_read,
         change_parameters]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("deed", DEEDS)
def test_values_and_gradients_are_those_of_the_run_whenever_they_are_read(size, deed):
    net, x = Net(size), spikes(size)
    handles = net.run(x)
    values, (*gradients, _) = expected(x, net)
    weights = net.weights
    deed(net, handles)
    same(shown(handles), values)
    same(torch.autograd.grad(loss_of(shown(handles)), weights), gradients)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("length", [7, 40])
def test_pieces_of_time_give_the_same_values_and_gradients(size, length):
    net, x = Net(size, checkpoint_steps=length), spikes(size)
    handles = net.run(x)
    values, (*gradients, _) = expected(x, net)
    step(net, handles)
    x.numpy()[:] = 0
    same(shown(handles), values)
    same(weight_gradients(net, handles), gradients)


@pytest.mark.parametrize("size", SIZES)
def test_writing_to_what_a_handle_gave_reaches_no_gradient(size):
    net, x = Net(size), spikes(size)
    s, z, _, y = net.run(x)
    assert z.spikes.any()
    z.spikes.data.zero_()
    z.membrane_cadc.data.fill_(9)
    s.graded_spikes.data.fill_(9)
    first, second = (w.detach().clone().requires_grad_() for w in net.weights)
    own = reference(x, first, second)
    same(torch.autograd.grad(loss_of((y.membrane_cadc,)), net.weights),
         torch.autograd.grad(loss_of((own[5],)), (first, second)))  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["s", "z", "t"])
def test_hooks_act_on_the_gradient_that_flows_through(size, name):
    net, x = Net(size), spikes(size)
    s, z, t, y = net.run(x)
    tensor = {"s": s.graded_spikes, "z": z.spikes, "t": t.graded_spikes}[name]
    tensor.register_hook(lambda grad: 3 * grad)
    tensor.retain_grad()
    y.membrane_cadc.square().sum().backward()
    first, second = (w.detach().clone().requires_grad_() for w in net.weights)
    values = reference(x, first, second)
    own = {"s": values[0], "z": values[1], "t": values[4]}
    own[name].register_hook(lambda grad: 3 * grad)
    own[name].retain_grad()
    values[5].square().sum().backward()
    same([net.first.weight.grad, net.second.weight.grad, tensor.grad], [first.grad, second.grad, own[name].grad])


@pytest.mark.parametrize("size", SIZES)
def test_gradients_with_respect_to_what_flows_through(size):
    net, x = Net(size), spikes(size)
    s, z, t, y = net.run(x)
    got = torch.autograd.grad(y.membrane_cadc.square().sum(), (s.graded_spikes, z.spikes, t.graded_spikes))
    values = reference(x, *(w.detach().clone().requires_grad_() for w in net.weights))
    same(got, torch.autograd.grad(values[5].square().sum(), (values[0], values[1], values[4])))


@pytest.mark.parametrize("size", ["tiny", "sparse"])
def test_hooks_on_membrane_and_current(size):
    net, x = Net(size), spikes(size)
    _, z, _, y = net.run(x)
    seen = []
    z.membrane_cadc.register_hook(lambda grad: seen.append(grad) or 2 * grad)
    z.current.retain_grad()
    (z.membrane_cadc.sum() + z.current.square().sum() + y.membrane_cadc.sum()).backward()
    first, second = (w.detach().clone().requires_grad_() for w in net.weights)
    _, _, v, i, _, m, _ = reference(x, first, second)
    (2 * v.sum() + i.square().sum() + m.sum()).backward()
    same([net.first.weight.grad, net.second.weight.grad], [first.grad, second.grad])
    assert torch.equal(seen[0], torch.ones_like(seen[0]))
    same([z.current.grad], [2 * i.detach()])


@pytest.mark.parametrize("size", SIZES)
def test_backward_twice_and_in_parts(size):
    net, x = Net(size), spikes(size)
    s, z, _, y = net.run(x)
    once = torch.autograd.grad(y.membrane_cadc.square().sum(), net.weights, retain_graph=True)
    (only_second,) = torch.autograd.grad(y.membrane_cadc.square().sum(), net.second.weight, retain_graph=True)
    s.graded_spikes.sum()  # read in between
    twice = torch.autograd.grad(y.membrane_cadc.square().sum(), net.weights)
    same(twice, [g.detach() for g in once])
    assert_close(only_second, once[1], rtol=1e-5, atol=1e-5)
    assert z.spikes.requires_grad


def test_the_search_for_anomalies_finds_none():
    net, x = Net("sparse"), spikes("sparse")
    _, (*gradients, _) = expected(x, net)
    with torch.autograd.detect_anomaly(check_nan=True):
        handles = net.run(x)
        first, second = (w.detach().clone().requires_grad_() for w in net.weights)
        own = reference(x, first, second)
        got = torch.autograd.grad(loss_of((handles[3].membrane_cadc,)), net.weights)
    same(got, torch.autograd.grad(loss_of((own[5],)), (first, second)))
    assert len(gradients) == 2


# --- Precision does not depend on the batch size -----------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_within_autocast_states_are_float32_at_every_size(size):
    net, x = Net(size), spikes(size)
    for batch in (1, 2, x.shape[1]):
        values, _ = expected(x[:, :batch], net)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            handles = net.run(x[:, :batch].clone())
        assert all(value.dtype == torch.float32 for value in shown(handles))
        same(shown(handles), values)


def test_a_copy_of_a_handle_is_independent():
    net, x = Net("sparse"), spikes("sparse")
    with torch.no_grad():
        handles = net.run(x)
    values, _ = expected(x, net)
    copies = [copy.deepcopy(handle) for handle in handles]
    for handle in handles:
        for name in handle.names():
            if handle.holds(name):
                getattr(handle, name).zero_()
    same(shown(copies), values)


@pytest.mark.parametrize("size", ["tiny", "sparse", "long"])
@pytest.mark.parametrize("length", [None, 7])
def test_a_product_that_one_population_sums_and_another_adds_to_others(size, length):
    """Its gradient comes from both, whoever of them sums the weights itself."""
    found = []
    for plain in (False, True):
        net = Net(size, checkpoint_steps=length)
        other = snn.Synapse(*reversed(net.first.weight.shape), net.experiment)
        readout = snn.ReadoutNeuron(net.lif.size, net.experiment, leak=unit()["leak"], tau_mem=TAU, tau_syn=TAU)
        with torch.no_grad():
            other.weight.copy_(net.first.weight.flip(0))
        handle = snn.NeuronHandle(spikes(size))
        first, second = net.first(handle), other(handle)
        z, y = net.lif(first), readout(first, second)
        with F.reference_numerics() if plain else contextlib.nullcontext():
            snn.run(net.experiment, None)
        loss = (z.spikes * torch.linspace(0, 1, net.lif.size)).sum() + y.membrane_cadc.square().mean()
        found.append(torch.autograd.grad(loss, (net.first.weight, other.weight)))
    same(*found)


def test_a_product_that_a_loop_and_a_readout_read():
    found = []
    for plain in (False, True):
        net = Net("sparse")
        loop = snn.Synapse(64, 64, net.experiment)
        readout = snn.ReadoutNeuron(64, net.experiment, leak=unit()["leak"], tau_mem=TAU, tau_syn=TAU)
        with torch.no_grad():
            loop.weight.copy_((torch.eye(64) - 0.5).roll(1, 0) / 4)
        first = net.first(snn.NeuronHandle(spikes("sparse")))
        y, z = readout(first), net.lif(first, loop(net.lif.output_handle))
        with F.reference_numerics() if plain else contextlib.nullcontext():
            snn.run(net.experiment, None)
        loss = (z.spikes * torch.linspace(0, 1, 64)).sum() + y.membrane_cadc.square().mean()
        found.append(torch.autograd.grad(loss, (net.first.weight, loop.weight)))
    same(*found)
