"""Deep copies: a copy of a network runs, and is changed, independently of the original."""

import copy
import threading

import pytest
import torch

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch.twin import Die, Noise, VirtualChip

STEPS = 20
pytestmark = pytest.mark.filterwarnings("ignore:.*range of reliable calibration")


class Network(torch.nn.Module):
    """`first`: whether the experiment is held before the modules, after them, or both."""

    def __init__(self, mock=True, order="before"):
        super().__init__()
        exp = hxsnn.Experiment(mock=mock)
        place = None if mock else hxsnn.ExecutionInstance()
        if order == "before":
            self.exp, self.place = exp, place
        potentials = {
            "leak": hxsnn.MixedHXModelParameter(0.0, 80),
            "reset": hxsnn.MixedHXModelParameter(0.0, 80),
            "threshold": hxsnn.MixedHXModelParameter(1.0, 125),
        }
        self.synapse = hxsnn.Synapse(4, 3, exp, place)
        self.back = hxsnn.SparseSynapse(1 - torch.eye(3), exp, place)
        self.lif = hxsnn.LIF(3, exp, execution_instance=place, **potentials)
        self.lif.tau_mem = hxsnn.HXParameter(8e-6).make_trainable()
        self.readout = torch.nn.ModuleList(
            [hxsnn.Synapse(3, 2, exp, place), hxsnn.LI(2, exp, execution_instance=place, leak=potentials["leak"])]
        )
        for synapse in (self.synapse, self.back, self.readout[0]):
            synapse.weight.data.uniform_(-0.5, 1.5)
        if not mock:
            for synapse in (self.synapse, self.back, self.readout[0]):
                synapse.weight_transform = lambda weight: (weight * 30).clamp(-63, 63)
        if order == "after":
            self.settings = {"experiment": [exp], "place": place}

    def forward(self, x, trial_seed=None):
        exp = self.lif.experiment
        z = self.lif(self.synapse(hxsnn.LIFObservables(spikes=x)), self.back(self.lif.output_handle))
        y = self.readout[1](self.readout[0](z))
        hxsnn.run(exp, len(x), trial_seed=trial_seed)
        return y.membrane_cadc


def spikes(seed):
    return (torch.rand(STEPS, 2, 4, generator=torch.Generator().manual_seed(seed)) < 0.4).float()


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def chip():
    hxtorch.init_hardware(VirtualChip(Die.ideal(), Noise.off(), step=0.5))
    yield
    hxtorch.release_hardware()


def hx_modules(network):
    return [item for item in network.modules() if hasattr(item, "experiment")]


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_network_is_copied_with_its_experiment(order):
    network = Network(mock=False, order=order)
    exp = network.lif.experiment
    exp.inter_batch_entry_wait = 7
    exp.partition, exp.note = True, [1]
    network.synapse(hxsnn.LIFObservables(spikes=spikes(0)))
    twin = copy.deepcopy(network)
    other = twin.lif.experiment
    assert other is not exp and other is (twin.exp if order == "before" else twin.settings["experiment"][0])
    assert {id(item.experiment) for item in hx_modules(twin)} == {id(other)}
    assert {id(item.experiment) for item in hx_modules(network)} == {id(exp)}
    place = twin.lif.execution_instance
    assert {id(item.execution_instance) for item in hx_modules(twin)} == {id(place)}
    assert place is (twin.place if order == "before" else twin.settings["place"])
    assert place is not network.lif.execution_instance and place.ID != network.lif.execution_instance.ID
    assert (other.dt, other.partition, other.inter_batch_entry_wait, other.note) == (exp.dt, True, 7, [1])
    assert other.note is not exp.note and other.last_run is None
    assert len(exp.modules.calls) == 1 and len(other.modules.calls) == 0 and not other.modules.nodes
    other.dt, other.mock = 2e-6, True
    assert exp.dt == 1e-6 and not exp.mock


def test_the_default_instance_is_copied_with_what_it_has_loaded(chip, tmp_path):
    from hxtorch import calibration
    from hxtorch.connection import require_chip

    calibration.save(calibration.nightly("spiking", require_chip()), tmp_path / "night.pbin")
    network = torch.nn.Module()
    network.exp = exp = hxsnn.Experiment()
    network.lif = hxsnn.LIF(3, exp)
    place = exp.default_execution_instance
    place.load_calib(tmp_path / "night.pbin")
    place.calib_cache_dir, place.input_loopback = tmp_path, True
    network.lif.calibration_read = place.calibration
    twin = copy.deepcopy(network)
    own = twin.exp.default_execution_instance
    assert own is twin.lif.execution_instance and own is not place and own.ID != place.ID
    assert own.calibration is place.calibration is twin.lif.calibration_read
    assert (own.calib_path, own.calib_cache_dir, own.input_loopback) == (place.calib_path, tmp_path, True)
    own.write_ppu_symbols["a"] = 1
    own.calibration = None
    assert not place.write_ppu_symbols and place.calibration is not None


