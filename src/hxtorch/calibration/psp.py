r"""The course of PSPs in a regular train, and what its amplitude says about the strength of an input.

An event lets the current of an input jump by the drive D (LSB/µs), which then decays with tau_syn; the membrane
answers with

    V(t) = D tau_mem tau_syn / (tau_mem - tau_syn) [exp(-t / tau_mem) - exp(-t / tau_syn)].

In a train of period P that has settled, each exp(-t / tau) is exp(-t / tau) / (1 - exp(-P / tau)) for 0 <= t < P.
The area of a PSP goes with both time constants, whose cells take another error every time they are written. So they
are fitted along with the drive, as small deviations from where they are expected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.shapes import Array

Single = NDArray[np.float32]

PHASES = 200  # of a period, into which samples are gathered
CELL_SPREAD = 0.04  # relative, of a time constant about where it is expected: what the fit may make use of
SAMPLE_VARIANCE = 1.5  # LSB^2, of one CADC sample
_STEP = 0.02  # of log(tau), for derivatives


@dataclass(frozen=True, eq=False)
class PspCourse:
    """What the fit of trains of a `period` (µs) goes by.

    `columns` (3, PHASES, N): V for a drive of 1, and its derivatives by the logarithms of tau_mem and tau_syn.
    """

    columns: Single
    period: float

    @classmethod
    def around(cls, tau_mem: Array, tau_syn: Array, period: float) -> PspCourse:
        """Return the courses of circuits with about these time constants (N,) in µs."""
        time = (np.arange(PHASES) + 0.5) * period / PHASES

        def course(mem: float, syn: float) -> Array:
            return settled_psp(time, tau_mem * np.exp(mem), tau_syn * np.exp(syn), period)

        by_mem = (course(_STEP, 0) - course(-_STEP, 0)) / (2 * _STEP)
        by_syn = (course(0, _STEP) - course(0, -_STEP)) / (2 * _STEP)
        return cls(np.stack([course(0, 0), by_mem, by_syn]).astype(np.float32), period)

    def drive(self, chosen: slice, gathered: tuple[Array, Single, Single], baseline: Array, samples: int) -> Array:
        """Drives (LSB/µs) of the `chosen` circuits, each with its own baseline and time constants.

        Without samples they are nan. `gathered`: times (P,) after an event, and the means and numbers (P, N) of
        the samples there; `baseline` (N,): mean of so many `samples` before the first event.
        """
        time, value, number = gathered
        if not time.size or not samples:
            return np.full(baseline.size, np.nan)
        piece = np.clip((time / self.period * PHASES).astype(np.int64), 0, PHASES - 1)
        value = value - baseline.astype(np.float32)
        columns = [np.ones_like(value), *self.columns[:, piece, chosen]]
        normal, force = np.empty((baseline.size, 4, 4)), np.empty((baseline.size, 4))
        for i, column in enumerate(columns):
            weighted = number * column
            force[:, i] = np.einsum("mn,mn->n", weighted, value)
            for k in range(i + 1):
                normal[:, i, k] = normal[:, k, i] = np.einsum("mn,mn->n", weighted, columns[k])
        normal[:, 0, 0] += samples  # they say that the baseline is where it was taken
        # the drive without deviations of the time constants tells how large those may be
        rough = force[:, 1] / np.maximum(normal[:, 1, 1], 1e-9)
        prior = SAMPLE_VARIANCE / np.maximum(CELL_SPREAD * np.abs(rough), 1e-6) ** 2
        normal[:, 2, 2] += prior
        normal[:, 3, 3] += prior
        normal[:, 1, 1] += 1e-9
        return np.asarray(np.linalg.solve(normal, force[:, :, None])[:, 1, 0])


def settled_psp(time: Array, tau_mem: Array, tau_syn: Array, period: float) -> Array:
    """Membrane (M, N) at the times (M,) after each event of a settled train, per unit of drive."""
    tau_syn = np.where(np.abs(tau_mem / tau_syn - 1) < 1e-3, 1.002 * tau_mem, tau_syn)  # the formula's limit

    def decay(tau: Array) -> Array:
        return np.exp(-time[:, None] / tau) / -np.expm1(-period / tau)

    return tau_mem * tau_syn / (tau_mem - tau_syn) * (decay(tau_mem) - decay(tau_syn))
