r"""A twin of a chip from recordings: the pattern that best explains spike times and membranes.

The membrane of a circuit that has not fired yet is a smooth function V(t; theta) of its parameters theta. Its first
spike comes when V crosses the threshold, and that time moves with a parameter as

    dt/dtheta = -(dV/dtheta - dV_threshold/dtheta) / (dV/dt).

CADC samples before that spike give V itself, up to the offset of the channel. V comes from the virtual chip, its
derivatives from differences between runs, for all circuits at the same time. Gauss-Newton steps find the most
probable theta under the distributions of `hxtorch.twin.pattern.process`; the curvature there gives its uncertainty.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from hxtorch.shapes import Array
from hxtorch.twin.circuits import circuit_parameters
from hxtorch.twin.circuits.sampling import cadc_conversion
from hxtorch.twin.fitting.data import Observations, Recorded, Source, observe, recorded_circuits, sources_of, subset
from hxtorch.twin.fitting.score import judge
from hxtorch.twin.fitting.search import Choice, CircuitSearch, Seen, better, choose
from hxtorch.twin.pattern import process as p
from hxtorch.twin.pattern.fixed_pattern import FixedPattern

P = TypeVar("P", bound=FixedPattern)

LOGARITHMIC = {"leak_conductance", "tau_exc", "tau_inh", "gain_exc", "gain_inh", "synapse"}
STEP = 0.02  # of the logarithmic parameters, for derivatives
DELAY_SPREAD = 0.4  # relative, of the comparator's delay (E: no public number)
START_THRESHOLDS = np.arange(-2.5, 2.6, 0.5)  # standard deviations of the prior
NOMINAL_DOUBT = 8.0  # excess of the variance from a nominal start, whose rest potentials and offsets are off
EVEN = 0.1  # ratio (log) of time constants up to which their order does not matter
MIRRORED = 2  # searches that start from the best explanation so far with its time constants swapped
AMBIGUOUS = 0.02  # probability of the other explanation
NEVER = 1e6  # µs, how late a spike is that does not come
MEMBRANE_NOISE = 0.4  # LSB, of membrane and comparator (see `Noise`)
TIME_NOISE = 0.01  # µs, grid of the time stamps
CADC_NOISE = 1.1  # LSB, of a sample with the shift between runs (see `Noise`)


def _total(*spreads: p.Fact) -> float:
    return float(np.sqrt(sum(fact.value**2 for fact in spreads)))


PRIORS: dict[str, float] = {
    # the distance between leak and threshold, all of it counted as threshold
    "threshold_code": float(
        np.hypot(
            _total(p.THRESHOLD_SPREAD, p.THRESHOLD_QUADRANT_SPREAD),
            _total(p.LEAK_SPREAD, p.LEAK_QUADRANT_SPREAD) * p.LEAK_SLOPE.value / p.THRESHOLD_SLOPE.value,
        )
    ),
    "spike_delay": DELAY_SPREAD,
    "leak_conductance": _total(p.LEAK_CONDUCTANCE_SPREAD, p.LEAK_CONDUCTANCE_QUADRANT_SPREAD),
    "tau_exc": _total(p.TAU_SYN_SPREAD, p.TAU_SYN_QUADRANT_SPREAD),
    "tau_inh": _total(p.TAU_SYN_SPREAD, p.TAU_SYN_QUADRANT_SPREAD),
    "gain_exc": _total(p.GAIN_SPREAD, p.GAIN_QUADRANT_SPREAD, p.GAIN_CHIP_SPREAD),
    "gain_inh": _total(p.GAIN_SPREAD, p.GAIN_QUADRANT_SPREAD, p.GAIN_CHIP_SPREAD),
    "cadc_channel": _total(p.CADC_CHANNEL_SPREAD),
    "synapse": _total(p.SYNAPSE_SPREAD, p.DRIVER_SPREAD),
}
"""Standard deviations of the parameters before any recording; logarithmic for those in `LOGARITHMIC`."""


@dataclass(frozen=True, eq=False)
class Fit(Generic[P]):
    """A fitted die and how sure it is.

    * `die`: the twin; circuits that were not recorded are as in the start.
    * `circuits` (N,): the recorded circuits. `uncertainty`: effect -> (N,), standard deviation of what was fitted:
      codes for `threshold_code`, LSB for `cadc_channel`, relative for the others; of `synapse` (N, sources).
    * `swapped` (N,): probability that membrane and excitatory input have each other's time constant, by what the
      recordings and the distributions of a die say; 0 where there is one explanation only. The `uncertainty`
      includes it; see `ambiguous`.
    * `residual`, `start_residual`: half the width (µs) of the central 68 % of the differences between predicted and
      recorded first spikes of batch entries that the fit did not see, for the fit and for its start.
    * `agreement`, `start_agreement`: part of the held-out (entry, circuit) pairs of which it is predicted right
      whether there is a spike at all. `held_out`: number of first spikes that were compared.
    * `membrane_residual`, `start_membrane_residual`: the width as above of the differences (LSB) of held-out CADC
      samples. What was not recorded is nan.
    """

    die: P
    circuits: NDArray[np.int64]
    uncertainty: dict[str, Array]
    swapped: Array
    residual: float
    start_residual: float
    agreement: float
    start_agreement: float
    held_out: int
    membrane_residual: float
    start_membrane_residual: float

    @property
    def ambiguous(self) -> NDArray[np.int64]:
        """Circuits that two sets of time constants explain: the other one with a probability above `AMBIGUOUS`."""
        return self.circuits[self.swapped > AMBIGUOUS]

    @property
    def explained(self) -> float:
        """Part of the variance of the start's errors in held-out spikes, else membranes, that the fit explains."""
        now, before = self.residual, self.start_residual
        if not np.isfinite(now):
            now, before = self.membrane_residual, self.start_membrane_residual
        return 1 - (now / before) ** 2 if before else 0.0

    def __repr__(self) -> str:
        told = [f"Fit({self.die.identifier!r}, {self.circuits.size} circuits"]
        if np.isfinite(self.residual):
            told.append(f"held-out spikes within {self.residual:.3f} µs, before {self.start_residual:.3f} µs")
        if np.isfinite(self.membrane_residual):
            now, before = self.membrane_residual, self.start_membrane_residual
            told.append(f"held-out membranes within {now:.2f} LSB, before {before:.2f} LSB")
        return f"{', '.join(told)}, {self.ambiguous.size} ambiguous)"


