"""Synaptic products from spike indices equal dense products, in values and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hxtorch.snn import functional as F
from hxtorch.snn.functional import products
from hxtorch.snn.functional.memory.spikes import index_of


def spikes_of(rows, size, density, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(rows, 3, size, generator=generator) < density).float()


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 40),
    inputs=st.integers(1, 70),
    outputs=st.integers(1, 70),
    density=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    seed=st.integers(0, 1000),
)
def test_sums_over_spikes_equal_dense_products(rows, inputs, outputs, density, seed):
    spikes = spikes_of(rows, inputs, density, seed)
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, generator=generator)
    grad = torch.randn(rows * 3, outputs, generator=generator)
    index = index_of(spikes)
    flat = spikes.reshape(-1, inputs)
    assert_close(products.sum_weights(index, weight), flat @ weight.T, rtol=1e-5, atol=2e-5)
    assert_close(products.sum_gradients(index, grad), grad.T @ flat, rtol=1e-5, atol=2e-5)


def test_index_lists_the_spikes():
    spikes = spikes_of(20, 37, 0.2)
    index = index_of(spikes)
    rows, columns = spikes.reshape(-1, 37).nonzero(as_tuple=True)
    assert index.count == len(columns)
    for row in range(60):
        assert index.columns[index.start[row] : index.stop[row]].tolist() == columns[rows == row].tolist()
    assert torch.equal(index.dense().reshape(spikes.shape), spikes)
    assert torch.equal(index.part(7, 30).dense(), spikes.reshape(60, 37)[7:30])
    before = index.count
    spikes.numpy()[0, 0, 0] = 1 - spikes[0, 0, 0]  # which no version counter notices
    assert abs(index_of(spikes).count - before) == 1 and index.count == before
    spikes[0, 0, 0] = 0.5
    assert index_of(spikes) is None


@pytest.mark.parametrize("density", [0.0, 0.02, 0.2, 1.0])
@pytest.mark.parametrize("graded", [False, True])
def test_linear_equals_torch(density, graded):
    torch.manual_seed(1)
    spikes = spikes_of(300, 200, density) * (0.5 if graded else 1.0)
    weight = torch.randn(150, 200, requires_grad=True)
    inputs = spikes.requires_grad_()
    out = F.linear(inputs, weight)
    expected = torch.nn.functional.linear(inputs, weight)
    assert_close(out, expected, rtol=1e-5, atol=2e-5)
    grad = torch.randn_like(out)
    got = torch.autograd.grad(out, (inputs, weight), grad)
    for a, b in zip(got, torch.autograd.grad(expected, (inputs, weight), grad)):
        assert_close(a, b, rtol=1e-5, atol=2e-4)


def test_few_spikes_take_the_sparse_way():
    """Guards the tests of `linear`: the kernels are what they compare."""
    spikes = spikes_of(300, 200, 0.02)
    weight = torch.randn(150, 200, requires_grad=True)
    assert "SpikeLinear" in type(F.linear(spikes, weight).grad_fn).__name__
    with F.reference_numerics():
        assert "SpikeLinear" not in type(F.linear(spikes, weight).grad_fn).__name__


@pytest.mark.parametrize("outputs", [1, 15, 16, 17, 33, 48, 49, 63, 64, 65, 80, 246])
@pytest.mark.parametrize("inputs", [1, 7, 8, 9, 31])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
def test_sums_at_the_edges_of_vectors_and_tiles(inputs, outputs, density):
    generator = torch.Generator().manual_seed(inputs * outputs)
    x = (torch.rand(37, inputs, generator=generator) < density).float()
    weight = torch.randn(outputs, inputs, generator=generator)
    grad = torch.randn(37, outputs, generator=generator)
    index = index_of(x)
    assert index is not None and index.count == int(x.sum())
    assert_close(products.sum_weights(index, weight), x @ weight.T, rtol=1e-5, atol=2e-5)
    assert_close(products.sum_gradients(index, grad), grad.T @ x, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0, float("nan"), float("inf"), 1e-40, 1 + 2**-23])
def test_other_numbers_than_0_and_1_are_never_taken_for_spikes(value):
    x = torch.zeros(4, 40)
    x[2, 33] = value
    assert index_of(x) is None
