"""Cost of a network, logging to TensorBoard, and NeuroBench."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import hxtorch.snn as hxsnn
from hxtorch.snn.cost.workload import CHIP_POWER, PAUSE, workload
from hxtorch.snn.training.tensorboard import log_run

STEPS, BATCH = 40, 4


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.exp = hxsnn.Experiment(mock=True)
        self.w1, self.w2 = hxsnn.Synapse(5, 6, self.exp), hxsnn.Synapse(6, 2, self.exp)
        self.n1 = hxsnn.Neuron(6, self.exp, leak=0, reset=0, threshold=1)
        self.n2 = hxsnn.ReadoutNeuron(2, self.exp, leak=0)
        self.w1.weight.data.normal_(0.3, 1.0)
        self.w1.weight.data[0] = 0

    def forward(self, x):
        self.z = self.n1(self.w1(hxsnn.NeuronHandle(x)))
        y = self.n2(self.w2(self.z))
        hxsnn.run(self.exp, len(x))
        return y.membrane_cadc.amax(0)


def spikes():
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(STEPS, BATCH, 5, generator=generator) < 0.3).float()


def test_counts_by_hand():
    network, x = Network(), spikes()
    network(x)
    cost = workload(network.exp)
    z = network.z.spikes.detach().numpy()
    assert z.sum() > 10
    assert cost.footprint == 4 * (5 * 6 + 6 * 2)
    assert cost.chip_weights == 2 * 42 * 6 / 8
    assert cost.connection_sparsity == pytest.approx(5 / 42)
    assert cost.activation_sparsity == pytest.approx(1 - z.mean())
    assert cost.dense_operations == STEPS * 42
    by_hand = sum(int(v) * 5 for v in x.numpy().sum((0, 1))) + z.sum() * 2
    assert cost.effective_operations == pytest.approx(by_hand / BATCH)
    assert cost.membrane_updates == 8 * STEPS
    assert cost.estimated_latency == pytest.approx(40e-6)
    assert cost.estimated_energy == pytest.approx(CHIP_POWER * (40e-6 + PAUSE))


def test_the_estimate_meets_the_published_figure():
    """10 µs per MNIST image and its pause: 2.4 µJ and 85 000 images per second."""
    assert pytest.approx(2.4e-6, rel=0.03) == CHIP_POWER * (10e-6 + PAUSE)
    assert pytest.approx(85e3, rel=0.01) == 1 / (10e-6 + PAUSE)


def test_nothing_run_is_refused():
    for refuse in (workload, lambda experiment: log_run(None, experiment, 0)):
        with pytest.raises(ValueError, match="nothing"):
            refuse(hxsnn.Experiment(mock=True))


class Recorder:
    def __init__(self):
        self.scalars, self.histograms = {}, {}

    def add_scalar(self, tag, scalar_value, global_step=None):
        self.scalars[tag] = scalar_value, global_step

    def add_histogram(self, tag, values, global_step=None):
        self.histograms[tag] = values, global_step


def test_what_is_logged():
    network, writer = Network(), Recorder()
    network(spikes())
    log_run(writer, network.exp, 7, prefix="train/")
    per_neuron = network.z.spikes.sum((0, 1)) / BATCH
    assert writer.scalars["train/1_Neuron/spikes_per_neuron"] == (pytest.approx(per_neuron.mean().item()), 7)
    assert writer.scalars["train/1_Neuron/silent"][0] == pytest.approx((per_neuron == 0).float().mean().item())
    assert torch.equal(writer.histograms["train/0_Synapse/weight"][0], network.w1.weight.detach())
    assert "train/3_ReadoutNeuron/membrane" in writer.histograms


def test_a_real_writer(tmp_path):
    pytest.importorskip("tensorboard", reason="needs tensorboard (extra [tensorboard])")
    from torch.utils.tensorboard import SummaryWriter

    network = Network()
    network(spikes())
    with SummaryWriter(tmp_path) as writer:
        log_run(writer, network.exp, 0)
    assert any(item.stat().st_size > 500 for item in tmp_path.iterdir())


def test_neurobench_counts_the_same():
    benchmarks = pytest.importorskip("neurobench.benchmarks", reason="needs neurobench")
    from neurobench.metrics.static import ConnectionSparsity, Footprint
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations

    from hxtorch.snn.cost.neurobench import neurobench_model

    network = Network()
    model = neurobench_model(network, encode=lambda batch: batch.transpose(0, 1))
    data = TensorDataset(spikes().transpose(0, 1), torch.zeros(BATCH))
    benchmark = benchmarks.Benchmark(
        model,
        DataLoader(data, batch_size=BATCH),
        [],
        [],
        [[Footprint, ConnectionSparsity], [ActivationSparsity, SynapticOperations]],
    )
    result = benchmark.run(quiet=True)
    cost = workload(network.exp)
    assert result["Footprint"] == cost.footprint
    assert result["ConnectionSparsity"] == pytest.approx(cost.connection_sparsity, abs=1e-3)
    assert result["ActivationSparsity"] == pytest.approx(cost.activation_sparsity)
    operations = result["SynapticOperations"]
    assert operations["Effective_MACs"] == 0
    assert operations["Dense"] == pytest.approx(cost.dense_operations)
    assert operations["Effective_ACs"] == pytest.approx(cost.effective_operations)
    assert np.isfinite(cost.estimated_energy)
