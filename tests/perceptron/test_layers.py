"""Layers of the multiply-accumulate mode: initial weights, arguments, and a network that learns."""

import copy
import re
from unittest import mock as mocking

import pytest
import torch

from hxtorch import ann
from hxtorch import perceptron as hp
from hxtorch.perceptron import nn


def test_ann_is_the_same_package():
    assert ann is hp
    assert ann.nn is nn


def test_scaling():
    assert nn.scale_input(torch.rand(50) + 0.1).max().item() == pytest.approx(31)
    assert nn.scale_weight(torch.randn(50)).abs().max().item() == pytest.approx(63)
    assert not nn.scale_weight(torch.zeros(3)).any()
    weight = torch.tensor([100.0, -100.0, 5.0], requires_grad=True)
    assert nn.clamp_weight_(weight) is weight
    assert weight.tolist() == [63, -63, 5]


def test_repr_shows_what_differs():
    hp.set_mock_parameter(hp.MockParameter(gain=0.0034))
    layer = nn.Linear(4, 128, mock=True)
    assert repr(layer) == "Linear(in_features=4, out_features=128, num_sends=20, mock=True)"
    hp.set_mock_parameter(hp.MockParameter())
    assert re.search(r"Linear\(.*, num_sends=3, wait", repr(nn.Linear(10, 2, num_sends=3, wait_between_events=7)))
    assert re.search(
        r"Conv1d\(.*, num_sends=39, wait_between_events=4.*", repr(nn.Conv1d(1, 14, 3, wait_between_events=4))
    )
    two = nn.Conv2d(1, 2, (3, 4), stride=2, bias=False, num_sends=6, wait_between_events=75)
    assert repr(two) == (
        "Conv2d(in_channels=1, out_channels=2, kernel_size=(3, 4), stride=2, bias=False, num_sends=6, "
        "wait_between_events=75)"
    )
    assert repr(nn.ConvertingReLU(shift=1)) == "ConvertingReLU(shift=1)"
    assert repr(nn.ReLU()) == "ReLU()"
    assert "weight_transform=None" in repr(nn.Linear(2, 2, weight_transform=None))


def test_initial_weights_fill_the_range():
    layer = nn.Linear(1000, 500)
    std = 2 * 2**0.5 / 0.002 / 1000**0.5
    assert layer.num_sends == 3  # ceil(44.7 / 21)
    assert layer.weight.std().item() == pytest.approx(std / 3, rel=0.02)
    assert layer.weight.abs().max() <= 63
    bound = std / (31 / 3**0.5)
    assert 0.98 * bound < layer.bias.abs().max().item() <= bound


def test_linear_calls_its_product_with_its_options():
    layer = nn.Linear(3, 2, bias=False, num_sends=4, wait_between_events=9, mock=True)
    layer._matmul = mocking.Mock(return_value=torch.ones(1, 2))
    x = torch.ones(1, 3)
    layer(x)
    (given, matrix), options = layer._matmul.call_args
    assert given is x
    assert torch.equal(matrix, layer.weight.t())
    assert options == {"num_sends": 4, "wait_between_events": 9, "mock": True}


def test_transforms_and_average():
    hp.set_mock_parameter(hp.MockParameter(noise_std=2.0, gain=0.002))
    plain = nn.Linear(128, 6, bias=False, num_sends=1, mock=True)
    plain.weight.data.fill_(10.0)
    averaged = nn.Linear(128, 6, bias=False, num_sends=1, mock=True, avg=16)
    averaged.load_state_dict(plain.state_dict())
    x = torch.full((500, 128), 20.0)
    assert plain(x).std().item() == pytest.approx(2.0, rel=0.1)
    assert averaged(x).std().item() == pytest.approx(0.5, rel=0.1)
    assert averaged(x).mean().item() == pytest.approx(128 * 200 * 0.002 - 0.5, abs=0.1)
    scaled = nn.Linear(4, 2, mock=True, input_transform=nn.scale_input)
    scaled(torch.rand(3, 4) * 1000)  # would overflow without the transform
    big = nn.Linear(4, 2, mock=True)
    big.weight.data.fill_(500.0)
    big(torch.ones(4))
    assert big.weight.max() == 63


def test_convolutions_have_the_shapes_of_torch():
    for ours, theirs, shape in (
        (nn.Conv1d, torch.nn.Conv1d, (2, 3, 20)),
        (nn.ExpandedConv1d, torch.nn.Conv1d, (2, 3, 20)),
        (nn.Conv2d, torch.nn.Conv2d, (2, 3, 20, 15)),
    ):
        for options in (
            {},
            {"stride": 2, "padding": 1},
            {"padding": "same"},
            {"padding": 2, "padding_mode": "circular"},
        ):
            expected = theirs(3, 5, 3, **options)(torch.ones(shape))
            assert ours(3, 5, 3, mock=True, **options)(torch.ones(shape)).shape == expected.shape
    assert nn.ExpandedConv1d(1, 14, 43, stride=2).num_expansions == 18
    with pytest.raises(ValueError, match="dilation"):
        nn.Conv1d(1, 1, 3, dilation=2, mock=True)(torch.ones(1, 1, 9))
    with pytest.raises(ValueError, match="groups"):
        nn.Conv1d(2, 2, 3, groups=2, mock=True)(torch.ones(1, 2, 9))


def test_layers_copy_and_load():
    model = torch.nn.Sequential(nn.Linear(4, 8, mock=True), nn.ConvertingReLU(shift=1, mock=True))
    other = copy.deepcopy(model)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other[0].weight, model[0].weight)
    assert set(model.state_dict()) == {"0.weight", "0.bias"}


def test_a_network_learns_two_rings():
    """Points inside or outside of a circle: the network reaches 95 % in spite of gain, noise and rounding."""
    hp.set_mock_parameter(hp.MockParameter(noise_std=2.0, gain=0.002))
    points = torch.rand(400, 2)
    classes = ((points - 0.5).square().sum(1) < 0.12).long()
    inputs = torch.cat([points, 1 - points], 1) * 31
    model = torch.nn.Sequential(
        nn.Linear(4, 64, mock=True), nn.ConvertingReLU(shift=1, mock=True), nn.Linear(64, 2, avg=3, mock=True)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1.0)
    for _ in range(120):
        loss = torch.nn.functional.cross_entropy(model(inputs) / 10, classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model(inputs).argmax(1) == classes).float().mean() > 0.95
