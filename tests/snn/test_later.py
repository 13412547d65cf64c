"""What neurons show is computed when it is read: the same values and gradients, whenever that is."""

import copy
import pickle

import pytest
import torch
from torch.testing import assert_close

from hxtorch import snn
from hxtorch.snn import functional as F

UNIT = {
    "leak": snn.MixedHXModelParameter(0.0, 80),
    "reset": snn.MixedHXModelParameter(0.0, 80),
    "threshold": snn.MixedHXModelParameter(1.0, 125),
}
STEPS, BATCH, INPUTS, SIZE = 40, 20, 100, 60


def spikes(seed=0, density=0.03):
    return (torch.rand(STEPS, BATCH, INPUTS, generator=torch.Generator().manual_seed(seed)) < density).float()


def layer(kind=snn.Neuron, **extra):
    experiment = snn.Experiment(mock=True)
    torch.manual_seed(1)
    synapse, neuron = snn.Synapse(INPUTS, SIZE, experiment), kind(SIZE, experiment, **UNIT, **extra)
    torch.nn.init.normal_(synapse.weight, 0.5, 1.0)
    return experiment, synapse, neuron


def run_layer(x, kind=snn.Neuron, **extra):
    experiment, synapse, neuron = layer(kind, **extra)
    s = synapse(snn.NeuronHandle(x))
    z = neuron(s)
    snn.run(experiment, None)
    return synapse, s, z


def reference(x, kind=snn.Neuron, **extra):
    with F.reference_numerics():
        return run_layer(x, kind, **extra)


def test_the_fused_layer_is_what_is_tested():
    _, s, z = run_layer(spikes())
    assert not s.peek("graded_spikes").is_filled and not z.peek("membrane_cadc").is_filled
    assert z.peek("spikes").is_filled


@pytest.mark.parametrize("kind", [snn.Neuron, snn.LIF, snn.AELIF])
@pytest.mark.parametrize("names", [("spikes",), ("spikes", "membrane_cadc"), ("current",), ("spikes", "graded")])
def test_values_and_gradients_equal_the_reference(kind, names):
    found = []
    for run in (run_layer, reference):
        x = spikes().requires_grad_()
        synapse, s, z = run(x, kind)
        tensors = [s.graded_spikes if name == "graded" else getattr(z, name) for name in names]
        loss = sum((tensor * torch.linspace(0.5, 1.5, SIZE)).square().sum() for tensor in tensors) / 1000
        found.append((*tensors, *torch.autograd.grad(loss, [x, synapse.weight])))
    assert run_layer(spikes(), kind)[2].spikes.sum() > 100
    for got, expected in zip(*found):
        scale = max(1.0, float(expected.detach().abs().max()))
        assert_close(got / scale, expected / scale, rtol=1e-5, atol=1e-5)


def test_reading_after_a_step_of_the_optimizer_gives_what_was_computed():
    x = spikes()
    _, s, z = run_layer(x)
    before = [s.graded_spikes.clone(), z.membrane_cadc.clone(), z.current.clone()]
    synapse, s, z = run_layer(x)
    with torch.no_grad():
        synapse.weight.mul_(3.0)
    x.zero_()
    for later, earlier in zip([s.graded_spikes, z.membrane_cadc, z.current], before):
        assert_close(later, earlier, rtol=1e-5, atol=1e-5)
        assert later.requires_grad


def test_recurrent_weights_are_kept_as_they_were():
    found = []
    for change in (False, True):
        experiment, synapse, neuron = layer()
        loop = snn.Synapse(SIZE, SIZE, experiment)
        z = neuron(synapse(snn.NeuronHandle(spikes())), loop(neuron.output_handle))
        snn.run(experiment, None)
        if change:
            with torch.no_grad():
                loop.weight.zero_()
        found.append(z.membrane_cadc.detach())
    assert_close(found[1], found[0], rtol=1e-5, atol=1e-5)


def test_an_input_that_was_written_to_changes_nothing():
    found = []
    for write in (False, True):
        x = torch.randn(STEPS, BATCH, SIZE, generator=torch.Generator().manual_seed(1))
        states = F.observe(x, F.Dynamics(F.Membrane(0.0, 1e-5, 1e-5), F.Firing(1.0, 0.0)))
        if write:
            x.numpy()[:] = 0
        found.append(states.membrane.read())
    assert torch.equal(*found) and found[0].abs().max() > 0.1


def test_reading_without_gradient_leaves_the_gradient():
    _, _, z = run_layer(spikes())
    with torch.no_grad():
        shown = z.membrane_cadc.max()
    assert z.membrane_cadc.requires_grad and float(shown) < 1.0


def test_without_gradients_nothing_is_kept_for_them():
    with torch.no_grad():
        _, s, z = run_layer(spikes())
    assert not z.membrane_cadc.requires_grad and not s.graded_spikes.requires_grad


def test_handles_are_copied_and_pickled_with_their_tensors():
    with torch.no_grad():
        _, _, z = run_layer(spikes())
    membrane = run_layer(spikes())[2].membrane_cadc.detach()
    assert torch.equal(pickle.loads(pickle.dumps(z)).membrane_cadc, membrane)
    assert torch.equal(copy.deepcopy(z).membrane_cadc, membrane)
    other = snn.NeuronHandle()
    other.clone(z)
    assert torch.equal(other.membrane_cadc, membrane) and other == z
    z.clear()
    assert z.membrane_cadc is None and not z.holds("membrane_cadc")


def test_a_handle_of_the_old_kind_gets_the_tensor_at_once():
    from dataclasses import dataclass

    @dataclass(eq=False)
    class Own(snn.Handle):
        spikes: torch.Tensor | None = None
        membrane_cadc: torch.Tensor | None = None
        current: torch.Tensor | None = None

    own = Own()
    own.clone(run_layer(spikes())[2])
    assert own.membrane_cadc.shape == (STEPS, BATCH, SIZE)


def test_chip_data_replace_the_states_and_the_model_gives_the_gradient():
    """With membrane and spikes of a chip the weighted input is not needed forward, but its gradient is there."""
    g = torch.Generator().manual_seed(7)
    membrane = torch.randn(STEPS, BATCH, SIZE, generator=g)
    fired = (torch.rand(STEPS, BATCH, SIZE, generator=g) < 0.1).float()
    found = []
    for plain in (False, True):
        x = spikes().requires_grad_()
        weight = torch.nn.Parameter(torch.randn(SIZE, INPUTS, generator=torch.Generator().manual_seed(2)))
        terms = F.Membrane(0.0, 1e-5, 1e-5), F.Firing(1.0, 0.0, refractory_steps=2.0)
        measured = F.Measured(membrane, fired)
        if plain:
            with F.reference_numerics():
                states = F.integrate(F.linear(x, weight), *terms, measured=measured)
        else:
            states = F.observe(F.linear_later(x, weight), F.Dynamics(*terms), measured)
        current, shown = (states.current, states.spikes) if plain else (states.current.read(), states.spikes.read())
        loss = (shown * torch.linspace(0, 1, SIZE)).sum() + current.square().mean()
        found.append((shown, current, *torch.autograd.grad(loss, [x, weight])))
    assert torch.equal(found[0][0], fired)
    for got, expected in zip(*found):
        assert_close(got, expected, rtol=1e-5, atol=1e-4)