def fit_pattern(
    recordings: Sequence[Recorded],
    start: P,
    *,
    doubt: float,
    samples: int,
    iterations: int,
    held_out: float,
    seed: int,
) -> Fit[P]:
    """Infer a die of the kind of `start` from recordings; `hxtorch.twin.die.fit_die` says what is fitted.

    `doubt` is the excess of the variance of the residuals that the `start` does not explain.
    """
    if not recordings:
        raise ValueError("A fit needs at least one recording, a pair of a program and what a chip recorded for it.")
    if not 0 < held_out < 1:
        raise ValueError(f"The held-out part is {held_out}, but it lies between 0 and 1.")
    # the errors of CapMem cells in the configuration of the recordings are part of what is fitted
    die = replace(start, capmem_error=0.0)
    rng = np.random.default_rng(seed)
    training, test = [], []
    for program, recording in recordings:
        order = rng.permutation(program.batch_size)
        cut = max(1, round(held_out * program.batch_size))
        if cut == program.batch_size:
            raise ValueError("A recording of a single batch entry leaves nothing to hold out. Record more entries.")
        share = max(1, samples // len(recordings))
        training.append(subset((program, recording), np.sort(order[cut : cut + share])))
        test.append(subset((program, recording), np.sort(order[:cut])))
    circuits = np.unique(np.concatenate([recorded_circuits(item) for item in training]))
    data = [observe(item, circuits, rng) for item in training]
    if not any(item.size for item in data):
        raise ValueError("The recordings hold no spikes and no CADC samples to fit. Record one of both.")
    fitted, uncertainty, swapped = _search(die, data, circuits, iterations, doubt)
    number = zlib.crc32(b"".join(getattr(fitted, name).tobytes() for name in uncertainty))
    fitted = replace(fitted, identifier=f"fit of {die.identifier} ({number:08x})")
    after, before = judge(fitted, test, circuits), judge(die, test, circuits)
    return Fit(
        die=fitted,
        circuits=circuits,
        uncertainty=uncertainty,
        swapped=swapped,
        residual=after.residual,
        start_residual=before.residual,
        agreement=after.agreement,
        start_agreement=before.agreement,
        held_out=after.compared,
        membrane_residual=after.membrane_residual,
        start_membrane_residual=before.membrane_residual,
    )


# --- Search -------------------------------------------------------------------------------------------------


def _search(
    die: P, data: list[Observations], circuits: NDArray[np.int64], iterations: int, doubt: float
) -> tuple[P, dict[str, Array], Array]:
    """Fitted die, uncertainties, and probabilities (N,) that membrane and input have each other's time constant."""
    sources = sources_of(data)
    names = [name for name in PRIORS if name != "synapse"]
    if not any(item.cadc_value.size for item in data):
        names.remove("cadc_channel")
    columns = [*((name, -1) for name in names), *(("synapse", s) for s in range(len(sources)))]
    sigma = np.array([PRIORS[name] for name, _ in columns])
    found = [CircuitSearch(sigma) for _ in circuits]
    _choose_thresholds(die, data, circuits, columns, found)
    _iterate(die, data, circuits, columns, sources, found, iterations)
    results = [found]
    for _ in range(MIRRORED):  # a search may end halfway, and so may the one for the other order
        theta = np.stack([reduce(better, circuit).best for circuit in zip(*results, strict=True)])
        starts = _swapped(_moved(die, circuits, columns, theta, sources), data[0], circuits, columns, theta)
        results.append([CircuitSearch(sigma, own) for own in starts])
        _iterate(die, data, circuits, columns, sources, results[-1], iterations)
    chosen: list[Choice] = [choose(circuit, doubt) for circuit in zip(*results, strict=True)]
    theta = np.stack([choice.best for choice in chosen])
    spread = np.stack([choice.spread for choice in chosen])
    uncertainty = {name: spread[:, i] for i, name in enumerate(names)}
    if sources:
        uncertainty["synapse"] = spread[:, len(names) :]
    fitted = _moved(die, circuits, columns, theta, sources)
    other = np.array([choice.other for choice in chosen])
    own = circuit_parameters(data[0].config, fitted)
    pair = [names.index("leak_conductance"), names.index("tau_exc")]
    doubtful = np.sqrt([choice.covariance[np.ix_(pair, pair)].sum() for choice in chosen])
    if doubt > 1:  # one broad explanation may hold both orders, too
        order = np.abs(np.log(own.tau_mem / own.tau_exc))[circuits]
        other = np.maximum(other, _tail((order + EVEN) / doubtful))
    return fitted, uncertainty, other


def _tail(far: Array) -> Array:
    """Probability that a number of Student's distribution with three degrees of freedom exceeds `far`.

    What the nominal design lacks is not normal: a circuit in ten is off by more than twice its uncertainty.
    """
    t = far / np.sqrt(3)
    return np.asarray(0.5 - (t / (1 + t**2) + np.arctan(t)) / np.pi)


def _iterate(
    die: FixedPattern, data: list[Observations], circuits: NDArray[np.int64], columns: list[tuple[str, int]],
    sources: list[Source], found: list[CircuitSearch], iterations: int,
) -> None:  # fmt: skip
    """Let every circuit try its next parameters and judge them, all at the same time."""
    for _ in range(iterations):
        trial = np.stack([circuit.trial for circuit in found])
        moved = _moved(die, circuits, columns, trial, sources)
        rows = [_equations(moved, circuits, columns, item, sources) for item in data]
        number, residual, jacobian, expected, kind = (np.concatenate(part) for part in zip(*rows, strict=True))
        for n, circuit in enumerate(found):
            own = number == n
            noise = expected[own]
            circuit.judge(Seen(residual[own] / noise, jacobian[own] / noise[:, None], kind[own]))


def _swapped(
    die: FixedPattern, data: Observations, circuits: NDArray[np.int64], columns: list[tuple[str, int]], theta: Array
) -> Array:
    """Parameters with which membrane and excitatory input take each other's time constant.

    Excitatory PSPs stay as they are; of the inhibitory ones the delay stays, the sum of both time constants. What
    a constant current adds to the rest potential changes with the membrane's, and the threshold goes along.
    """
    own = circuit_parameters(data.config, die)
    tau_mem, tau_exc, tau_inh, static = (v[circuits] for v in (own.tau_mem, own.tau_exc, own.tau_inh, own.static))
    moved = theta.copy()

    def move(name: str, by: Array) -> None:
        moved[:, columns.index((name, -1))] += by

    ratio = np.log(tau_mem / tau_exc)
    move("leak_conductance", ratio)
    move("tau_exc", ratio)
    move("tau_inh", np.log(np.maximum(tau_mem + tau_inh - tau_exc, tau_inh / 4) / tau_inh))
    rest = static * (tau_exc - tau_mem)
    move("threshold_code", -rest / p.THRESHOLD_SLOPE.value)
    if ("cadc_channel", -1) in columns:
        move("cadc_channel", -rest * cadc_conversion(data.config.common, die)[0][circuits])
    return moved


def _choose_thresholds(
    die: FixedPattern, data: list[Observations], circuits: NDArray[np.int64], columns: list[tuple[str, int]],
    found: list[CircuitSearch],
) -> None:  # fmt: skip
    """Start every circuit at the best of a row of thresholds: one that never fires has no slope to follow."""
    column = columns.index(("threshold_code", -1))
    nearest = np.full(circuits.size, np.inf)
    for shift in START_THRESHOLDS * PRIORS["threshold_code"]:
        theta = np.zeros(len(columns))
        theta[column] = shift
        every = np.full((circuits.size, 1), shift)
        moved = _moved(die, circuits, columns[column : column + 1], every, [])
        late = [item.residual(moved, item.predict(moved))[item.kind == 0] for item in data]
        number = np.concatenate([item.circuit[item.kind == 0] for item in data])
        distance = np.nan_to_num(np.abs(np.concatenate(late)), nan=NEVER)
        for n, circuit in enumerate(found):
            own = distance[number == n]
            typical = float(np.percentile(own, 60)) if own.size else abs(shift)
            if typical < nearest[n]:
                nearest[n] = typical
                circuit.best = circuit.trial = theta


def _moved(
    die: P, circuits: NDArray[np.int64], columns: list[tuple[str, int]], theta: Array,
    sources: list[Source],
) -> P:  # fmt: skip
    """Return the die with the parameters of `circuits` moved by `theta`."""
    changes: dict[str, Array] = {}
    synapse = die.synapse.reshape(-1).copy()
    for (name, source), move in zip(columns, theta.T, strict=True):
        if name == "synapse":
            lane, place = sources[source]
            synapse[place] *= np.exp(move)[lane]
            continue
        values = getattr(die, name).copy()
        values[circuits] = values[circuits] * np.exp(move) if name in LOGARITHMIC else values[circuits] + move
        changes[name] = np.maximum(values, 0.05) if name == "spike_delay" else values
    fields: dict[str, Any] = {**changes, "synapse": synapse.reshape(die.synapse.shape)}
    return replace(die, **fields)


def _equations(
    die: FixedPattern, circuits: NDArray[np.int64], columns: list[tuple[str, int]], data: Observations,
    sources: list[Source],
) -> tuple[NDArray[np.int64], Array, Array, Array, NDArray[np.int64]]:  # fmt: skip
    """Circuit, residual, its derivatives, expected noise and kind (0 spike, 1 CADC sample) of all observations."""
    seen = data.predict(die)
    residual, per_level = data.residual(die, seen), data.per_level(die, seen)
    jacobian = np.zeros((data.size, len(columns)))
    spikes = data.kind == 0
    for c, (name, _) in enumerate(columns):
        if name == "threshold_code":  # a higher deviation lowers the threshold
            jacobian[spikes, c] = p.THRESHOLD_SLOPE.value * per_level[spikes]
        elif name == "spike_delay":
            jacobian[spikes, c] = p.SPIKE_DELAY.value
        elif name == "cadc_channel":
            jacobian[~spikes, c] = 1.0
        else:
            move = np.zeros((circuits.size, len(columns)))
            move[:, c] = STEP
            level = data.levels(_moved(die, circuits, columns, move, sources), seen.time)
            jacobian[:, c] = per_level * (level - seen.level) / STEP
    return data.circuit, residual, jacobian, _expected(data, per_level), data.kind


def _expected(data: Observations, per_level: Array) -> Array:
    """Standard deviation of the noise of every observation, in the unit of its residual."""
    return np.where(data.kind == 0, np.hypot(MEMBRANE_NOISE * per_level, TIME_NOISE), CADC_NOISE)
