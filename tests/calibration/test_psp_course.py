"""The fit of trains of PSPs: drives that do not depend on what the time constants turn out to be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxtorch.calibration.psp import PHASES, PspCourse, settled_psp


def integrated(time: np.ndarray, tau_mem: float, tau_syn: float, period: float) -> np.ndarray:
    """A settled train, by summing up single PSPs, each of them integrated by small Euler steps."""
    h = 1e-3
    steps = round(40 * max(tau_mem, tau_syn) / h)
    current, v, psp = 1.0, 0.0, np.zeros(steps)
    for step in range(steps):
        psp[step] = v
        v += h * (current - v / tau_mem)
        current -= h * current / tau_syn
    total = np.zeros_like(time)
    for earlier in range(int(steps * h / period)):
        total += np.interp(time + earlier * period, h * np.arange(steps), psp, right=0.0)
    return total


@pytest.mark.parametrize(("tau_mem", "tau_syn", "period"), [(6.0, 6.0, 17.0), (10.0, 4.0, 9.0), (5.0, 12.0, 20.0)])
def test_the_course_is_that_of_the_differential_equation(tau_mem: float, tau_syn: float, period: float) -> None:
    time = np.linspace(0, period, 30, endpoint=False)
    course = settled_psp(time, np.array([tau_mem]), np.array([tau_syn]), period)[:, 0]
    np.testing.assert_allclose(course, integrated(time, tau_mem, tau_syn, period), rtol=4e-3, atol=2e-3)


def samples(
    drive: np.ndarray, tau_mem: np.ndarray, tau_syn: np.ndarray, period: float, noise: float
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Four samples in each piece of a period, about a baseline of 70, and that baseline from 60 samples."""
    rng = np.random.default_rng(3)
    time = (np.arange(PHASES) + 0.5) * period / PHASES
    value = 70 + drive * settled_psp(time, tau_mem, tau_syn, period)
    value += rng.normal(0, noise / 2, value.shape)
    baseline = 70 + rng.normal(0, noise / np.sqrt(60), drive.size)
    return (time, value.astype(np.float32), np.full(value.shape, 4, dtype=np.float32)), baseline


@settings(max_examples=30, deadline=None)
@given(
    mem=st.floats(-0.05, 0.05),
    syn=st.floats(-0.05, 0.05),
    tau=st.sampled_from([(6.0, 6.0), (10.0, 5.0), (5.0, 10.0)]),
    sign=st.sampled_from([-1.0, 1.0]),
)
def test_drives_come_out_whatever_the_time_constants_are(
    mem: float, syn: float, tau: tuple[float, float], sign: float
) -> None:
    expected = [np.full(1, value) for value in tau]
    drive = np.full(1, 17.0 * sign)
    gathered, baseline = samples(drive, expected[0] * np.exp(mem), expected[1] * np.exp(syn), 17.0, noise=0)
    found = PspCourse.around(*expected, 17.0).drive(slice(0, 1), gathered, baseline, 60)
    assert found[0] == pytest.approx(drive[0], rel=0.01)  # where an area would be off by mem + syn: up to 10 %


def test_noise_moves_a_drive_by_less_than_a_cell_does() -> None:
    n = 400
    tau_mem, tau_syn = np.full(n, 6.0), np.full(n, 6.0)
    gathered, baseline = samples(np.full(n, 17.0), tau_mem, tau_syn, 17.0, noise=1.2)
    found = PspCourse.around(tau_mem, tau_syn, 17.0).drive(slice(0, n), gathered, baseline, 60)
    assert abs(found.mean() / 17.0 - 1) < 1e-3 and found.std() / 17.0 < 0.01
    assert np.isnan(PspCourse.around(tau_mem, tau_syn, 17.0).drive(slice(0, n), gathered, baseline, 0)).all()
