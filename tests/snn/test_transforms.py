"""Encoders, decoders and the weight map; the time grid of the encoders: test_time_grid.py."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hxtorch.snn import NeuronHandle
from hxtorch.snn.transforms.decode import MaxOverTime, MeanOverTime, SumOverTime
from hxtorch.snn.transforms.encode import (
    CoordinatesToSpikes,
    PixelsToSpikeTimes,
    SpikeTimesToDense,
    SpikeTimesToSparseTensor,
)
from hxtorch.snn.transforms.weight_transforms import linear_saturating


def test_linear_saturating():
    weight = torch.tensor([-2.0, -0.5, 0.5, 2.0])
    assert linear_saturating(weight, 50.0).tolist() == [-63, -25, 25, 63]
    assert linear_saturating(weight, 50.0, -10, 30).tolist() == [-10, -10, 25, 30]


def test_decoders():
    trace = torch.arange(12.0).reshape(3, 2, 2)
    assert_close(MaxOverTime()(trace), trace[2])
    assert_close(SumOverTime()(trace), trace.sum(0))
    assert_close(MeanOverTime()(trace), trace[1])


def test_coordinates_to_spikes():
    encode = CoordinatesToSpikes(20, 2e-6, 12e-6, t_bias=3.9e-6)
    spikes = encode(torch.tensor([[0.0, 0.25, 1.0]]))
    assert spikes.shape == (20, 1, 4)
    assert spikes.nonzero()[:, [0, 2]].tolist() == [[2, 0], [3, 3], [4, 1], [12, 2]]
    assert CoordinatesToSpikes(20, 2e-6, 12e-6)(torch.rand(5, 3)).sum() == 15
    with pytest.raises(ValueError, match=r"rows 2\.\.12, but there are 10"):
        CoordinatesToSpikes(10, 2e-6, 12e-6)(torch.tensor([[0.0, 1.0]]))


def test_pixels_to_spike_times():
    pixels = torch.tensor([0.0, 0.1, 0.2, 0.5, 1.0])
    times = PixelsToSpikeTimes(tau=1.0, threshold=0.2, t_max=1.0)(pixels)
    expected = torch.log(pixels[3:] / (pixels[3:] - 0.2))
    assert_close(times, torch.cat([torch.ones(3), expected]))


def test_spike_times_to_bins():
    times = torch.tensor([[0.0, 1.9], [2.0, 50.0]])
    dense = SpikeTimesToDense(1.0, size=5)(times)
    assert dense.dtype == torch.int64
    assert dense.shape == (5, 2, 2)
    assert dense.nonzero().tolist() == [[0, 0, 0], [1, 0, 1], [2, 1, 0]]
    sparse = SpikeTimesToSparseTensor(1.0, size=5)(times)
    assert sparse.is_sparse
    assert_close(sparse.to_dense(), dense)


PIXELS = [[0.0, 0.1, 0.3], [0.2, 0.5, 1.0]]
TIMES = [[0.0, 1.9], [2.0, 50.0]]
TRACE = [[[1.0, 5.0]], [[3.0, 2.0]], [[2.0, 2.0]]]
TAKEN = {
    PixelsToSpikeTimes(tau=0.5): PIXELS,
    SpikeTimesToDense(1.0, size=5): TIMES,
    SpikeTimesToSparseTensor(1.0, size=5): TIMES,
    CoordinatesToSpikes(20, 2e-6, 12e-6, t_bias=3e-6): PIXELS,
    MaxOverTime(): TRACE,
    SumOverTime(): TRACE,
    MeanOverTime(): TRACE,
    linear_saturating: PIXELS,
}
every_transform = pytest.mark.parametrize(
    ("transform", "values"), TAKEN.items(), ids=lambda item: getattr(item, "__name__", type(item).__name__)
)


def result(transform, values):
    found = transform(values)
    return found.to_dense() if found.is_sparse else found


@every_transform
def test_arrays_and_lists_are_taken(transform, values):
    tensor = torch.tensor(values)
    expected = result(transform, tensor)
    array = tensor.numpy()
    for given in (array, values, array[::-1].copy()[::-1], array.astype(">f4"), [row.clone() for row in tensor]):
        assert_close(result(transform, given), expected)
    assert_close(result(transform, array.astype(np.float64)), expected, check_dtype=False)
    array.flags.writeable = False
    assert_close(result(transform, array), expected)


@every_transform
def test_sparse_tensors_are_taken_or_refused_in_a_sentence(transform, values):
    dense = torch.tensor(values)
    for given in (dense.to_sparse(), dense.reshape(-1, dense.shape[-1]).to_sparse_csr()):
        if isinstance(transform, SpikeTimesToSparseTensor):
            with pytest.raises(TypeError, match=r"missing entry would be a spike at 0. Give them dense"):
                transform(given)
        else:
            assert_close(transform(given), transform(given.to_dense()))


@every_transform
@pytest.mark.parametrize(
    "values_of_no_use",
    [None, "1, 2", [[1.0, 2.0], [3.0]], {"a": 1}, [object()], torch.tensor([1j]), [1j]],
    ids=["nothing", "text", "ragged", "dict", "objects", "complex", "complex list"],
)
def test_what_is_no_numbers_is_refused_in_a_sentence(transform, values, values_of_no_use):
    with pytest.raises(TypeError, match=r"^The .*\. Give "):
        transform(values_of_no_use)


@every_transform
def test_masked_entries_are_not_read(transform, values):
    array = np.ma.masked_less(np.array(values, np.float32), 0.0)
    assert_close(result(transform, array), result(transform, torch.tensor(values)))
    with pytest.raises(TypeError, match=r"masked entries. Give numbers for them"):
        transform(np.ma.masked_less(np.array(values), 1.5))


def test_lists_of_tensors_are_stacked_with_their_gradients():
    steps = [torch.full((1, 2), float(k), requires_grad=True) for k in range(3)]
    SumOverTime()(steps).sum().backward()
    assert all(torch.equal(step.grad, torch.ones(1, 2)) for step in steps)
    with pytest.raises(TypeError, match="list of tensors that make no tensor"):
        SumOverTime()([torch.ones(1, 2), torch.ones(1, 3)])


def test_a_handle_is_no_trace():
    handle = NeuronHandle(torch.ones(3, 1, 2))
    with pytest.raises(TypeError, match=r"NeuronHandle.*of a handle, one of its tensors"):
        MaxOverTime()(handle)
    assert_close(MaxOverTime()(handle.spikes), torch.ones(1, 2))


def test_spikes_are_decoded():
    """Integers, dense or sparse, as the encoders make them."""
    times = torch.tensor([[0.0, 1.0], [3.0, 9.0]])
    for encode in (SpikeTimesToDense, SpikeTimesToSparseTensor):
        spikes = encode(1.0, size=5)(times)
        assert MaxOverTime()(spikes).tolist() == SumOverTime()(spikes).tolist() == [[1, 1], [1, 0]]
        assert_close(MeanOverTime()(spikes), torch.tensor([[0.2, 0.2], [0.2, 0.0]]))
    assert SumOverTime()(torch.ones(3, 1, 2, dtype=torch.bool)).tolist() == [[3, 3]]


def test_no_time_steps_have_no_maximum_and_no_mean():
    for decode in (MaxOverTime(), MeanOverTime()):
        with pytest.raises(ValueError, match=r"no time steps, its shape is \(0, 2, 3\)"):
            decode(torch.zeros(0, 2, 3))
        assert decode(torch.zeros(4, 0, 3)).shape == (0, 3)
        with pytest.raises(ValueError, match="single number"):
            decode(torch.tensor(1.0))
    assert SumOverTime()(torch.zeros(0, 2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_encoders_of_nothing_and_of_gradients():
    assert SpikeTimesToDense(1.0, 4)(torch.zeros(0, 3)).shape == (4, 0, 3)
    assert CoordinatesToSpikes(9, 0.0, 5e-6, t_bias=3e-6)(torch.zeros(0, 3)).shape == (9, 0, 4)
    biases = CoordinatesToSpikes(9, 0.0, 5e-6, t_bias=3e-6)(torch.zeros(2, 0))
    assert biases.nonzero().tolist() == [[3, 0, 0], [3, 1, 0]]
    pixels = torch.tensor([0.1, 0.3, 1.0], requires_grad=True)
    times = PixelsToSpikeTimes(tau=0.5)(pixels)
    assert SpikeTimesToDense(0.25, 4)(times).nonzero().tolist() == [[0, 2], [2, 1]]
    assert CoordinatesToSpikes(9, 0.0, 5e-6)(pixels[None]).sum() == 3


def test_one_sample_of_coordinates_has_its_bias_too():
    spikes = CoordinatesToSpikes(9, 0.0, 5e-6, t_bias=3e-6)(torch.tensor([0.0, 1.0]))
    assert spikes.nonzero().tolist() == [[0, 0], [3, 2], [5, 1]]


@pytest.mark.parametrize(("kind", "threshold"), [(torch.float32, 0.2), (torch.float32, 5.0), (torch.float16, 0.5)])
def test_gradients_of_spike_times(kind, threshold):
    """t = tau ln(p / (p - c)), so dt/dp = -tau c / (p (p - c)); 0 where t_max is reached."""
    pixels = (torch.tensor([0.0, 0.5, 1.0, 1.5, 3.0]) * threshold).to(kind).requires_grad_()
    times = PixelsToSpikeTimes(tau=0.5, threshold=threshold)(pixels)
    times.sum().backward()
    bright = pixels.detach().double()[3:]
    assert times[:3].tolist() == [1.0, 1.0, 1.0]
    assert pixels.grad[:3].tolist() == [0.0, 0.0, 0.0]
    assert_close(pixels.grad[3:].double(), -0.5 * threshold / (bright * (bright - threshold)), rtol=5e-3, atol=1e-4)


def test_pixels_of_whole_numbers():
    for kind in (torch.uint8, torch.int64, torch.uint16):
        times = PixelsToSpikeTimes(tau=0.5, threshold=100.0)(torch.tensor([0, 99, 150, 200]).to(kind))
        assert_close(times, torch.tensor([1.0, 1.0, 0.5 * math.log(3), 0.5 * math.log(2)]))


def test_pixels_and_their_settings_are_finite():
    for value in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match=rf"pixel at \(1,\) is {value:g}"):
            PixelsToSpikeTimes()([0.1, value])
    for name, value in (("tau", 0.0), ("tau", torch.nan), ("threshold", -0.1), ("t_max", -1.0), ("epsilon", 0.0)):
        with pytest.raises(ValueError, match=f"{name} is "):
            PixelsToSpikeTimes(**{name: value})
