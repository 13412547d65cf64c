"""Every number of a handle and every gradient is that of the run, whatever happens before, between and after.

The reference is plain torch: a loop over time on copies. Sizes lie on both sides of every switch: lists of spikes
or dense products, membranes computed at once or when they are read.
"""

import contextlib
import copy
import multiprocessing

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hxtorch import snn
from hxtorch.snn import functional as F

STEPS = 40
# inputs, neurons, batch, density
SIZES = {
    "tiny": (5, 8, 2, 0.3),
    "small": (20, 16, 6, 0.2),
    "dense": (100, 64, 20, 0.5),
    "sparse": (200, 64, 20, 0.02),
    "long": (60, 64, 64, 0.05),
}
ALPHA, DECAY, PULL = 50.0, 0.875, 0.125  # a step is 1/8 of both time constants
TAU = 8e-6


def unit():
    values = {"leak": 0.0, "reset": 0.0, "threshold": 1.0}
    return {name: snn.MixedHXModelParameter(value, 100) for name, value in values.items()}


def spikes(size, seed=0):
    inputs, _, batch, density = SIZES[size]
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(STEPS, batch, inputs, generator=generator) < density).float()


class Net:
    """Inputs to spiking neurons to leaky integrators, with weights whose sums float32 holds exactly for long."""

    def __init__(self, size, **experiment):
        inputs, hidden, _, density = SIZES[size]
        generator = torch.Generator().manual_seed(1)
        self.experiment = snn.Experiment(mock=True, **experiment)
        self.first, self.second = (
            snn.Synapse(inputs, hidden, self.experiment),
            snn.Synapse(hidden, 3, self.experiment),
        )
        scale = 2 / (inputs * density) ** 0.5
        for synapse in (self.first, self.second):
            weight = torch.randn(synapse.weight.shape, generator=generator) * scale
            synapse.weight.data = (weight * 64).round() / 64
        self.lif = snn.Neuron(hidden, self.experiment, **unit(), tau_mem=TAU, tau_syn=TAU)
        self.li = snn.ReadoutNeuron(3, self.experiment, leak=unit()["leak"], tau_mem=TAU, tau_syn=TAU)

    def call(self, x):
        handle = x if isinstance(x, snn.Handle) else snn.NeuronHandle(x)
        s = self.first(handle)
        z = self.lif(s)
        t = self.second(z)
        return s, z, t, self.li(t)

    def run(self, x):
        handles = self.call(x)
        snn.run(self.experiment, None)
        return handles

    @property
    def weights(self):
        return self.first.weight, self.second.weight


class Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x > 0).float()

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad / (ALPHA * x.abs() + 1) ** 2


def reference(x, first, second):
    """s, z, membrane, current of the hidden layer, t, membrane and current of the readout."""

    def layer(drive, fires):
        i = v = torch.zeros_like(drive[0])
        rows = []
        for now in drive.unbind(0):
            v = v + PULL * (i - v)
            z = Step.apply(v - 1) if fires else torch.zeros_like(v)
            v = torch.where(z.bool(), 0.0, v)
            i = i * DECAY + now
            rows.append((z, v, i))
        return [torch.stack(part) for part in zip(*rows, strict=True)]

    s = x @ first.T
    z, v, i = layer(s, True)
    t = z @ second.T
    _, y, current = layer(t, False)
    return s, z, v, i, t, y, current


def expected(x, net):
    """Values of the reference and gradients of a loss over all of them, for weights and input as they are now."""
    first, second, x = (t.detach().clone().requires_grad_() for t in (*net.weights, x))
    values = reference(x, first, second)
    return [v.detach() for v in values], torch.autograd.grad(loss_of(values), (first, second, x))


def loss_of(values):
    return sum((value * torch.linspace(0.5, 1.5, value.shape[-1])).square().sum() for value in values) / 1000


def shown(handles):
    s, z, t, y = handles
    return (
        s.graded_spikes, z.spikes, z.membrane_cadc, z.current, t.graded_spikes, y.membrane_cadc, y.current,
    )  # fmt: skip


def same(got, wanted):
    for a, b in zip(got, wanted, strict=True):
        scale = max(1.0, float(b.abs().max()))
        assert_close(a.detach() / scale, b / scale, rtol=1e-5, atol=2e-5)


