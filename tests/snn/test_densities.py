"""Synapse and neuron at every density and the smallest sizes: fused kernels and sums over spikes against torch."""

import pytest
import torch
from torch.testing import assert_close

import hxtorch.snn as hxsnn
from hxtorch.snn import functional as F
from hxtorch.snn.functional.products import costs

SHAPES = [
    (1, 1, 1, 1),
    (1, 3, 5, 17),
    (9, 1, 33, 7),
    (12, 2, 6, 1),
    (7, 4, 19, 34),
]  # steps, batch, inputs, neurons
ADAPTIVE = {  # of the order of one, as in a model; membranes that exceed the onset do not run away at once
    "leak": hxsnn.MixedHXModelParameter(0.0, 80), "reset": hxsnn.MixedHXModelParameter(-0.05, 80),
    "threshold": hxsnn.MixedHXModelParameter(0.55, 125), "leak_adaptation": hxsnn.MixedHXModelParameter(0.0, 80),
    "exponential_slope": 0.25, "exponential_threshold": 0.35, "subthreshold_adaptation_strength": 1.5,
    "spike_triggered_adaptation_increment": 0.2, "tau_adap": 2.5e-5,
}  # fmt: skip
KINDS = {
    "integrator": (hxsnn.Synapse, lambda n, e: hxsnn.ReadoutNeuron(n, e)),
    "spiking": (hxsnn.Synapse, lambda n, e: hxsnn.LIF(n, e)),
    "refractory": (hxsnn.Synapse, lambda n, e: hxsnn.LIF(n, e, refractory_time=3e-6)),
    "adaptive": (hxsnn.Synapse, lambda n, e: hxsnn.AELIF(n, e, **ADAPTIVE)),
    "legacy": (hxsnn.Synapse, lambda n, e: hxsnn.Neuron(n, e)),
    "event-based": (hxsnn.EventPropSynapse, lambda n, e: hxsnn.EventPropLIF(n, e)),
}


def outcome(kind: str, shape: tuple[int, int, int, int], density: float, loop: bool) -> list[torch.Tensor]:
    """Spikes, membranes and the gradients of all weights of one layer, whatever computes them."""
    steps, batch, inputs, size = shape
    generator = torch.Generator().manual_seed(3)
    experiment = hxsnn.Experiment(mock=True)
    synapse_type, neuron_type = KINDS[kind]
    synapse, neuron = synapse_type(inputs, size, experiment), neuron_type(size, experiment)
    synapses = [synapse, *([hxsnn.Synapse(size, size, experiment)] if loop else [])]
    for item in synapses:
        item.weight.data = 2.0 * torch.randn(item.weight.shape, generator=generator) * item.weight.shape[1] ** -0.5
    spikes = (torch.rand(steps, batch, inputs, generator=generator) < density).float().requires_grad_()
    drives = [synapse(hxsnn.NeuronHandle(spikes))]
    if loop:
        drives.append(synapses[1](neuron.output_handle))
    z = neuron(*drives)
    hxsnn.run(experiment, None)
    seen = [value for value in (z.spikes if hasattr(z, "spikes") else None, z.membrane_cadc) if value is not None]
    loss = sum((value * torch.randn(value.shape, generator=generator)).sum() for value in seen)
    # in a single step nothing has reached the membrane: torch has no graph then, and no gradient
    loss = loss + 0 * sum(leaf.sum() for leaf in (spikes, *(item.weight for item in synapses)))
    loss.backward()
    return [*(value.detach() for value in seen), spikes.grad, *(item.weight.grad for item in synapses)]


@pytest.mark.parametrize("from_spikes", [True, False])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_equal_those_of_torch(
    kind: str, shape: tuple[int, int, int, int], density: float, from_spikes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for choice in ("prefers_index", "prefers_sum", "prefers_scatter"):  # else costs would choose
        monkeypatch.setattr(costs, choice, lambda *_: from_spikes)
    for loop in (False, *([True] if kind in ("spiking", "refractory", "adaptive") else [])):
        ours = outcome(kind, shape, density, loop)
        with F.reference_numerics():
            theirs = outcome(kind, shape, density, loop)
        for a, b in zip(ours, theirs, strict=True):
            assert_close(a, b, rtol=1e-5, atol=1e-5 * (1 + b.abs().max().item()))
