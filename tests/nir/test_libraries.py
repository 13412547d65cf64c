"""Models of other libraries, written by the libraries themselves, give the same spikes here.

The libraries are optional: `make test-libraries` installs them into an environment of their own. All of them let
the membrane see an input in the step in which it comes (norse's LIFCell one step later); here it is one later.
"""

import warnings

import numpy as np
import pytest
import torch

from hxtorch.snn import ConversionConfig, from_nir

pytest.importorskip("nir", reason="needs the package nir (extra [nir])")

STEPS, BATCH = 60, 4


@pytest.fixture(autouse=True)
def _quiet():
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def layer():
    """A linear layer, and spikes for it."""
    linear = torch.nn.Linear(3, 5)
    linear.weight.data = torch.randn(5, 3) * 2
    linear.bias.data = torch.rand(5) * 0.2
    return linear, (torch.rand(STEPS, BATCH, 3) < 0.3).float()


def converted(graph, library, x):
    """Output of the converted network: spikes or, of a readout, membranes."""
    network = from_nir(graph, ConversionConfig.for_library(library))
    result = network(x)
    (name,) = set(network.handles) - {"input"}
    return result[name] if name in result else network.handles[name].membrane_cadc.detach()


def same(theirs, ours, delay=1):
    assert theirs.abs().sum() > 3
    torch.testing.assert_close(ours[delay:], theirs[: STEPS - delay], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("cell", ["LIFBoxCell", "LIFCell", "LIBoxCell"])
def test_norse(layer, cell):
    norse = pytest.importorskip("norse.torch", reason="needs norse")
    linear, x = layer
    if cell == "LIFBoxCell":
        linear.weight.data *= 3
    model = norse.SequentialState(linear, getattr(norse, cell)())
    state, out = None, []
    with torch.no_grad():
        for row in x:
            z, state = model(row, state)
            out.append(z)
    same(torch.stack(out), converted(norse.to_nir(model, torch.zeros(1, 3)), "norse", x))


@pytest.mark.parametrize("cell", ["Leaky", "Synaptic", "RLeaky"])
def test_snntorch(layer, cell):
    snntorch = pytest.importorskip("snntorch", reason="needs snntorch")
    from snntorch.export_nir import export_to_nir

    linear, x = layer
    linear.weight.data *= 0.3
    options = {
        "beta": torch.ones(5) * 0.9,
        "threshold": torch.ones(5),
        "reset_mechanism": "zero",
        "reset_delay": False,
    }
    states = (torch.zeros(BATCH, 5),)
    if cell == "Synaptic":
        options["alpha"] = torch.ones(5) * 0.8
        states *= 2
    if cell == "RLeaky":
        options |= {"all_to_all": True, "linear_features": 5}
        states *= 2
    neurons = getattr(snntorch, cell)(**options)
    graph = export_to_nir(torch.nn.Sequential(linear, neurons), torch.zeros(3))
    out = []
    with torch.no_grad():
        for row in x:
            result = neurons(linear(row), *states)
            out.append(result[0])
            states = result if cell == "RLeaky" else result[1:]
    same(torch.stack(out), converted(graph, "snntorch", x))


@pytest.mark.parametrize("cell", ["IAF", "LIF", "ExpLeak"])
def test_sinabs(layer, cell):
    layers = pytest.importorskip("sinabs.layers", reason="needs sinabs")
    from sinabs import nir as sinabs_nir
    from sinabs.activation import MembraneReset, SingleSpike

    linear, x = layer
    neurons = {
        "IAF": lambda: layers.IAF(reset_fn=MembraneReset(), spike_fn=SingleSpike),
        "LIF": lambda: layers.LIF(tau_mem=20.0, reset_fn=MembraneReset(), spike_fn=SingleSpike),
        "ExpLeak": lambda: layers.ExpLeak(tau_mem=20.0, norm_input=True),
    }[cell]()
    linear.weight.data *= 0.3 if cell == "IAF" else 3.0
    model = torch.nn.Sequential(linear, neurons)
    graph = sinabs_nir.to_nir(model, torch.zeros(1, 1, 3))
    neurons.reset_states()
    with torch.no_grad():
        theirs = model(x.transpose(0, 1)).transpose(0, 1)  # sinabs puts the batch first
    same(theirs, converted(graph, "sinabs", x))
    assert np.isfinite(theirs.numpy()).all()