def weight_gradients(net, handles):
    return torch.autograd.grad(loss_of(shown(handles)), net.weights)


# --- 1: inputs are what they are at the moment of `run` -------------------------------------------------------


def by_numpy(x, values):
    x.numpy()[:] = values


def by_data(x, values):
    x.data.copy_(torch.from_numpy(values))


def by_another_process(x, values):
    worker = multiprocessing.get_context("fork").Process(target=by_numpy, args=(x, values))
    worker.start()
    worker.join()


WAYS = {
    "torch": (lambda x: x, lambda x, values: x.copy_(torch.from_numpy(values))),
    "numpy": (lambda x: x, by_numpy),
    "data": (lambda x: x, by_data),
    "from_numpy": (lambda x: torch.from_numpy(x.numpy()), by_numpy),
    "shared": (lambda x: x.share_memory_(), by_another_process),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", WAYS)
def test_a_buffer_that_is_filled_again_gives_the_new_spikes(size, way):
    make, fill = WAYS[way]
    net, x = Net(size), make(spikes(size))
    first = net.run(x)
    values, (*gradients, _) = expected(spikes(size), net)
    fill(x, spikes(size, 1).numpy())
    second = net.run(x)  # before the first is read
    after, (*gradients_after, _) = expected(spikes(size, 1), net)
    fill(x, 0 * x.numpy())
    same(shown(second), after)
    same(shown(first), values)
    same(weight_gradients(net, first), gradients)
    same(weight_gradients(net, second), gradients_after)
    assert values[1].sum() != after[1].sum()


@pytest.mark.parametrize("size", SIZES)
def test_refilled_between_call_and_run_the_new_content_counts(size):
    net, x = Net(size), spikes(size)
    handles = net.call(x)
    x.numpy()[:] = spikes(size, 2).numpy()
    snn.run(net.experiment, None)
    x.numpy()[:] = 0
    values, (*gradients, _) = expected(spikes(size, 2), net)
    same(shown(handles), values)
    same(weight_gradients(net, handles), gradients)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_buffer_that_became_unusable_is_refused(size, bad):
    net, x = Net(size), spikes(size)
    net.run(x)
    x.numpy()[3, 1, 4] = bad
    with pytest.raises(ValueError, match="contain NaN or infinite values"):
        net.run(x)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["data", "numpy"])
def test_hidden_spikes_that_a_script_changes_and_feeds_on(size, mode):
    net = Net(size)
    other = snn.Synapse(SIZES[size][1], 4, net.experiment)
    readout = snn.ReadoutNeuron(4, net.experiment, leak=unit()["leak"], tau_mem=TAU, tau_syn=TAU)
    x = spikes(size)
    handles = net.run(x)
    values, (*gradients, _) = expected(x, net)
    z = handles[1]
    flipped = 1 - z.spikes.detach()
    if mode == "data":
        z.spikes.data.copy_(flipped)
    else:
        z.spikes.detach().numpy()[:] = flipped.numpy()
    s = other(z)  # the handle itself
    readout(s)
    snn.run(net.experiment, None)
    same([s.graded_spikes], [flipped @ other.weight.detach().T])
    # and the gradient of the run before is that of what it computed
    loss = loss_of((handles[0].graded_spikes, *shown(handles)[2:]))
    first, second = (w.detach().clone().requires_grad_() for w in net.weights)
    own = reference(x, first, second)
    wanted = torch.autograd.grad(loss_of((own[0], *own[2:])), (first, second))
    same(torch.autograd.grad(loss, net.weights), wanted)
    assert len(gradients) == 2 and values[1].any()


@pytest.mark.parametrize("size", SIZES)
def test_the_gradient_of_an_input_is_that_of_the_run(size):
    net, x = Net(size), spikes(size).requires_grad_()
    handles = net.run(x)
    values, gradients = expected(x, net)
    with torch.no_grad():
        x.zero_()
    same(shown(handles), values)
    same(torch.autograd.grad(loss_of(shown(handles)), (*net.weights, x)), gradients)


class Identity(snn.HXModule):
    output_type = snn.NeuronHandle


