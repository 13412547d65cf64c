"""Networks behave as PyTorch modules do: copies, devices, modes, workers, compilation, editors, examples."""

import copy
import importlib
import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import hxtorch
import hxtorch.snn as hxsnn

EXAMPLES = Path(__file__).parents[1] / "examples"
STEPS = 30


class Network(torch.nn.Module):
    def __init__(self, mock=True):
        super().__init__()
        self.experiment = hxsnn.Experiment(mock=mock)
        self.synapse = hxsnn.Synapse(5, 3, self.experiment)
        self.neurons = hxsnn.Neuron(
            3,
            self.experiment,
            leak=hxsnn.MixedHXModelParameter(0.0, 80),
            reset=hxsnn.MixedHXModelParameter(0.0, 80),
            threshold=hxsnn.MixedHXModelParameter(torch.tensor([0.5, 1.0, 2.0]), 125),
        )
        self.output = hxsnn.Synapse(3, 2, self.experiment)
        self.readout = hxsnn.ReadoutNeuron(2, self.experiment, leak=hxsnn.MixedHXModelParameter(0.0, 80))

    def forward(self, x):
        y = self.readout(self.output(self.neurons(self.synapse(hxsnn.NeuronHandle(x)))))
        hxsnn.run(self.experiment, len(x))
        return y.membrane_cadc


@pytest.fixture
def network():
    torch.manual_seed(0)
    result = Network()
    result.synapse.weight.data.normal_(0.5, 1.0)
    return result


def spikes(seed=0, batch=4):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(STEPS, batch, 5, generator=generator) < 0.3).float()


def test_state_dicts_hold_the_weights_alone(network):
    assert set(network.state_dict()) == {"synapse.weight", "output.weight"}
    other = Network()
    assert not torch.equal(other(spikes()), network(spikes()))
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(spikes()), network(spikes()))


