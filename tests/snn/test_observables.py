"""From raw chip data to the time grid, against independent formulas."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hxtorch.snn.recording.observables import (
    CADCHandle,
    MADCHandle,
    SpikeHandle,
    by_neuron,
    grid_rows,
    postprocess_cadc,
)


def random_cadc(rng, batch=2, samples=9, neurons=5, end=6000.0):
    time = np.sort(rng.uniform(-200, end, (batch, 2, samples)), axis=-1)
    return CADCHandle(
        rng.integers(0, 256, (batch, samples, neurons)).astype(np.uint8),
        time,
        rng.integers(1, samples + 1, (batch, 2)),
        rng.integers(0, 2, neurons),
    )


def expected_trace(cadc, b, n, rows, dt, mode):
    h = cadc.hemisphere[n]
    count = cadc.count[b, h]
    time, value = cadc.time[b, h, :count], cadc.value[b, :count, n].astype(float) - 128
    grid = np.arange(rows) * dt * 125e6
    if mode == "linear":
        return np.interp(grid, time, value)
    distance = np.abs(grid[:, None] - time)
    return value[count - 1 - distance[:, ::-1].argmin(1)]  # the last of equal distances


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    dt=st.sampled_from([0.5e-6, 1e-6, 2e-6]),
    mode=st.sampled_from(["linear", "nn"]),
)
def test_interpolation(seed, dt, mode):
    cadc = random_cadc(np.random.default_rng(seed))
    dense = cadc.to_dense(50e-6, dt, mode)
    rows = round(50e-6 / dt) + 1
    assert dense.shape == (rows, 2, 5)
    assert dense.dtype == torch.float32
    for b in range(2):
        for n in range(5):
            expected = expected_trace(cadc, b, n, rows, dt, mode)
            np.testing.assert_allclose(dense[:, b, n], expected, atol=1e-4)


def cadc_of(times, values):
    time = np.tile(np.asarray(times, dtype=float), (1, 2, 1))
    value = np.asarray(values, dtype=np.uint8).reshape(1, -1, 1)
    return CADCHandle(value, time, np.full((1, 2), len(times)), np.zeros(1, dtype=np.int64))


def test_nearest_ties_go_to_the_later_sample():
    dense = cadc_of([0, 250], [128, 138]).to_dense(3e-6, 1e-6, "nn")
    assert dense[:, 0, 0].tolist() == [0, 10, 10, 10]


def test_signed_values():
    assert cadc_of([0], [80]).to_dense(1e-6, 1e-6)[:, 0, 0].tolist() == [-48, -48]
    assert cadc_of([0, 1], [0, 255]).to_raw()[0].flatten().tolist() == [-128, 127]


def test_unknown_mode_and_no_samples():
    with pytest.raises(
        RuntimeError, match=r"Mode 'cubic' is not supported yet\. Supported modes are: 'linear', 'nn'\."
    ):
        cadc_of([0], [0]).to_dense(1e-6, 1e-6, "cubic")
    empty = CADCHandle(
        np.zeros((1, 0, 1), np.uint8), np.zeros((1, 2, 0)), np.zeros((1, 2), np.int64), np.zeros(1, int)
    )
    with pytest.raises(RuntimeError, match="no sample within the run of 1 us"):
        empty.to_dense(1e-6, 1e-6)


def test_raw_samples_are_cut_to_the_common_number():
    cadc = random_cadc(np.random.default_rng(0))
    values, times = cadc.to_raw()
    n = cadc.count[:, np.unique(cadc.hemisphere)].min()
    assert values.shape == times.shape == (n, 2, 5)
    assert times[0, 1, 3] == round(cadc.time[1, cadc.hemisphere[3], 0])


def test_spikes_on_the_grid():
    # rows: 62 cycles -> 0, 63 -> 1 (half is 62.5), 125 twice -> one spike in row 1, 1e6 -> dropped
    spikes = SpikeHandle(
        entry=np.array([0, 0, 1, 1, 1]),
        time=np.array([62, 63, 125, 126, 10**6]),
        neuron=np.array([0, 0, 1, 1, 0]),
        batch_size=2,
        population_size=2,
    )
    dense = spikes.to_dense(4e-6, 1e-6)
    assert dense.shape == (5, 2, 2)
    assert dense.nonzero().tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1]]
    assert dense.max() == 1


@pytest.mark.parametrize(("time", "row"), [(124, 0), (125, 1), (374, 1), (375, 2)])
def test_half_rows_round_up(time, row):
    one = np.zeros(1, dtype=np.int64)
    dense = SpikeHandle(one, np.array([time]), one, 1, 1).to_dense(8e-6, 2e-6)
    assert dense.flatten().nonzero().item() == row


def test_madc():
    madc = MADCHandle(np.array([0.0, 4.25]), np.array([[1, 2], [3, 4], [5, 6]], dtype=np.uint16))
    raw = madc.to_raw()
    assert raw.shape == (2, 2, 3)
    assert raw.dtype == torch.float32
    assert raw[0, :, 1].tolist() == [0, 4.25]
    assert raw[1].tolist() == [[1, 3, 5], [2, 4, 6]]
    assert MADCHandle(madc.time, np.zeros((3, 2, 2), np.uint16)).to_raw().shape == (2, 2, 3, 2)
    assert torch.equal(MADCHandle(madc.time, madc.value[..., None]).to_raw(), raw)


@pytest.mark.parametrize("dt", [1e-6, 2e-6, 0.5e-6, 1e-7, 3e-6])
def test_grid_rows(dt):
    assert all(grid_rows(steps * dt, dt) == steps + 1 for steps in range(1, 2000))


def test_time_shift():
    trace = torch.arange(5.0).reshape(5, 1, 1)
    assert postprocess_cadc(trace, 2).flatten().tolist() == [2, 3, 4, 4, 4]
    assert postprocess_cadc(trace, -2).flatten().tolist() == [0, 0, 0, 1, 2]
    assert postprocess_cadc(trace, 0).flatten().tolist() == [0, 1, 2, 3, 4]
    assert postprocess_cadc(trace, 9).flatten().tolist() == [4] * 5
    assert postprocess_cadc(trace, -9).flatten().tolist() == [0] * 5


def test_order_shift_first_offset_scale():
    trace = torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]).reshape(3, 1, 2)
    scale = torch.tensor([10.0, 1.0])
    first = postprocess_cadc(trace, 1, shift_to_first=True, offset=99.0, scale=scale)
    assert first[:, 0].tolist() == [[0, 0], [20, 20], [20, 20]]  # row 0 is taken after the shift
    offset = postprocess_cadc(trace, 1, offset=torch.tensor([1.0, 2.0]), scale=scale)
    assert offset[:, 0].tolist() == [[10, 18], [30, 38], [30, 38]]


def test_values_by_place():
    assert_close(by_neuron({"a": 1.0, "b": 2.0, "c": 3.0}, ["b", "a"], "trace_offset"), torch.tensor([2.0, 1.0]))
    with pytest.raises(ValueError, match="trace_offset has no value for z"):
        by_neuron({"a": 1.0}, ["z"], "trace_offset")
