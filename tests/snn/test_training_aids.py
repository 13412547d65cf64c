"""Alignment, weights in range, regularisers and checkpoints."""

import pytest
import torch

import hxtorch
from hxtorch.examples.spiking.yinyang_model import SNN
from hxtorch.snn.alignment.weights import weight_scale
from hxtorch.snn.training.regularizers import burst_penalty, readout_penalty, silence_penalty, weight_penalty
from hxtorch.snn.utils import (
    align,
    clip_weights,
    code_version,
    fit_weight_scale,
    load_and_realign,
    load_checkpoint,
    save_checkpoint,
)
from hxtorch.twin import Die, Noise


def network(mock=False, **options):
    torch.manual_seed(0)
    return SNN(
        5, 20, 3, mock, tau_mem=6e-6, tau_syn=6e-6, weight_init_hidden=(0.3, 0.3), weight_init_output=(0, 0.3),
        weight_scale=60.0, trace_scale=0.02, **options,
    )  # fmt: skip


@pytest.fixture
def connect():
    yield hxtorch.init_hardware
    hxtorch.release_hardware()


def spikes(batch=4):
    return (torch.rand(38, batch, 5, generator=torch.Generator().manual_seed(1)) < 0.1).float()


def test_align_finds_the_scales_of_the_ideal_chip(connect):
    """Without deviations and noise: threshold 70 LSB over the leak, and the drive of `twin.process`."""
    connect(Die.ideal(), noise=Noise.off())
    net = network()
    found = align(net, spikes())
    hidden, readout = found["lif_h"], found["li_readout"]
    # CADC samples every 1.7 µs see the membrane a little below its threshold
    assert hidden.threshold == pytest.approx(70, abs=3)
    assert hidden.trace_scale == pytest.approx(1 / 70, rel=0.05)
    # an event of weight w drives w * 0.085 LSB/µs (1000/600)^1.6; the peak at tau 6 µs is 6 / e times that
    psp = 0.085 * (1000 / 600) ** 1.6 * 6 / 2.71828
    assert hidden.psp == pytest.approx(psp, rel=0.03)
    # the peak of the model in steps of 1 µs at weight 1
    current, membrane, peak = 1.0, 0.0, 0.0
    for _ in range(20):
        membrane, current = membrane + (current - membrane) / 6, current * (1 - 1 / 6)
        peak = max(peak, membrane)
    assert hidden.weight_scale == pytest.approx(peak / psp * hidden.threshold, rel=0.05)
    assert readout.threshold is None
    assert readout.trace_scale == hidden.trace_scale
    assert weight_scale(net.linear_h) == hidden.weight_scale
    assert net.lif_h.trace_scale == pytest.approx(hidden.trace_scale)
    assert net.lif_h.cadc_time_shift == hidden.time_shift < 0


def test_align_on_a_real_die_is_near_the_published_scales(connect):
    """weight_scale 66.39 and trace_scale 0.0147 are those of the published tutorial (chip-to-chip some 20 %)."""
    connect()
    net = network()
    before = net.lif_h.trace_scale
    found = align(net, spikes(), apply=False)
    assert net.lif_h.trace_scale == before
    assert found["lif_h"].trace_scale == pytest.approx(0.0147, rel=0.05)
    assert found["lif_h"].weight_scale == pytest.approx(66.39, rel=0.2)
    assert found["lif_h"].baseline == pytest.approx(80 - 128, abs=3)


def test_align_needs_a_chip():
    with pytest.raises(RuntimeError, match="Mock mode has no chip"):
        align(network(mock=True), spikes())
    with pytest.raises(ValueError, match="no neurons"):
        align(torch.nn.Linear(2, 2), torch.zeros(1, 2))


def test_weights_stay_in_range():
    net = network(mock=True)
    net.linear_h.weight.data.fill_(5.0)
    net.linear_o.weight.data.fill_(-0.1)
    clip_weights(net)
    torch.testing.assert_close(net.linear_h.weight.data, torch.full_like(net.linear_h.weight, 63 / 60))
    torch.testing.assert_close(net.linear_o.weight.data, torch.full_like(net.linear_o.weight, -0.1))
    assert fit_weight_scale(net.linear_o, 1000.0) == pytest.approx(630)
    assert fit_weight_scale(net.linear_o, 64.0) == 64
    assert weight_scale(net.linear_o) == 64


