"""The example programs run, and learn as fast as their users expect."""

import pytest
import torch

import hxtorch
from hxtorch.examples.spiking import calib_neuron, yinyang
from hxtorch.examples.spiking.yinyang_model import SNN

COMMON = (
    "--alpha=150 --batch-size=50 --gamma=.9 --lr=.002 --reg-readout=.0004 --seed=0 --step-size=10 "
    "--weight-init-hidden-std=.25 --weight-init-out-mean=0 --weight-init-out-std=.1 --weight-scale=70 "
    "--trace-scale=.0147"
)
MOCK = [*COMMON.split(" "), "--mock", "--readout-scaling=1", "--weight-init-hidden-mean=.8"]
CHIP = [*COMMON.split(" "), "--readout-scaling=10", "--weight-init-hidden-mean=.25", "--t-shift=-1"]


def train(arguments):
    return yinyang.main(yinyang.get_parser().parse_args(arguments))


def test_yinyang_learns_in_mock_mode(tmp_path):
    losses, accuracies, test_losses, test_accuracies = train(
        [*MOCK, "--epochs", "2", "--trainset-size", "1500", "--plot-path", str(tmp_path / "training")]
    )
    assert len(losses) == len(accuracies) == len(test_losses) == len(test_accuracies) == 2
    assert losses[1] < losses[0]
    assert test_accuracies[1] > 0.6
    assert (tmp_path / "training").read_bytes()[1:4] == b"PNG"


def test_yinyang_runs_on_the_chip():
    losses, accuracies, _, test_accuracies = train(
        [*CHIP, "--epochs", "2", "--trainset-size", "300", "--testset-size", "100"]
    )
    assert losses[1] < losses[0]
    assert max(accuracies + test_accuracies) <= 1
    assert hxtorch.connection.connected_chip() is None


@pytest.mark.long
def test_yinyang_learns_in_mock_mode_as_upstream_demands():
    assert train([*MOCK, "--epochs", "5"])[3][-1] > 0.84


@pytest.mark.long
def test_yinyang_learns_on_the_chip():
    assert train([*CHIP, "--epochs", "5"])[3][-1] >= 0.9


def test_repeated_inputs_belong_to_repeated_weights():
    """Copies of the inputs are tiled like the columns of the weights: their sum is what one input does."""
    one, three = (
        SNN(4, 6, 2, True, weight_init_hidden=(0.1, 0.1), input_repetitions=n, trace_scale=1.0) for n in (1, 3)
    )
    weight = torch.rand(6, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one.linear_h.weight.copy_(weight)
        three.linear_h.weight.copy_((weight / 3).repeat(1, 3))
        three.linear_o.weight.copy_(one.linear_o.weight)
    spikes = (torch.rand(30, 5, 4, generator=torch.Generator().manual_seed(1)) < 0.2).float()
    torch.testing.assert_close(three(spikes), one(spikes))


def test_recurrent_network_and_errors():
    net = SNN(4, 6, 2, True, recurrence="frozen", dropout=0.5)
    net(torch.ones(10, 3, 4)).sum().backward()
    assert net.linear_r.weight.grad is None
    assert net.linear_h.weight.grad is not None
    with pytest.raises(ValueError, match="recurrence is 'yes'"):
        SNN(4, 6, 2, True, recurrence="yes")


def test_calib_neuron_calibrates_again():
    spikes, membranes = calib_neuron.main()
    assert spikes.shape == membranes.shape == (calib_neuron.STEPS, 1, 4)
    counts = spikes.sum((0, 1))
    assert (counts[:-1] > counts[1:]).all()  # a lower threshold fires more often
    assert counts[-1] > 0  # the leak is above all thresholds
