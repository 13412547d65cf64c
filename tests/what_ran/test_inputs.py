"""A run computes with its inputs as they are at the moment of `run`, whatever kind of array they are."""

import multiprocessing

import numpy as np
import pytest
import torch
from small_net import (
    SIZES,
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

from hxtorch import snn

# --- Inputs are what they are at the moment of `run` -------------------------------------------------------


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


# --- Simple inputs ---------------------------------------------------------------------------------------


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
