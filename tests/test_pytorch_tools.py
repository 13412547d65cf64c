"""More that PyTorch offers around modules: pickles, spawned workers, meta tensors, tools that replace weights."""

import copy
import gc
import io
import pickle
import warnings
import weakref

import pytest
import torch
from torch.nn.utils import prune
from torch.utils.data import DataLoader, Dataset

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch.twin import Die, Noise, VirtualChip

STEPS = 20


class Network(torch.nn.Module):
    def __init__(self, mock=True):
        super().__init__()
        self.experiment = hxsnn.Experiment(mock=mock)
        potentials = {
            "leak": hxsnn.MixedHXModelParameter(0.0, 80),
            "reset": hxsnn.MixedHXModelParameter(0.0, 80),
            "threshold": hxsnn.MixedHXModelParameter(torch.tensor([0.5, 1.0, 2.0]), 125),
        }
        self.first = hxsnn.Synapse(5, 3, self.experiment)
        self.neurons = hxsnn.LIF(3, self.experiment, tau_mem=hxsnn.HXParameter(8e-6).make_trainable(), **potentials)
        self.dropout = hxsnn.BatchDropout(3, 0.3, self.experiment)
        self.second = hxsnn.Synapse(3, 2, self.experiment)
        self.readout = hxsnn.LI(2, self.experiment, leak=potentials["leak"])

    def forward(self, x):
        hidden = self.dropout(self.neurons(self.first(hxsnn.LIFObservables(spikes=x))))
        y = self.readout(self.second(hidden))
        hxsnn.run(self.experiment, len(x))
        return y.membrane_cadc


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def network():
    net = Network().eval()
    net.first.weight.data.abs_().mul_(2)
    return net


@pytest.fixture
def x():
    return (torch.rand(STEPS, 2, 5) < 0.4).float()


@pytest.fixture(scope="module", autouse=True)
def _chip():
    hxtorch.init_hardware(VirtualChip(Die.ideal(), Noise.off(), step=0.5))
    yield
    hxtorch.release_hardware()


def modules():
    exp = hxsnn.Experiment(mock=True)
    made = [
        hxsnn.Synapse(3, 4, exp),
        hxsnn.SparseSynapse(torch.eye(3, 4), exp),
        hxsnn.EventPropSynapse(3, 4, exp),
        *(
            n(4, exp)
            for n in (hxsnn.Neuron, hxsnn.ReadoutNeuron, hxsnn.LIF, hxsnn.LI, hxsnn.AELIF, hxsnn.EventPropLIF)
        ),
        hxsnn.InputNeuron(3, exp),
        hxsnn.BatchDropout(4, 0.25, exp),
        hxsnn.LIF(4, exp, tau_mem=hxsnn.HXParameter(torch.full((4,), 5e-6)).make_trainable()),
    ]
    return [*made, hxsnn.HXModuleWrapper(exp, a=made[0], b=made[5])]


@pytest.mark.parametrize("module", modules(), ids=lambda m: type(m).__name__)
def test_every_module_is_saved_loaded_copied_and_printed(module):
    again = pickle.loads(pickle.dumps(module))
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    for other in (again, copy.deepcopy(module)):
        other.load_state_dict(torch.load(file, weights_only=True), strict=True)
        assert str(other) == str(module)
        assert [name for name, _ in other.named_parameters()] == [name for name, _ in module.named_parameters()]
        file.seek(0)
    assert "capacitance" not in str(module) and "clock" not in str(module)  # defaults are not printed


def test_what_is_printed_is_what_was_chosen():
    exp = hxsnn.Experiment(mock=True)
    assert str(exp) == "Experiment(mock=True, dt=1e-06)"
    lif = hxsnn.LIF(4, exp, threshold=hxsnn.MixedHXModelParameter(1.0, 125), tau_syn=5e-6)
    assert str(lif) == "LIF(size=4, threshold=MixedHXModelParameter(1, 125), tau_syn=5e-06)"
    lif.membrane_capacitance = 5e-6
    assert "membrane_capacitance=5e-06" in str(lif)


@pytest.mark.parametrize("mock", [True, False], ids=["mock", "chip"])
def test_networks_that_have_run_are_pickled_without_what_is_left_of_the_run(x, mock):
    network = Network(mock=mock).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = network(x)
        assert expected.requires_grad
        again = pickle.loads(pickle.dumps(network))
        assert again.experiment.last_run is None and again.experiment.grenade_network is None
        assert torch.equal(again(x), expected)
        assert torch.equal(copy.deepcopy(network)(x), expected)


def test_handles_of_every_kind_are_pickled():
    exp = hxsnn.Experiment(mock=True)
    filled = hxsnn.LIFObservables(torch.ones(2), current=torch.zeros(1))
    for handle in (filled, hxsnn.AELIF(1, exp).output_type(), hxsnn.Handle(spikes=torch.ones(1), other=None)):
        again = pickle.loads(pickle.dumps(handle))
        assert again == handle and type(again) is type(handle)


class Responses(Dataset):
    def __init__(self, network):
        self.network = network

    def __len__(self):
        return 4

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return self.network((torch.rand(STEPS, 1, 5, generator=generator) < 0.4).float())[:, 0].detach()


def test_workers_that_are_spawned_get_the_network(network, x):
    network(x)
    data = Responses(network)
    loaded = torch.cat(list(DataLoader(data, batch_size=2, num_workers=1, multiprocessing_context="spawn")))
    torch.testing.assert_close(loaded, torch.stack([data[i] for i in range(4)]))
    assert loaded.abs().sum() > 0


def test_networks_on_the_meta_device():
    with torch.device("meta"):
        network = Network()
    assert all(p.is_meta for p in network.parameters())
    assert "threshold=MixedHXModelParameter(<3: without values>, 125)" in str(network)
    assert "<3: without values>" in str(Network().to("meta"))
    assert not network.to_empty(device="cpu").first.weight.is_meta


def test_tools_that_replace_weights(network, x):
    before = network(x)
    torch.nn.utils.parametrizations.weight_norm(network.first)
    torch.testing.assert_close(network(x), before)
    network(x).sum().backward()
    assert network.first.parametrizations.weight.original1.grad.abs().sum() > 0
    other = copy.deepcopy(network.second)
    prune.l1_unstructured(other, "weight", amount=0.5)
    assert (other.weight == 0).sum() == 3 and set(other.state_dict()) == {"weight_orig", "weight_mask"}


def test_weights_from_outside_and_averages(network, x):
    zero = {name: torch.zeros_like(p) if "weight" in name else p for name, p in network.named_parameters()}
    assert not torch.func.functional_call(network, zero, (x,)).any() and network(x).any()
    average = torch.optim.swa_utils.AveragedModel(network)
    assert torch.equal(average(x), network(x))
    with torch.inference_mode():
        assert torch.equal(network(x), average(x))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.float64])
def test_spikes_of_any_type(network, x, dtype):
    assert torch.equal(network(x.to(dtype)), network(x))


def test_graphs_of_whole_networks_are_traced(network, x):
    compiled = torch.compile(network, backend="eager")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Guards may run slower")  # torch says so of Python 3.13.0
        assert torch.equal(compiled(x), network(x))
    torch._dynamo.reset()


def test_modules_that_nobody_holds_are_freed():
    network = Network()
    network(torch.zeros(STEPS, 1, 5))
    gone = weakref.ref(network.first)
    del network
    gc.collect()
    assert gone() is None