def test_modules_alone_stay_in_their_experiment():
    network = Network(mock=False)
    for twin in (
        copy.deepcopy(network.readout),
        copy.deepcopy(torch.nn.Sequential(network.synapse, network.lif)),
        copy.deepcopy([network.lif, {"a": network.back}]),
    ):
        inside = list(twin) if isinstance(twin, torch.nn.Module) else [twin[0], twin[1]["a"]]
        assert {id(item.experiment) for item in inside} == {id(network.exp)}
        assert {id(item.execution_instance) for item in inside} == {id(network.place)}


def test_nothing_that_changes_is_shared():
    network = Network()
    network.wrapper = hxsnn.HXModuleWrapper(network.exp, synapse=network.synapse)
    network.lif.mask = torch.tensor([True, False, True])
    network.lif.trace_offset = torch.zeros(3)
    expected = network(spikes(0)).detach()
    twin = copy.deepcopy(network)
    assert torch.equal(twin(spikes(0)), expected)
    assert twin.wrapper.modules["synapse"] is twin.synapse
    twin.wrapper.update(lif=twin.lif)
    twin.lif.mask = None
    twin.lif._buffers.clear()
    twin.lif.trace_offset += 1
    twin.lif.threshold.model_value = 0.1
    twin.lif.tau_mem.hardware_value = 3e-6
    twin.back.mask.zero_()
    twin.exp.dt = 3e-6
    twin.eval()
    for item in twin.parameters():
        item.data.add_(1)
    assert torch.equal(network(spikes(0)), expected)
    assert list(network.wrapper.modules) == ["synapse"] and network.training and not network.lif.trace_offset.any()
    twin(spikes(0)).sum().backward()
    assert all(item.grad is None for item in network.parameters())
    assert twin.synapse.weight.grad is not None and twin.exp.last_run is not network.exp.last_run


def test_averages_of_weights_have_a_network_of_their_own():
    network = Network()
    average = torch.optim.swa_utils.AveragedModel(network)
    before = network(spikes(0)).detach()
    network.synapse.weight.data.mul_(2)
    average.update_parameters(network)
    assert average.module.exp is not network.exp
    assert torch.equal(average(spikes(0)), network(spikes(0)))
    assert not torch.equal(average(spikes(0)), before)


def test_parametrized_modules_are_copied():
    network = Network()
    torch.nn.utils.parametrizations.weight_norm(network.synapse)
    twin = copy.deepcopy(network)
    assert torch.equal(twin(spikes(0)), network(spikes(0)))
    assert twin.synapse.experiment is twin.exp and type(twin.synapse) is type(network.synapse)
    twin.synapse.parametrizations.weight.original0.data.zero_()
    assert not torch.equal(twin(spikes(0)), network(spikes(0)))


def test_modules_that_say_what_is_copied():
    class Own(hxsnn.LIF):
        def __getstate__(self):
            return {name: value for name, value in vars(self).items() if name != "lock"}

        def __setstate__(self, state):
            super().__setstate__(state)
            self.lock = threading.Lock()

    network = torch.nn.Module()
    network.lif = Own(3, hxsnn.Experiment(mock=True))
    network.lif.lock = threading.Lock()
    network.exp = network.lif.experiment
    twin = copy.deepcopy(network)
    assert twin.lif.lock is not network.lif.lock and twin.lif.experiment is twin.exp is not network.exp


def in_threads(*work):
    results = [None] * len(work)

    def call(number):
        results[number] = work[number]()

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("bare", [False, True])
def test_original_and_copy_run_in_two_threads(bare):
    network = Network(order="nowhere" if bare else "before")
    twin = copy.deepcopy(network)
    assert (twin.lif.experiment is network.lif.experiment) == bare
    twin.synapse.weight.data.mul_(1.3)

    def train(net, seed):
        results = []
        for number in range(50):
            net.zero_grad()
            y = net(spikes(seed + number))
            y.sum().backward()
            results.append((y.detach(), [item.grad.clone() for item in net.parameters()]))
        return results

    serial = [train(network, 0), train(twin, 100)]
    parallel = in_threads(lambda: train(network, 0), lambda: train(twin, 100))
    for one, two in zip(serial, parallel, strict=True):
        for (y, gradients), (other, others) in zip(one, two, strict=True):
            assert torch.equal(y, other)
            torch.testing.assert_close(others, gradients)


def test_a_copy_runs_on_the_chip_as_the_original(chip):
    network = Network(mock=False)
    expected = network(spikes(0), trial_seed=1)
    twin = copy.deepcopy(network)
    assert twin.exp.grenade_network is None and twin.place.modules == ()
    assert twin.lif.changed_since_last_run and not network.lif.changed_since_last_run
    assert torch.equal(twin(spikes(0), trial_seed=1), expected)
    assert twin.place.modules == (twin.lif, twin.readout[1])
    assert network.place.modules == (network.lif, network.readout[1])
