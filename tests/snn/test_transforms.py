import pytest
import torch
from torch.testing import assert_close

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
