"""Times that were meant to be on the grid are in their step, whatever type they were rounded to."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hxtorch.snn.transforms.encode import CoordinatesToSpikes, SpikeTimesToDense, SpikeTimesToSparseTensor

STEPS = 20_001
NUMBERS = torch.arange(STEPS)
WAYS = {
    "float32 product": lambda dt: torch.arange(STEPS) * dt,
    "float64 product": lambda dt: torch.arange(STEPS, dtype=torch.float64) * dt,
    "rounded": lambda dt: (torch.arange(STEPS, dtype=torch.float64) * dt).float(),
    "rounded, then widened": lambda dt: (torch.arange(STEPS, dtype=torch.float64) * dt).float().double(),
    "linspace": lambda dt: torch.linspace(0, (STEPS - 1) * dt, STEPS),
    "arange": lambda dt: torch.arange(0, (STEPS - 0.5) * dt, dt)[:STEPS],
    "from thousands": lambda dt: torch.arange(STEPS) * (dt * 1e3) * 1e-3,
    "quotient": lambda dt: torch.arange(STEPS) / round(1 / dt, 6),
    "sum in double precision": lambda dt: np.cumsum(np.full(STEPS, dt)) - dt,
    "numpy": lambda dt: np.arange(STEPS, dtype=np.float32) * np.float32(dt),
    "list": lambda dt: [k * dt for k in range(STEPS)],
    "list of float32": lambda dt: (torch.arange(STEPS) * dt).tolist(),
}


def bins(times, width, size):
    """The bin of each time; -1 where there is none."""
    found = torch.full((len(times),), -1)
    step, place = SpikeTimesToSparseTensor(width, size)(times).coalesce().indices()
    found[place] = step
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dt", [1e-6, 1e-7, 2e-6, 0.5e-6, 1.7e-6, 3e-6])
def test_every_step_holds_its_own_time(dt, way):
    assert torch.equal(bins(WAYS[way](dt), dt, STEPS), NUMBERS)


@pytest.mark.parametrize(("count", "dt"), [(2000, 1e-6), (5000, 1e-7)])
def test_no_two_times_of_a_train_merge(count, dt):
    """One neuron, a spike in every step: as many spikes as steps."""
    dense = SpikeTimesToDense(dt, count)(torch.arange(count) * dt)
    assert torch.equal(dense, torch.eye(count, dtype=torch.int64))


@settings(max_examples=200, deadline=None)
@given(
    step=st.integers(0, 20_000),
    dt=st.floats(1e-8, 1e2),
    part=st.fractions(Fraction(1, 50), Fraction(49, 50)),
    kind=st.sampled_from([torch.float32, torch.float64]),
)
def test_times_between_two_steps_are_in_the_earlier_one(step, dt, part, kind):
    on_grid, between = torch.tensor([step * dt, float((step + part) * Fraction(dt))], dtype=torch.float64).to(kind)
    assert bins(on_grid[None], dt, step + 1).tolist() == [step]
    assert bins(between[None], dt, step + 1).tolist() == [step]
    assert bins(on_grid[None], dt, max(step, 1)).tolist() == [-1 if step else 0], "the end is no bin"


@pytest.mark.parametrize("width", [np.float32(1e-7), torch.tensor(1e-7), np.float64(1e-7)])
def test_a_width_may_be_rounded_itself(width):
    assert torch.equal(bins(torch.arange(STEPS, dtype=torch.float64) * 1e-7, width, STEPS), NUMBERS)


@pytest.mark.parametrize(("kind", "count"), [(torch.float16, 500), (torch.bfloat16, 64)])
@pytest.mark.parametrize("width", [1.0, 1e-3, 1e-6])
def test_short_types_as_long_as_they_can_tell_steps_apart(kind, count, width):
    times = (torch.arange(count, dtype=torch.float64) * width).to(kind)
    assert torch.equal(bins(times, width, count), torch.arange(count))


@pytest.mark.parametrize(("kind", "step"), [(torch.float16, 3000), (torch.bfloat16, 300), (torch.float32, 2**25)])
def test_types_that_cannot_tell_steps_apart_are_refused(kind, step):
    times = torch.tensor([step], dtype=kind)
    with pytest.raises(ValueError, match=rf"{kind}.* apart, but a step is 1 long.*wider type"):
        SpikeTimesToSparseTensor(1.0, step + 10)(times)
    assert SpikeTimesToDense(1.0, 10)(times).sum() == 0, "far behind the end it does not matter"


def test_integers_are_times():
    assert bins(torch.arange(7), 2, 4).tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert bins(np.arange(10, dtype=np.uint16), 0.1, 91).tolist() == list(range(0, 91, 10))


def test_the_end_and_infinity_are_no_spikes():
    end = 38 * 1e-6
    times = torch.tensor([37e-6, end, torch.tensor(end).item(), 1.0, torch.inf], dtype=torch.float64)
    for given_times in (times, times.float(), times.tolist(), times.numpy()):
        assert bins(given_times, 1e-6, 38).tolist() == [37, -1, -1, -1, -1]


@pytest.mark.parametrize("time", [-0.3e-6, -1.5e-6, -torch.inf, torch.nan])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_times_in_no_bin_are_refused(time, kind):
    for encode in (SpikeTimesToDense, SpikeTimesToSparseTensor):
        with pytest.raises(ValueError, match=rf"time at \(1, 0\) is {time:g}.*inf where there is no spike"):
            encode(1e-6, 10)(torch.tensor([[0.0], [time]], dtype=kind))


def test_zero_less_a_rounding_is_zero():
    assert bins(torch.tensor([-0.0, -1e-22], dtype=torch.float64), 1e-6, 3).tolist() == [0, 0]


@pytest.mark.parametrize("arguments", [(0.0,), (-1e-6,), (float("nan"),), (float("inf"),), (1e-6, 0), (1e-6, -5)])
def test_grids_that_cannot_be_are_refused(arguments):
    with pytest.raises(ValueError, match=r"(bin_width|size) is "):
        SpikeTimesToDense(*arguments)


def test_a_number_of_bins_is_whole():
    with pytest.raises(TypeError, match=r"size is 2\.5"):
        SpikeTimesToDense(1e-6, 2.5)
    with pytest.raises(TypeError, match="bin_width is '1e-6'"):
        SpikeTimesToDense("1e-6")


@pytest.mark.parametrize("dt", [1e-6, 1e-7, 0.5e-6, 1.7e-6])
def test_a_bias_on_the_grid_is_in_its_row(dt):
    for k in (*range(100), 999, 4097):
        spikes = CoordinatesToSpikes(5000, 0.0, dt, dt, t_bias=k * dt)([[0.0]])
        assert spikes[:, 0, 1].nonzero().tolist() == [[k]]
    between = CoordinatesToSpikes(10, 0.0, dt, dt, t_bias=3.9 * dt)([[0.0]])
    assert between[:, 0, 1].argmax() == 3


def rows(coordinates, *arguments):
    return CoordinatesToSpikes(*arguments)(coordinates).argmax(0)


@settings(max_examples=200, deadline=None)
@given(
    steps=st.integers(1, 4000),
    early=st.integers(0, 100),
    numerator=st.integers(0, 4000),
    dt=st.sampled_from([1e-6, 1e-7, 0.5e-6, 1.7e-6]),
    kind=st.sampled_from([torch.float32, torch.float64]),
)
def test_coordinates_are_in_the_nearest_row_and_ties_in_the_even_one(steps, early, numerator, dt, kind):
    """Against exact fractions, with coordinates that mean half and whole rows."""
    c = Fraction(min(numerator, 2 * steps), 2 * steps)
    given_c = torch.tensor([[c.numerator / c.denominator]], dtype=torch.float64).to(kind)
    expected = round(early + c * steps)  # of a fraction: exact, half to even
    assert rows(given_c, early + steps + 1, early * dt, (early + steps) * dt, dt).tolist() == [[expected]]


def test_coordinates_of_one_minus_x_have_the_ties_of_their_value():
    """1 - 0.999 in float32 is 0.00099999, and means 0.001: of 1500 rows it is 1.5, which goes to the even 2."""
    x = torch.tensor([[0.999]])
    assert rows(1 - x, 2000, 0.0, 1.5e-3).tolist() == rows([[0.001]], 2000, 0.0, 1.5e-3).tolist() == [[2]]


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_no_row_for_the_end_and_for_what_is_no_number(kind):
    with pytest.raises(ValueError, match=r"rows 0\.\.12, but there are 12"):
        CoordinatesToSpikes(12, 0.0, 12e-6)(torch.tensor([[0.0, 1.0]], dtype=kind))
    with pytest.raises(ValueError, match=r"rows 0\.\.12, but there are 12"):
        CoordinatesToSpikes(12, 0.0, 5e-6, t_bias=12e-6)(torch.tensor([[0.0]], dtype=kind))
    for value in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match=rf"coordinate at \(0, 1\) is {value:g}"):
            CoordinatesToSpikes(20, 0.0, 12e-6)(torch.tensor([[0.0, value]], dtype=kind))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((0, 0.0, 1e-6), "seq_length"),
        ((5, float("nan"), 1e-6), "t_early"),
        ((5, 0.0, float("inf")), "t_late"),
        ((5, 0.0, 1e-6, 0.0), "dt"),
        ((5, 0.0, 1e-6, 1e-6, float("nan")), "t_bias"),
    ],
)
def test_coordinates_need_a_grid(arguments, name):
    with pytest.raises(ValueError, match=f"{name} is "):
        CoordinatesToSpikes(*arguments)