@pytest.mark.parametrize("kind", [snn.InputNeuron, Identity])
@pytest.mark.parametrize("size", ["tiny", "sparse"])
def test_what_passes_an_input_on_shows_it_as_it_was(kind, size):
    experiment, x = snn.Experiment(mock=True), spikes(size)
    module = kind(x.shape[2], experiment) if kind is snn.InputNeuron else kind(experiment)
    z = module(snn.NeuronHandle(x))
    snn.run(experiment, None)
    x.numpy()[:] = 7
    assert torch.equal(z.spikes, spikes(size))


def test_graded_input_given_to_neurons_is_taken_down_as_well():
    for steps, batch in ((20, 2), (60, 40)):
        experiment = snn.Experiment(mock=True)
        neuron = snn.Neuron(50, experiment, **unit(), tau_mem=TAU, tau_syn=TAU)
        x = torch.randn(steps, batch, 50, generator=torch.Generator().manual_seed(3))
        kept = x.clone()
        z = neuron(snn.SynapseHandle(x))
        snn.run(experiment, None)
        x.numpy()[:] = 0
        other = snn.Neuron(50, experiment, **unit(), tau_mem=TAU, tau_syn=TAU)
        again = other(snn.SynapseHandle(kept))
        snn.run(experiment, None)
        assert torch.equal(z.membrane_cadc, again.membrane_cadc) and torch.equal(z.current, again.current)


# --- 2: nothing is kept from one context for another ----------------------------------------------------------


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


# --- 3: reading changes nothing and never depends on the time of reading --------------------------------------


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


# --- 8: precision does not depend on the batch size -----------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_within_autocast_states_are_float32_at_every_size(size):
    net, x = Net(size), spikes(size)
    for batch in (1, 2, x.shape[1]):
        values, _ = expected(x[:, :batch], net)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            handles = net.run(x[:, :batch].clone())
        assert all(value.dtype == torch.float32 for value in shown(handles))
        same(shown(handles), values)


# --- 11: simple inputs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["tiny", "sparse"])
@pytest.mark.parametrize(
    "kind",
    [
        "float64",
        "bool",
        "list",
        "uint8",
        "sparse",
        "csr free",
        "readonly",
        "reversed",
        "big endian",
        "rows",
        "uint16",
    ],
)
def test_arrays_lists_and_sparse_tensors_are_taken(size, kind):
    net, x = Net(size), spikes(size)
    array = x.numpy()
    given = {
        "float64": lambda: array.astype(np.float64),
        "bool": lambda: array > 0,
        "list": lambda: array.tolist(),
        "uint8": lambda: array.astype(np.uint8),
        "uint16": lambda: array.astype(np.uint16),
        "sparse": lambda: x.to_sparse(),
        "csr free": lambda: x.long().to_sparse(),
        "readonly": lambda: np.frombuffer(array.tobytes(), np.float32).reshape(array.shape),
        "reversed": lambda: array[::-1].copy()[::-1],
        "big endian": lambda: array.astype(">f4"),
        "rows": lambda: list(x.unbind(0)),
    }[kind]()
    handles = net.run(given)
    values, (*gradients, _) = expected(x, net)
    same(shown(handles), values)
    same(weight_gradients(net, handles), gradients)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([[[0.0, 1.0]], [[1.0]]], ValueError, "rows of different lengths"),
        (np.array([[["a", "b"]]]), TypeError, "Give real numbers"),
        (torch.zeros(3, 1, 5, dtype=torch.complex64), TypeError, "Give real numbers"),
        ("spikes", TypeError, "of type str"),
        (3.0, TypeError, "of type float"),
        (np.zeros((3, 1, 4)), ValueError, r"shape \(3, 1, 4\), expected \(time, batch, 5\)"),
        ([torch.zeros(1, 5), torch.zeros(2, 5)], ValueError, "tensors of different shapes"),
    ],
)
def test_what_is_no_input_is_refused_in_a_sentence(given, error, message):
    net = Net("tiny")
    with pytest.raises(error, match=message) as caught:
        net.run(given)
    assert "first" not in str(caught.value) and "\n" not in str(caught.value)
    net.run(spikes("tiny"))


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