def test_state_dicts_through_a_file(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    other = Network()
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(other(spikes()), network(spikes()))


class Wrapped(Network):
    """The same network with its first two modules behind a function of its own."""

    def __init__(self):
        super().__init__()
        self.together = hxsnn.HXModuleWrapper(self.experiment, synapse=self.synapse, neurons=self.neurons)

    def forward(self, x):
        z = self.neurons(self.synapse(hxsnn.NeuronHandle(x)))
        self.together()
        y = self.readout(self.output(z))
        hxsnn.run(self.experiment, len(x))
        return y.membrane_cadc


def test_wrapped_networks_exchange_their_state_with_plain_ones(network):
    wrapped, plain = Wrapped(), Network()
    assert set(wrapped.state_dict()) == set(network.state_dict())
    wrapped.load_state_dict(network.state_dict())
    assert torch.equal(wrapped(spikes()), network(spikes()))
    plain.load_state_dict(wrapped.state_dict())
    assert torch.equal(plain(spikes()), network(spikes()))
    assert len(list(wrapped.parameters())) == 2
    state = network.state_dict()
    del state["synapse.weight"]
    with pytest.raises(RuntimeError, match=r"Missing.*synapse\.weight"):
        wrapped.load_state_dict(state)
    copied = copy.deepcopy(wrapped)
    with torch.no_grad():
        copied.synapse.weight.zero_()  # one tensor under both names, also in a copy
    assert not copied(spikes()).any() and wrapped(spikes()).any()


def test_a_wrapper_alone_has_the_keys_of_its_modules(network):
    own = hxsnn.HXModuleWrapper(network.experiment, synapse=hxsnn.Synapse(5, 3, network.experiment))
    assert set(own.state_dict()) == {"synapse.weight"}
    own.load_state_dict({"synapse.weight": network.synapse.weight})
    assert torch.equal(own.synapse.weight, network.synapse.weight)
    with pytest.raises(RuntimeError, match="Missing"):
        own.load_state_dict({})
    inside = torch.nn.ModuleDict({"wrapper": own})
    assert set(inside.state_dict()) == {"wrapper.synapse.weight"}
    with pytest.raises(RuntimeError, match="Missing"):
        inside.load_state_dict({})
    with pytest.raises(ValueError, match="another name"):
        own.update(experiment=network.synapse)


def test_copies_are_independent(network):
    twin = copy.deepcopy(network)
    before = network(spikes())
    with torch.no_grad():
        twin.synapse.weight.zero_()
    assert torch.equal(network(spikes()), before)
    assert not twin(spikes()).any()


def test_dtype_and_device(network):
    before = network(spikes())
    assert network.to("cpu") is network
    network.double()
    result = network(spikes().double())
    assert result.dtype == torch.float64
    torch.testing.assert_close(result.float(), before, atol=1e-4, rtol=1e-4)
    meta = Network().to("meta")
    assert all(p.is_meta for p in meta.parameters())


def test_modes_and_gradients(network):
    assert network.eval().training is False
    with torch.no_grad():
        assert not network(spikes()).requires_grad
    network.train()
    network(spikes()).sum().backward()
    assert network.synapse.weight.grad.abs().sum() > 0
    network.zero_grad()
    assert network.synapse.weight.grad is None
    network.requires_grad_(False)
    assert not network(spikes()).requires_grad


def test_outputs_of_earlier_runs_stay(network):
    first = network(spikes())
    kept = first.detach().clone()
    network(spikes(1))
    assert torch.equal(first, kept)


def test_modules_print_like_modules(network):
    text = str(network)
    assert "(synapse): Synapse(in_features=5, out_features=3)" in text
    assert len(text.splitlines()) == 6


class Encoded(Dataset):
    """Runs a network in the process that loads the data."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        torch.manual_seed(0)
        return Network()(spikes(index, batch=1)).detach()[:, 0]


@pytest.mark.parametrize("workers", [0, 2])
def test_data_loaders_with_workers(workers):
    # a chip was used in this process before, so that its threads exist when the workers are forked
    hxtorch.init_hardware(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an uncalibrated range is not the subject
            Network(mock=False)(spikes())
    finally:
        hxtorch.release_hardware()
    loaded = torch.cat(list(DataLoader(Encoded(), batch_size=2, num_workers=workers)))
    torch.testing.assert_close(loaded, torch.stack([Encoded()[i] for i in range(6)]))


def test_compiled_models_give_the_same(network):
    expected = network(spikes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Guards may run slower")  # torch says so of Python 3.13.0
        compiled = torch.compile(network, backend="eager")  # tracing is the subject, not code generation
        result = compiled(spikes())
    assert torch.equal(result, expected)
    result.sum().backward()
    assert network.synapse.weight.grad.abs().sum() > 0
    torch._dynamo.reset()


def test_a_chip_run_is_clean_under_strict_warnings():
    code = """
import torch, hxtorch, hxtorch.snn as hxsnn
hxtorch.init_hardware()
experiment = hxsnn.Experiment()
synapse, readout = hxsnn.Synapse(4, 3, experiment), hxsnn.ReadoutNeuron(3, experiment)
y = readout(synapse(hxsnn.NeuronHandle(torch.ones(20, 2, 4))))
hxsnn.run(experiment, 20)
y.membrane_cadc.sum().backward()
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("module", "field"),
    [
        ("hxsnn.Neuron(1, e)", "spikes"),
        ("hxsnn.ReadoutNeuron(1, e)", "membrane_cadc"),
        ("hxsnn.Synapse(1, 1, e)", "graded_spikes"),
        ("hxsnn.BatchDropout(1, 0.5, e)", "spikes"),
        ("hxsnn.InputNeuron(1, e)", "spikes"),
    ],
)
def test_editors_complete_the_fields_of_handles(module, field):
    jedi = pytest.importorskip("jedi", reason="comes with IPython (extra [notebook])")
    lines = ("import hxtorch.snn as hxsnn", "e = hxsnn.Experiment()", f"z = {module}(hxsnn.NeuronHandle())", "z.")
    code = "\n".join(lines)
    assert field in {item.name for item in jedi.Script(code).complete()}


