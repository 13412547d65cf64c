import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxtorch.calibration.measure import fit_decay
from hxtorch.calibration.search import Response, bisect, predict
from hxtorch.calibration.state import refractory_registers
from hxtorch.twin.circuits import refractory_of
from hxtorch.twin.program.config import CommonConfig, NeuronConfig

N = 200


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.6])
def test_predict_corrects_a_wrong_slope(factor: float) -> None:
    rng = np.random.default_rng(0)
    center = rng.uniform(400, 600, N)
    found = predict(
        lambda codes: 80 + factor * 0.3 * (codes - center), np.full(N, 500.0), np.full(N, 80.0), Response(0.3),
        runs=6, average=1, tolerance=1.0,
    )  # fmt: skip
    assert np.abs(found.codes - center).max() < 2
    assert np.abs(found.residual).max() < 0.5
    assert found.success.all()


def test_predict_averages_noise() -> None:
    rng = np.random.default_rng(1)
    spread = {}
    for average in (1, 4):
        found = predict(
            lambda codes: codes + 5 * rng.standard_normal(N), np.full(N, 480.0), np.full(N, 500.0),
            Response(1.0, significant=50), runs=6, average=average, tolerance=50,
        )  # fmt: skip
        spread[average] = found.codes.std()
    assert spread[1] == pytest.approx(5, rel=0.2)
    assert spread[4] == pytest.approx(2.5, rel=0.2)


def test_predict_logarithmic() -> None:
    rng = np.random.default_rng(2)
    constant = np.exp(rng.normal(6.2, 0.4, N))
    found = predict(
        lambda codes: constant / codes**0.9, np.full(N, 50.0), np.full(N, 10.0), Response(-1.0, logarithmic=True,
        significant=0.1), runs=4, average=1, tolerance=0.1, low=1,
    )  # fmt: skip
    assert np.abs(found.codes - (constant / 10) ** (1 / 0.9)).max() < 0.75  # rounded in the logarithm
    assert found.success.all()


def test_predict_fails_at_limits_and_without_values() -> None:
    center = np.array([500.0, -40.0, 2000.0, 500.0])

    def measure(codes: np.ndarray) -> np.ndarray:
        values = codes - center
        values[3] = np.nan
        return values

    found = predict(
        measure, np.full(4, 480.0), np.zeros(4), Response(1.0), runs=4, average=2, tolerance=np.inf
    )  # fmt: skip
    assert found.success.tolist() == [True, False, False, False]
    assert found.codes[:3].tolist() == [500, 0, 1022]
    assert np.isinf(found.residual[3])


@given(st.lists(st.integers(-5, 1030), min_size=1, max_size=20))
def test_bisect_equals_counting(edges: list[int]) -> None:
    edge = np.array(edges)
    codes, success = bisect(lambda codes: codes >= edge, np.zeros(edge.size), np.full(edge.size, 1022.0))
    inside = (edge > 1) & (edge < 1022)
    assert np.array_equal(codes[inside], edge[inside])
    assert np.array_equal(success, inside)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.4, 40), st.floats(0.4, 2.5), st.sampled_from([-1.0, 1.0]), st.integers(0, 10_000))
def test_fit_decay_of_noisy_samples(tau: float, guess: float, sign: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    time = rng.uniform(0, 5 * tau, 600)
    clean = 128 + sign * 80 * np.exp(-time / tau)
    value = np.clip(np.rint(clean[:, None] + 0.8 * rng.standard_normal((600, 40))), 0, 255).astype(np.uint8)
    fitted = fit_decay(time, value.astype(np.float32), np.ones(value.shape, np.float32), np.full(40, tau * guess))
    assert fitted.std() / tau < 0.01
    assert fitted.mean() == pytest.approx(tau, rel=0.01)


def test_fit_decay_ignores_rails_and_refuses_noise() -> None:
    rng = np.random.default_rng(3)
    time = rng.uniform(0, 40, 800)
    decay = 200 + 150 * np.exp(-time / 8)
    flat = 100 + rng.standard_normal(800)
    stuck = np.zeros(800)
    value = np.clip(np.rint(np.stack([decay, flat, stuck], axis=1)), 0, 255).astype(np.uint8)
    on_scale = ((value > 0) & (value < 255)).astype(np.float32)
    fitted = fit_decay(time, value.astype(np.float32), on_scale, np.full(3, 8.0))
    assert fitted[0] == pytest.approx(8, rel=0.02)
    assert np.isnan(fitted[1:]).all()


@settings(deadline=None, max_examples=60)
@given(st.floats(0.04, 32), st.floats(1, 60))
def test_refractory_registers(shortest: float, ratio: float) -> None:
    time = np.geomspace(shortest, shortest * ratio, 512)
    counter, clock, scales = refractory_registers(time)
    config = NeuronConfig(refractory_counter=counter, refractory_clock=clock)
    actual = refractory_of(config, CommonConfig(refractory_clock_scale=scales))
    error = np.abs(actual / time - 1)
    assert error.max() < (0.06 if shortest > 0.25 else 0.11)
    if shortest > 0.25:
        assert counter.min() >= 15  # 30 wherever two clocks suffice for that


def test_refractory_time_of_two_microseconds() -> None:
    counter, clock, (fast, _) = refractory_registers(np.full(512, 2.0))
    assert np.all(counter >= 30) and np.all(clock == 0)
    assert counter[0] * 2.0 ** (fast + 1) / 250 == pytest.approx(2.0, rel=1e-9)