def test_regularizers():
    z = torch.zeros(4, 2, 3)
    z[:, 0, 0] = 1  # 4 spikes of one neuron in one of two samples
    assert burst_penalty(z) == pytest.approx(16 / 6)
    assert burst_penalty(z, allowed=1) == pytest.approx(9 / 6)
    assert silence_penalty(z, wanted=0.5) == pytest.approx((0 + 0.25 + 0.25) / 3)
    assert readout_penalty(torch.tensor([1.0, -3.0])) == pytest.approx(5)
    assert weight_penalty(torch.tensor([2.0, 0.0]), exponent=4) == pytest.approx(8)


def test_checkpoint_restores_everything(tmp_path, connect):
    connect(3)
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    net(spikes()).sum().backward()
    optimizer.step()
    scheduler.step()
    fit_weight_scale(net.linear_o, 33.0)
    save_checkpoint(tmp_path / "c.pt", net, optimizer, scheduler, epoch=7)
    after = torch.rand(3)
    with torch.no_grad():
        expected = net(spikes())

    other = network()
    with torch.no_grad():
        other.linear_h.weight.zero_()
    other_optimizer = torch.optim.Adam(other.parameters(), lr=1)
    other_scheduler = torch.optim.lr_scheduler.StepLR(other_optimizer, 1, 0.9)
    held = load_checkpoint(tmp_path / "c.pt", other, other_optimizer, other_scheduler, restore_random=True)
    assert torch.equal(torch.rand(3), after)
    with torch.no_grad():
        assert torch.equal(other(spikes()), expected)  # same weights, chip, scales and random numbers
    assert held.extra == {"epoch": 7}
    assert held.chip == "twin:3"
    assert held.calibration.chip_identifier == "twin:3"
    assert other_optimizer.param_groups[0]["lr"] == 5e-3
    assert other_scheduler.last_epoch == 1
    assert weight_scale(other.linear_o) == 33
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_checkpoint_of_another_chip_warns(tmp_path, connect):
    connect(3)
    save_checkpoint(tmp_path / "c.pt", network())
    connect(4)
    with pytest.warns(UserWarning, match=r"trained on chip 'twin:3', but 'twin:4'.*align"):
        load_checkpoint(tmp_path / "c.pt", network())


def test_a_checkpoint_is_realigned_on_another_chip(tmp_path, connect, recwarn):
    connect(3)
    net = network()
    align(net, spikes())
    save_checkpoint(tmp_path / "c.pt", net)
    same = network()
    load_and_realign(tmp_path / "c.pt", same, spikes())
    assert weight_scale(same.linear_h) == weight_scale(net.linear_h)
    connect(4)
    other = network()
    held = load_and_realign(tmp_path / "c.pt", other, spikes())
    assert held.chip == "twin:3"
    torch.testing.assert_close(other.linear_h.weight, net.linear_h.weight)
    assert weight_scale(other.linear_h) != weight_scale(net.linear_h)  # measured on the other chip
    fresh = network()
    align(fresh, spikes())
    assert weight_scale(other.linear_h) == pytest.approx(weight_scale(fresh.linear_h), rel=0.05)
    assert not [item for item in recwarn if "trained on chip" in str(item.message)]


def test_checkpoint_of_other_code_warns(tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "c.pt", network(mock=True))
    assert load_checkpoint(tmp_path / "c.pt", network(mock=True)).code == code_version()
    monkeypatch.setattr("hxtorch.snn.training.checkpoint.code_version", lambda: "0" * 12)
    with pytest.warns(UserWarning, match=r"c\.pt was written by other code .*000000000000"):
        load_checkpoint(tmp_path / "c.pt", network(mock=True))


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "none.pt", network(mock=True))
    (tmp_path / "bad.pt").write_bytes(b"nothing of that kind")
    with pytest.raises(ValueError, match="no checkpoint"):
        load_checkpoint(tmp_path / "bad.pt", network(mock=True))
    torch.save({"model": {}}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="no checkpoint of this version"):
        load_checkpoint(tmp_path / "other.pt", network(mock=True))
    save_checkpoint(tmp_path / "plain.pt", network(mock=True))
    net = network(mock=True)
    with pytest.raises(ValueError, match="no state of the optimizer"):
        load_checkpoint(tmp_path / "plain.pt", net, torch.optim.Adam(net.parameters()))