TYPED = """
import torch
import hxtorch
import hxtorch.snn as hxsnn

hxtorch.init_hardware()
experiment = hxsnn.Experiment(dt=1e-6)
synapse = hxsnn.Synapse(4, 3, experiment)
neuron = hxsnn.Neuron(3, experiment, tau_mem=hxsnn.HXParameter(1e-5))
g = synapse(hxsnn.NeuronHandle(torch.zeros(10, 1, 4)))
z = neuron(g)
y = hxsnn.LI(2, experiment)(hxsnn.Synapse(3, 2, experiment)(z))
info = hxsnn.run(experiment, 10)
print(y.membrane_cadc.amax(0).sum() + z.spikes.mean())
reveal_type((g.graded_spikes, z.spikes, z.membrane_cadc, z.current, y.membrane_cadc, synapse.weight))
reveal_type(z.membrane_madc)
z.spiks
"""


def test_type_checkers_see_tensors(tmp_path):
    """A user's script under mypy --strict: observables are tensors, and a typo is found."""
    pytest.importorskip("mypy", reason="comes with the extra [dev]")
    script = tmp_path / "script.py"
    script.write_text(TYPED)
    own = [
        "--cache-dir",
        ".mypy_cache/script",
    ]  # with other options, mypy would do all of torch anew, here and there
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", *own, str(script)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=EXAMPLES.parent)
    lines = [line.split("script.py:")[-1] for line in done.stdout.splitlines() if "script.py:" in line]
    assert len(lines) == 3, done.stdout + done.stderr
    assert lines[0].count("Tensor") == 5 and "Parameter" in lines[0] and "None" not in lines[0]
    assert "Tensor | None" in lines[1]
    assert '"NeuronHandle" has no attribute "spiks"; maybe "spikes"?' in lines[2]


# --- Examples ------------------------------------------------------------------------------------------------


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    torch.manual_seed(0)
    yield importlib.import_module
    for name in ("tiny_training", "lightning_training", "partitioned_mnist"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("arguments", [["--epochs", "10"], ["--chip", "--epochs", "3"]])
def test_the_tiny_training_loop_learns(example, monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["tiny_training.py", *arguments])
    example("tiny_training").main()
    first, last = map(float, capsys.readouterr().out.removeprefix("loss ").split(" -> "))
    assert last < 0.7 * first


def test_the_lightning_example_learns(example):
    pytest.importorskip("lightning", reason="needs lightning")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert example("lightning_training").main(epochs=10) < 0.3


class Bars:
    """Stands in for MNIST: a bright bar whose place is the class, over noise of 28 x 28 pixels."""

    def __init__(self, train):
        generator = torch.Generator().manual_seed(int(train))
        self.labels = torch.randint(0, 10, (600,), generator=generator)
        self.images = 0.5 * torch.rand(600, 28, 28, generator=generator) ** 2
        for place in range(10):
            self.images[self.labels == place, 2 * place + 2 : 2 * place + 8, 4:24] += 0.5


def test_the_partitioned_example_learns_in_the_model_and_keeps_it_on_the_chip(
    example, monkeypatch, capsys, tmp_path
):
    module = example("partitioned_mnist")
    monkeypatch.setattr(module, "MNIST", Bars)
    out = tmp_path / "result.json"
    arguments = "--epochs 3 --images 600 --chip-images 100 --test-images 100"
    monkeypatch.setattr(sys, "argv", ["partitioned_mnist.py", *arguments.split(), "--out", str(out)])
    module.main()
    printed = capsys.readouterr().out
    runs, _, *_ = printed.split()
    assert int(runs) >= 4  # 256 neurons of seven circuits
    result = json.loads(out.read_text())
    assert result["in the model"] > 0.7
    assert result["on the chip, same weights"] > 0.5
    assert result["on the chip, after an epoch in the loop"] > 0.5
    assert all(f"{name}: {result[name]:.3f}" in printed for name in list(result)[:3])
