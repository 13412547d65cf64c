"""Models of other libraries, written by the libraries themselves: the same spikes here, and close ones on a chip.

The libraries are optional: `make test-libraries` installs them into an environment of their own. All of them let
the membrane see an input in the step in which it comes (norse's LIFCell one step later); here it is one later.
"""

import warnings

import numpy as np
import pytest
import torch

import hxtorch
from hxtorch.snn import ConversionConfig, from_nir
from hxtorch.twin import Die, Noise

pytest.importorskip("nir", reason="needs the package nir (extra [nir])")

from .graphs import near

STEPS, BATCH = 60, 4
GAIN = {"LIFBoxCell": 7, "LIFCell": 0.95, "LIBoxCell": 3, "Leaky": 0.7, "Synaptic": 0.09, "RLeaky": 0.7,
        "IAF": 0.5, "LIF": 14, "ExpLeak": 6}  # fmt: skip
"""Factors with which the membranes of each kind of cell stay in the range of a chip, and fire."""


@pytest.fixture(autouse=True)
def _quiet():
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def random_layer(gain):
    """A linear layer with weights of both signs, and spikes for it."""
    linear = torch.nn.Linear(3, 5)
    linear.weight.data = torch.randn(5, 3) * 2 * gain
    linear.bias.data = torch.rand(5) * 0.2
    return linear, (torch.rand(STEPS, BATCH, 3) < 0.3).float()


def layer_for_a_chip(cell):
    """Weights that a chip can represent, and inputs that come and go, so that spikes have a time."""
    linear = torch.nn.Linear(3, 5)
    weight = torch.linspace(0.4, 1.0, 5)[:, None] * torch.tensor([1.0, 0.8, -0.4])
    linear.weight.data = weight * GAIN[cell]
    linear.bias.data = torch.linspace(0, 0.1, 5) * GAIN[cell]
    x = torch.zeros(STEPS, BATCH, 3)
    for start in (5, 32):
        x[start : start + 12] = (torch.rand(12, BATCH, 3) < 0.5).float()
    return linear, x


def in_norse(cell, linear, x):
    """Graph and output (T, B, N) of a layer and a cell of norse."""
    norse = pytest.importorskip("norse.torch", reason="needs norse")
    model = norse.SequentialState(linear, getattr(norse, cell)())
    state, out = None, []
    for row in x:
        z, state = model(row, state)
        out.append(z)
    return norse.to_nir(model, torch.zeros(1, 3)), torch.stack(out)


def in_snntorch(cell, linear, x):
    """Graph and output of a layer and a cell of snnTorch."""
    snntorch = pytest.importorskip("snntorch", reason="needs snntorch")
    from snntorch.export_nir import export_to_nir

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
    out = []
    for row in x:
        result = neurons(linear(row), *states)
        out.append(result[0])
        states = result if cell == "RLeaky" else result[1:]
    return export_to_nir(torch.nn.Sequential(linear, neurons), torch.zeros(3)), torch.stack(out)


def in_sinabs(cell, linear, x):
    """Graph and output of a layer and a cell of sinabs, which puts the batch first."""
    layers = pytest.importorskip("sinabs.layers", reason="needs sinabs")
    from sinabs import nir as sinabs_nir
    from sinabs.activation import MembraneReset, SingleSpike

    spiking = {"reset_fn": MembraneReset(), "spike_fn": SingleSpike}
    options = {
        "IAF": spiking,
        "LIF": {"tau_mem": 20.0, **spiking},
        "ExpLeak": {"tau_mem": 20.0, "norm_input": True},
    }
    neurons = getattr(layers, cell)(**options[cell])
    model = torch.nn.Sequential(linear, neurons)
    graph = sinabs_nir.to_nir(model, torch.zeros(1, 1, 3))
    neurons.reset_states()
    return graph, model(x.transpose(0, 1)).transpose(0, 1)


CASES = [
    *((in_norse, cell, gain) for cell, gain in (("LIFBoxCell", 3), ("LIFCell", 1), ("LIBoxCell", 1))),
    *((in_snntorch, cell, 0.3) for cell in ("Leaky", "Synaptic", "RLeaky")),
    *((in_sinabs, cell, gain) for cell, gain in (("IAF", 0.3), ("LIF", 3), ("ExpLeak", 3))),
]
named = pytest.mark.parametrize(
    ("library", "cell", "gain"), CASES, ids=[f"{c[0].__name__[3:]}-{c[1]}" for c in CASES]
)


def output(graph, library, x, **options):
    """Output of the converted network: spikes or, of a readout, membranes."""
    network = from_nir(graph, ConversionConfig.for_library(library.__name__[3:], **options))
    result = network(x)
    (name,) = set(network.handles) - {"input"}
    return (result[name] if name in result else network.handles[name].membrane_cadc).detach()


@named
@torch.no_grad()
def test_the_same_in_the_model(library, cell, gain):
    linear, x = random_layer(gain)
    graph, theirs = library(cell, linear, x)
    assert theirs.abs().sum() > 3
    ours = output(graph, library, x)
    torch.testing.assert_close(ours[1:], theirs[:-1], atol=2e-5, rtol=1e-5)


@named
@torch.no_grad()
def test_close_on_an_ideal_chip(library, cell, gain):
    """Spikes: numbers within 30 %, correlated over neurons and entries, 70 % within 3 steps.

    Membranes: within 10 % in size, 30 % of the root mean square in shape. LIF and LI get a synaptic time constant
    that these libraries have not.
    """
    linear, x = layer_for_a_chip(cell)
    graph, theirs = library(cell, linear, x)
    hxtorch.init_hardware(Die.ideal(), noise=Noise.off())
    try:
        ours = output(graph, library, x, mock=False)[1:]
    finally:
        hxtorch.release_hardware()
    theirs = theirs[:-1]
    if cell in ("LIBoxCell", "ExpLeak"):
        assert float((theirs * ours).sum() / theirs.square().sum()) == pytest.approx(1, abs=0.1)
        assert (theirs - ours).square().mean().sqrt() < 0.3 * theirs.square().mean().sqrt()
        return
    assert theirs.sum() > 40
    assert ours.sum().item() == pytest.approx(theirs.sum().item(), rel=0.3)
    assert np.corrcoef(theirs.sum(0).flatten(), ours.sum(0).flatten())[0, 1] > 0.9
    assert near(theirs, ours) > 0.7
