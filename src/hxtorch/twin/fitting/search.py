"""The search of `hxtorch.twin.fit` for the parameters of one circuit, and the choice between its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.shapes import Array

LARGEST_MOVE = 1.0  # of a parameter in one iteration, in standard deviations of its prior
OUTLIER = 4.0  # standard deviations beyond which an observation counts less
MOST = OUTLIER**2 / 2 + 2.0  # cost of an observation when results are compared: noise makes single spikes early
LACKING = 2.0  # cost of a spike that the model lacks
ANNEALING = 0.6  # factor on the assumed excess of the residuals, per iteration
APART = 2.0  # standard deviations between parameters of two results that are not the same


@dataclass(frozen=True, eq=False)
class Seen:
    """Observations of one circuit under some parameters: `residual` and `derivative` in units of the noise."""

    residual: Array
    derivative: Array
    kind: NDArray[np.int64]

    def equations(self, excess: Array) -> tuple[Array, Array]:
        """Normal matrix and gradient, with outliers at less weight."""
        known = np.isfinite(self.residual)
        scale = excess[self.kind[known]]
        r, j = self.residual[known] / scale, self.derivative[known] / scale[:, None]
        weighted = j * np.minimum(1.0, OUTLIER / np.maximum(np.abs(r), 1e-9))[:, None]
        return weighted.T @ j, weighted.T @ r

    def cost(self, excess: Array, most: float = np.inf) -> float:
        """Negative logarithm of the likelihood; spikes that the model lacks may be what noise has brought about.

        An observation costs `most` at most.
        """
        size = np.abs(self.residual) / excess[self.kind]
        known = np.isfinite(size)
        size = size[known]
        cost = np.where(size < OUTLIER, size**2 / 2, OUTLIER * (size - OUTLIER / 2))
        return float(np.minimum(cost, most).sum()) + LACKING * float(np.count_nonzero(~known))


class CircuitSearch:
    """The search for one circuit (Levenberg and Marquardt): its best parameters and the `trial` to see next.

    `excess` says by how much the residuals of spikes and of CADC samples are taken to be wider than noise explains;
    it shrinks, so that the search begins with a smooth landscape. `damping` shortens steps after one that made it
    worse.
    """

    def __init__(self, sigma: Array, start: Array | None = None) -> None:
        self.precision = 1 / sigma**2
        self.limit = LARGEST_MOVE * sigma
        self.best = self.trial = np.zeros(sigma.size) if start is None else start
        self.excess = np.full(2, np.inf)
        self.damping = 0.1
        self.seen: Seen | None = None

    def judge(self, seen: Seen) -> None:
        """Take or leave the trial, and choose the next one."""
        if self.seen is None or self._cost(seen, self.trial) < self._cost(self.seen, self.best):
            self.best, self.seen = self.trial, seen
            self.damping = max(self.damping / 4, 1e-5)
        else:
            self.damping = min(self.damping * 8, 1e2)
        self.excess = np.minimum(_excess(self.seen), np.maximum(ANNEALING * self.excess, 1.0))
        normal, gradient = self.seen.equations(self.excess)
        normal = normal + np.diag(self.precision)
        damped = normal + self.damping * np.diag(np.diagonal(normal))
        step = -np.linalg.solve(damped, gradient + self.best * self.precision)
        self.trial = self.best + np.clip(step, -self.limit, self.limit)

    def _cost(self, seen: Seen, theta: Array) -> float:
        excess = np.where(np.isfinite(self.excess), self.excess, _excess(seen))
        return seen.cost(excess) + self.prior_cost(theta)

    def prior_cost(self, theta: Array) -> float:
        """Negative logarithm of the probability of parameters before any recording."""
        return float(np.sum(theta**2 * self.precision)) / 2

    def covariance(self) -> Array:
        """Covariance of the parameters, with residuals as wide as they are."""
        if self.seen is None:
            return np.diag(1 / self.precision)
        normal, _ = self.seen.equations(_excess(self.seen))
        return np.asarray(np.linalg.inv(normal + np.diag(self.precision)))

    def spread(self) -> Array:
        """Standard deviations of the parameters."""
        return np.sqrt(np.diagonal(self.covariance()))


def _excess(seen: Seen) -> Array:
    """How much wider than expected the middle of the residuals is: of spikes, and of CADC samples."""
    excess = np.ones(2)
    for k in (0, 1):
        own = np.abs(seen.residual[(seen.kind == k) & np.isfinite(seen.residual)])
        if own.size >= 20:
            excess[k] = max(1.0, float(np.median(own)) / 0.6745)
    return excess


@dataclass(frozen=True, eq=False)
class Choice:
    """The best explanation of a circuit.

    `best`: its parameters. `spread`: their standard deviations about `best`, in which the other explanation counts
    with the probability `other` (0 if both are the same within their spread). `covariance`: that of `best` alone.
    """

    best: Array
    spread: Array
    other: float
    covariance: Array


def better(first: CircuitSearch, second: CircuitSearch) -> CircuitSearch:
    """Return the more probable of two results, by residuals as wide as those of the better one."""
    return first if np.argmin(_costs([first, second])) == 0 else second


def choose(searches: Sequence[CircuitSearch], doubt: float = 1.0) -> Choice:
    """Take the most probable of the results that searches for the same circuit ended with.

    The other explanation is the most probable one that is not the same. `doubt` says by how much the variance of
    what a model cannot explain exceeds that of the noise: differences of the cost count less by it, and variances
    more, up to those of the distributions of a die.
    """

    def spread_of(search: CircuitSearch) -> Array:
        return np.asarray(np.minimum(np.sqrt(doubt) * search.spread(), np.sqrt(1 / search.precision)))

    costs = _costs(searches, doubt)
    order = np.argsort(costs, kind="stable")
    best = searches[order[0]]
    own, limit, covariance = spread_of(best), APART * best.spread(), doubt * best.covariance()
    for n in order[1:]:
        far = searches[n].best - best.best
        if searches[n].seen is not None and np.any(np.abs(far) > limit):
            other = float(1 / (1 + np.exp(min(costs[n] - costs[order[0]], 500.0))))
            spread = np.sqrt((1 - other) * own**2 + other * (spread_of(searches[n]) ** 2 + far**2))
            return Choice(best.best, spread, other, covariance)
    return Choice(best.best, own, 0.0, covariance)


def _costs(searches: Sequence[CircuitSearch], doubt: float = 1.0) -> Array:
    """Negative logarithms of the probabilities of results, with residuals as wide as those of the best one."""
    seen = [search.seen for search in searches]
    excess = np.min([np.full(2, np.inf) if s is None else _excess(s) for s in seen], axis=0)
    return np.array(
        [
            np.inf if one is None else one.cost(excess, MOST) / doubt + search.prior_cost(search.best)
            for one, search in zip(seen, searches, strict=True)
        ]
    )
