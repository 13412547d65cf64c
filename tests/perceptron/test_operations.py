"""Operations of the multiply-accumulate mode in simulation, against their formulas."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import hxtorch
from hxtorch import perceptron as hp

GAIN = 2.0**-9  # of the fixture no_noise


def block_formula(x, w, factor):
    """Noise-free result by the definition, with numpy."""
    x, w = np.rint(np.asarray(x, dtype=np.float64)), np.rint(np.asarray(w, dtype=np.float64))
    total = np.zeros((*x.shape[:-1], w.shape[1]))
    for row in range(0, w.shape[0], 128):
        total += np.clip(np.floor(factor * (x[..., row : row + 128] @ w[row : row + 128])), -128, 127)
    return np.clip(total, -128, 127)


@settings(max_examples=40)
@given(st.integers(1, 300), st.integers(1, 5), st.integers(1, 3), st.integers(0, 10**6))
def test_mac_is_its_formula(rows, columns, sends, seed):
    generator = np.random.default_rng(seed)
    x = torch.from_numpy(generator.integers(0, 32, (4, rows))).double()
    w = torch.from_numpy(generator.integers(-63, 64, (rows, columns))).double()
    hp.set_mock_parameter(hp.MockParameter(noise_std=0.0, gain=2.0**-8))
    result = hp.mac(x, w, num_sends=sends, mock=True)
    torch.testing.assert_close(result, torch.from_numpy(block_formula(x, w, 2.0**-8 * sends)))


def test_gain_and_noise_of_a_demo():
    """100 rows of 15 x 21: about 63 LSB at the default gain; the noise is that of the parameter."""
    x, w = torch.full((2000, 100), 15.0), torch.full((100, 10), 21.0)
    result = hp.matmul(x, w, mock=True)
    assert result.mean().item() == pytest.approx(100 * 15 * 21 * 0.002 - 0.5, abs=0.1)  # floor takes half an LSB
    assert result.std().item() == pytest.approx(np.sqrt(2.0**2 + 1 / 12), rel=0.03)
    assert torch.equal(result, result.round())


@pytest.mark.usefixtures("no_noise")
def test_operands_are_rounded_and_blocks_saturate():
    assert hp.mac(torch.tensor([30.6]), torch.tensor([[62.7]]), mock=True).item() == np.floor(31 * 63 * GAIN)
    full = hp.mac(torch.full((256,), 31.0), torch.full((256, 1), 63.0), mock=True)
    assert full.item() == 127
    mixed = torch.cat([torch.full((128, 1), 63.0), torch.full((128, 1), -63.0)])
    assert hp.mac(torch.full((256,), 31.0), mixed, mock=True).item() == 127 - 128


@pytest.mark.parametrize(
    ("x", "w"), [(31.6, 1.0), (-0.6, 1.0), (1.0, 63.6), (1.0, -63.6), (float("nan"), 1.0), (1.0, float("nan"))]
)
def test_values_out_of_range_overflow(x, w):
    with pytest.raises(OverflowError, match="outside of"):
        hp.mac(torch.tensor([x]), torch.tensor([[w]]), mock=True)


@pytest.mark.parametrize(("x", "w"), [((3,), (3,)), ((2, 2, 3), (3, 1)), ((4,), (3, 1)), ((3,), (1, 3, 1))])
def test_wrong_shapes_of_mac(x, w):
    with pytest.raises(RuntimeError, match=r"dimensions|features"):
        hp.mac(torch.ones(x), torch.ones(w), mock=True)


@pytest.mark.parametrize("options", [{"num_sends": 0}, {"wait_between_events": 0}, {"madc_recording_path": "a"}])
def test_options_that_cannot_be(options):
    with pytest.raises(RuntimeError):
        hp.mac(torch.ones(3), torch.ones(3, 1), mock=True, **options)


@pytest.mark.parametrize(
    ("a", "b"),
    [((5,), (5,)), ((5,), (5, 3)), ((2, 5), (5,)), ((2, 5), (5, 3)), ((2, 4, 5), (5, 3)), ((2, 4, 5), (5,))],
)
@pytest.mark.usefixtures("no_noise")
def test_matmul_has_the_shapes_and_gradients_of_torch(a, b):
    x = (torch.rand(a) * 31).requires_grad_()
    w = (torch.rand(b) * 126 - 63).requires_grad_()
    result = hp.matmul(x, w, num_sends=2, mock=True)
    expected = GAIN * 2 * torch.matmul(x, w)
    assert result.shape == expected.shape
    assert (result - expected).abs().max() < 1.6  # floor, and the rounding of five products
    weight = torch.randn_like(result)
    for got, wanted in zip(
        torch.autograd.grad((result * weight).sum(), (x, w)), torch.autograd.grad((expected * weight).sum(), (x, w))
    ):
        torch.testing.assert_close(got, wanted)


def test_matmul_refuses_scalars_and_batches_of_matrices():
    for a, b in (((), (3,)), ((3,), ()), ((2, 3), (2, 3, 4))):
        with pytest.raises(RuntimeError, match="matmul takes"):
            hp.matmul(torch.ones(a), torch.ones(b), mock=True)


def test_add():
    a = torch.tensor([[1.9, -200.0, 100.0]], requires_grad=True)
    b = torch.tensor([[2.0, 5.5, 50.0], [0.0, 0.0, 0.0]], requires_grad=True)
    result = hp.add(a, b, mock=True)
    assert result.tolist() == [[3, -123, 127], [1, -128, 100]]
    result.sum().backward()
    assert a.grad.tolist() == [[2, 2, 2]]
    assert b.grad.tolist() == [[1, 1, 1]] * 2
    with pytest.raises(RuntimeError, match="alpha is 2"):
        hp.add(a, b, alpha=2, mock=True)


def test_relus():
    x = torch.tensor([-3.0, 0.0, 0.5, 9.7, 126.0, 300.0], requires_grad=True)
    assert hp.relu(x, mock=True).tolist() == [0, 0, 0, 9, 126, 127]
    assert hp.converting_relu(x, mock=True).tolist() == [0, 0, 0, 2, 31, 31]
    assert hp.converting_relu(x, shift=1, mock=True).tolist() == [0, 0, 0, 4, 31, 31]
    hp.converting_relu(x, shift=2, mock=True).sum().backward()
    assert x.grad.tolist() == [0, 0, 0.25, 0.25, 0.25, 0.25]
    with pytest.raises(RuntimeError, match="shift"):
        hp.converting_relu(x, shift=-1, mock=True)


def test_argmax():
    x = torch.tensor([[1.2, 1.9, -3.0], [130.0, 400.0, 126.9]])
    assert hp.argmax(x, dim=1, mock=True).tolist() == [0, 0]  # equal after flooring and clamping
    assert hp.argmax(x, dim=1, keepdim=True, mock=True).shape == (2, 1)
    assert hp.argmax(x, mock=True).item() == 3


@pytest.mark.usefixtures("no_noise")
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("expansions", [None, 1, 2, 5])
def test_conv1d(stride, expansions):
    x = torch.randint(0, 32, (3, 2, 17)).float().requires_grad_()
    w = torch.randint(-63, 64, (4, 2, 5)).float().requires_grad_()
    bias = torch.randn(4)
    if expansions is None:
        result = hp.conv1d(x, w, bias, stride=stride, mock=True)
    else:
        result = hp.expanded_conv1d(x, w, bias, stride=stride, num_expansions=expansions, mock=True)
    expected = F.conv1d(x, w, stride=stride) * GAIN
    torch.testing.assert_close(result, expected.floor() + bias[:, None])
    assert result.is_contiguous()
    weight = torch.randn_like(result)
    for got, wanted in zip(
        torch.autograd.grad((result * weight).sum(), (x, w)), torch.autograd.grad((expected * weight).sum(), (x, w))
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("no_noise")
@pytest.mark.parametrize("stride", [1, (2, 3)])
def test_conv2d(stride):
    x = torch.randint(0, 32, (2, 3, 9, 11)).float()
    w = torch.randint(-63, 64, (4, 3, 2, 3)).float()
    result = hp.conv2d(x, w, stride=stride, mock=True)
    torch.testing.assert_close(result, (F.conv2d(x, w, stride=stride) * GAIN).floor())
    assert result.is_contiguous()


@pytest.mark.parametrize(
    ("x", "w", "options"),
    [
        ((1, 2, 3), (4, 2, 5), {}),
        ((1, 2, 9), (4, 3, 5), {}),
        ((2, 9), (4, 2, 5), {}),
        ((1, 2, 9), (4, 2, 5), {"bias": torch.ones(3)}),
        ((1, 2, 9), (4, 2, 5), {"stride": 0}),
        ((1, 2, 9), (4, 2, 5), {"stride": (1, 1)}),
    ],
)
def test_convolutions_that_cannot_be(x, w, options):
    for operation in (hp.conv1d, hp.expanded_conv1d):
        with pytest.raises(RuntimeError):
            operation(torch.ones(x), torch.ones(w), mock=True, **options)


def test_mock_parameters():
    assert repr(hp.MockParameter()) == "MockParameter(noise_std=2.0, gain=0.002)"
    chosen = hp.MockParameter(noise_std=1.5, gain=0.006)
    hp.set_mock_parameter(chosen)
    assert hp.get_mock_parameter() == chosen
    for bad in (hp.MockParameter(gain=0), hp.MockParameter(gain=1.1), hp.MockParameter(noise_std=-1)):
        with pytest.raises(OverflowError):
            hp.set_mock_parameter(bad)


def test_without_mock():
    hxtorch.release_hardware()
    for call in (
        lambda: hp.mac(torch.ones(2), torch.ones(2, 1)),
        lambda: hp.relu(torch.ones(2)),
        lambda: hp.add(torch.ones(2), torch.ones(2)),
        hp.measure_mock_parameter,
    ):
        with pytest.raises(RuntimeError, match=r"No connection allocated\."):
            call()
    hxtorch.init_hardware()
    try:
        assert hp.relu(torch.tensor([-1.0, 3.5])).tolist() == [0, 3]
        with pytest.raises(NotImplementedError, match="mock=True"):
            hp.mac(torch.ones(2), torch.ones(2, 1))
    finally:
        hxtorch.release_hardware()


def test_constants():
    assert (hp.constants.hardware_matrix_height, hp.constants.hardware_matrix_width) == (128, 256)
    assert hp.constants.defaults.gain == 0.002


@pytest.mark.usefixtures("no_noise")
def test_inference_traces(tmp_path):
    path = tmp_path / "trace.npz"
    first, second = torch.randint(-63, 64, (20, 10)).float(), torch.randint(-63, 64, (10, 3)).float()
    bias = torch.tensor([1.0, 2.0, 3.0])

    def network(x):
        hidden = hp.converting_relu(hp.matmul(x, first, num_sends=4, mock=True), shift=1, mock=True)
        return hp.argmax(hp.add(hp.matmul(hidden, second, mock=True), bias, mock=True), dim=-1, mock=True)

    tracer = hp.InferenceTracer(path)
    tracer.start()
    network(torch.randint(0, 32, (5, 20)).float())
    with pytest.raises(RuntimeError, match="already"):
        tracer.start()
    assert tracer.stop() == ["mac", "converting_relu", "mac", "add", "argmax"]
    other = torch.randint(0, 32, (7, 20)).float()
    assert torch.equal(hp.inference_trace(other, path), network(other))
    assert [item.name for item in tmp_path.iterdir()] == ["trace.npz"]
    with pytest.raises(RuntimeError, match="not recording"):
        tracer.stop()


def test_traces_that_cannot_be(tmp_path):
    tracer = hp.InferenceTracer(tmp_path / "trace.npz")
    tracer.start()
    hp.relu(hp.relu(torch.ones(3), mock=True) * 2, mock=True)
    with pytest.raises(RuntimeError, match="not the result of the one before"):
        tracer.stop()
    assert not list(tmp_path.iterdir())
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="no inference trace"):
        hp.inference_trace(torch.ones(3), bad)
