"""Networks become NIR graphs, and come back from them."""

import numpy as np
import pytest
import torch

import hxtorch.snn as hxsnn
from hxtorch.snn import from_nir, to_nir
from hxtorch.snn.nir.write import SNN

nir = pytest.importorskip("nir", reason="needs the package nir (extra [nir])")
if not hasattr(nir, "CubaLI"):
    pytest.skip("needs nir 1.0.8 or newer", allow_module_level=True)

from .graphs import W1, W2, spikes


class TwoLayers(SNN):
    def __init__(self):
        super().__init__()
        self.w1 = hxsnn.Synapse(4, 6, self.exp)
        self.n1 = hxsnn.Neuron(
            6,
            self.exp,
            tau_mem=8e-6,
            tau_syn=4e-6,
            leak=hxsnn.MixedHXModelParameter(0.0, 80),
            reset=hxsnn.MixedHXModelParameter(-0.1, 80),
            threshold=hxsnn.MixedHXModelParameter(torch.linspace(0.5, 1, 6), 125),
        )
        self.w2 = hxsnn.Synapse(6, 2, self.exp)
        self.n2 = hxsnn.ReadoutNeuron(2, self.exp, leak=hxsnn.MixedHXModelParameter(0.0, 80))
        self.w1.weight.data = torch.tensor(W1, dtype=torch.float32)
        self.w2.weight.data = torch.tensor(W2, dtype=torch.float32)

    def forward(self, x):
        self.z = self.n1(self.w1(hxsnn.NeuronHandle(x)))
        y = self.n2(self.w2(self.z))
        hxsnn.run(self.exp, len(x))
        return y.membrane_cadc


def test_a_network_becomes_a_graph():
    written = to_nir(TwoLayers(), spikes())
    assert set(written.nodes) == {"s_0_0", "0", "1", "2", "3", "t_3"}
    assert set(written.edges) == {("s_0_0", "0"), ("0", "1"), ("1", "2"), ("2", "3"), ("3", "t_3")}
    lif, li = written.nodes["1"], written.nodes["3"]
    assert isinstance(lif, nir.CubaLIF) and isinstance(li, nir.CubaLI)
    np.testing.assert_allclose(lif.tau_mem, 8e-3, rtol=1e-6)  # ms
    np.testing.assert_allclose(lif.tau_syn, 4e-3, rtol=1e-6)
    np.testing.assert_allclose(lif.v_threshold, np.linspace(0.5, 1, 6), rtol=1e-6)
    np.testing.assert_allclose(lif.v_reset, -0.1, rtol=1e-6)
    np.testing.assert_allclose(li.r, 1)
    np.testing.assert_allclose(written.nodes["0"].weight, W1, rtol=1e-6)
    in_seconds = to_nir(TwoLayers(), spikes(), time_unit="s")
    np.testing.assert_allclose(in_seconds.nodes["1"].tau_mem, 8e-6, rtol=1e-6)


def test_there_and_back_through_a_file(tmp_path):
    network = TwoLayers()
    membrane = network(spikes()).detach()
    nir.write(str(tmp_path / "network.nir"), to_nir(network, spikes()))
    back = from_nir(nir.read(str(tmp_path / "network.nir")))
    result = back({"s_0_0": spikes()})
    torch.testing.assert_close(result["1"], network.z.spikes)
    torch.testing.assert_close(back.handles["3"].membrane_cadc.detach(), membrane, atol=1e-4, rtol=1e-4)
    again = to_nir(back, spikes())
    for kind in (nir.CubaLIF, nir.CubaLI, nir.Linear):
        assert sum(isinstance(node, kind) for node in again.nodes.values()) == (2 if kind is nir.Linear else 1)
    assert sum(isinstance(node, nir.Input) for node in again.nodes.values()) == 1


def test_what_cannot_be_written():
    class Odd(SNN):
        def forward(self, x):
            hxsnn.HXModule(self.exp)(hxsnn.TensorHandle(x))
            hxsnn.run(self.exp, len(x))

    with pytest.raises(NotImplementedError, match="no counterpart in NIR"):
        to_nir(Odd(), spikes())
    with pytest.raises(TypeError, match="exp"):
        to_nir(torch.nn.Linear(1, 1), spikes())

    class Idle(SNN):
        def forward(self, x):
            return x

    with pytest.raises(ValueError, match="did not run"):
        to_nir(Idle(), spikes())


@pytest.mark.parametrize("neuron", [hxsnn.LIF, hxsnn.LI])
def test_the_capacitance_of_the_model_becomes_a_resistance(neuron):
    """A model with c other than tau_mem is written with r = tau_mem/c, and comes back with the same observables."""
    torch.manual_seed(0)
    network = SNN()
    synapse = hxsnn.Synapse(3, 4, network.exp)
    options = {"tau_mem": 8e-6, "membrane_capacitance": hxsnn.MixedHXModelParameter(4e-6, 63), "leak": 0.0}
    if neuron is hxsnn.LIF:
        options |= {"reset": 0.0, "threshold": 1.0, "refractory_time": hxsnn.MixedHXModelParameter(0.0, 1e-6)}
    neurons = neuron(4, network.exp, **options)
    x = (torch.rand(40, 2, 3) < 0.3).float()

    def forward(spikes):
        handle = neurons(synapse(hxsnn.LIFObservables(spikes=spikes)))
        hxsnn.run(network.exp, None)
        return handle

    network.forward = forward
    graph = to_nir(network, x)
    np.testing.assert_allclose(graph.nodes["1"].r, 2.0)
    again = from_nir(graph)
    again({next(name for name in graph.nodes if name.startswith("s_")): x})
    torch.testing.assert_close(again.handles["1"].membrane_cadc, forward(x).membrane_cadc, atol=1e-5, rtol=1e-5)
