"""The fixed pattern of one chip: how each of its circuits deviates from the nominal design.

A `Die` is drawn once from a seed and never changes: its arrays are read-only, another chip is another object
(`dataclasses.replace`). `Die.ideal()` deviates nowhere. Each effect is drawn
from its own random stream, so that adding an effect leaves the others of the same chip as they were.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hxtorch._html import facts, note, strip, table
from hxtorch.twin import process
from hxtorch.twin.coordinates import CIRCUITS, COLUMNS, DRIVERS, HEMISPHERES, QUADRANTS, ROWS
from hxtorch.twin.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from hxtorch.twin import fit, fit_score, inference
    from hxtorch.twin.program import Program, Recording

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviations of an effect; the last two are nan where it has no value per circuit."""

    mean: float
    total: float
    within_quadrants: float
    of_quadrant_means: float


@dataclass(frozen=True)
class Likeness:
    """Correlation of an effect of two dies (nan where one of them does not vary), and the difference's rms."""

    correlation: float
    difference: float


@dataclass(frozen=True, eq=False)
class Die(Frozen):
    """Deviations of one chip from the nominal design.

    * `leak_code`, `reset_code`, `threshold_code` (512,): codes by which a voltage cell has to be raised.
    * `leak_conductance` (512,): factor on the leak conductance at a given code; 1 is nominal.
    * `tau_exc`, `tau_inh` (512,): factors on the synaptic time constants at a given code.
    * `gain_exc`, `gain_inh` (512,): factors on the charge-to-current gain of the inputs.
    * `shift_exc`, `shift_inh` (512,): codes by which `i_shift` has to be raised for a zero input current.
    * `reset_time`, `spike_delay` (512,): factors on the reset time constant and the comparator's delay
      (the latter is 1 on drawn chips, for there is no public number).
    * `synapse_dac` (4,): factors on the synapse DAC's bias current of a quadrant.
    * `synapse` (2, 256, 256), `driver` (2, 128): factors on the charge of a synapse and of a driver.
    * `cadc_channel` (512,): offset of the CADC channels in LSB; `cadc_gain`, `cadc_ramp` (4,): per quadrant.
    * `madc_offset`: in MADC LSB.
    * `capmem_error`: strength of the crosstalk between CapMem cells, which makes the value of a cell depend on
      the codes of all others in its block (1 is nominal, 0 switches it off); drawn from `capmem_seed`.
    * `exp_onset_code`, `adapt_leak_code`, `coba_code` (512,): codes by which these voltages have to be raised;
      `exp_current`, `adapt_time`, `adapt_gain`, `icc_conductance` (512,): factors at a given code.
    * `stp_offset`, `stp_gain` (2, 128): offset and factor of the efficacy of a driver with plasticity.
    * `identifier`: names the chip; `nominal` marks a die without any limit of a real circuit (see `ideal`).
    """

    identifier: str
    leak_code: Array
    reset_code: Array
    threshold_code: Array
    leak_conductance: Array
    tau_exc: Array
    tau_inh: Array
    gain_exc: Array
    gain_inh: Array
    shift_exc: Array
    shift_inh: Array
    reset_time: Array
    spike_delay: Array
    synapse_dac: Array
    synapse: Array
    driver: Array
    cadc_channel: Array
    cadc_gain: Array
    cadc_ramp: Array
    exp_onset_code: Array
    exp_current: Array
    adapt_leak_code: Array
    adapt_time: Array
    adapt_gain: Array
    coba_code: Array
    icc_conductance: Array
    stp_offset: Array
    stp_gain: Array
    madc_offset: float = 0.0
    capmem_error: float = 0.0
    capmem_seed: int = 0
    nominal: bool = False

    @classmethod
    def ideal(cls) -> Die:
        """Return the mathematical model: no deviation, no quantised codes, no saturation, no latency.

        With `Noise.off()` it computes what mock mode computes, in continuous time.
        """
        return nominal_die("twin:ideal", nominal=True)

    @classmethod
    def from_seed(cls, seed: int) -> Die:
        """Draw the chip number `seed` from the distributions of `hxtorch.twin.process`."""
        if seed < 0:
            raise ValueError(f"The chip seed is {seed}, but seeds are non-negative integers.")
        return replace(nominal_die(f"twin:{seed}", nominal=False), **_draw(seed))

    @classmethod
    def from_calibration(cls, result: inference.Calibrated) -> Die:
        """Return a twin of the chip that a calibration was made for: the fixed pattern that explains its codes.

        See `hxtorch.twin.inference.die_from_calibration` for what the codes tell and what they leave open.
        """
        from hxtorch.twin.inference import die_from_calibration

        return die_from_calibration(result)

    @staticmethod
    def fit(recordings: Sequence[tuple[Program, Recording]], **options: Any) -> fit.Fit:
        """Return a `Fit`: the die that best explains recordings of a chip, how sure it is, and how it predicts.

        `recordings` are programs and what the chip recorded for them; `options` are those of
        `hxtorch.twin.fit.fit_die`, which says what is fitted.
        """
        from hxtorch.twin.fit import fit_die

        return fit_die(recordings, **options)

    def score(self, recordings: Sequence[tuple[Program, Recording]]) -> fit_score.Score:
        """Return how well this die predicts the first spikes of recordings; see `hxtorch.twin.fit_score`."""
        from hxtorch.twin.fit_score import score_die

        return score_die(self, recordings)

    def without(self, *effects: str) -> Die:
        """Return a copy in which the named effects have no deviation, e.g. ``die.without("synapse")``."""
        ideal = nominal_die(self.identifier, nominal=False)
        unknown = sorted(set(effects) - set(EFFECTS))
        if unknown:
            raise ValueError(f"A die has no effect called {', '.join(unknown)}. Known: {', '.join(EFFECTS)}.")
        nominal: dict[str, Any] = {name: getattr(ideal, name) for name in effects}
        return replace(
            self,
            identifier=f"{self.identifier} without {', '.join(sorted(effects))}",
            **nominal,
        )

    @classmethod
    def family(cls, seeds: Iterable[int]) -> list[Die]:
        """Draw one chip per seed."""
        return [cls.from_seed(seed) for seed in seeds]

    def drifted(self, days: float, *, strength: float = 1.0) -> Die:
        """Return this chip `days` later; see `hxtorch.twin.ageing.drifted`."""
        from hxtorch.twin.ageing import drifted

        return drifted(self, days, strength=strength)

    def warmed(self, kelvin: float, *, strength: float = 1.0) -> Die:
        """Return this chip at another temperature; see `hxtorch.twin.ageing.warmed`."""
        from hxtorch.twin.ageing import warmed

        return warmed(self, kelvin, strength=strength)

    def save(self, path: str | Path) -> Path:
        """Write the die to a file (data only), atomically; returns the path."""
        from hxtorch.twin.die_file import save_die

        return save_die(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Die:
        """Read a die from a file that `save` wrote; `hxtorch.twin.die_file.DieFileError` for any other."""
        from hxtorch.twin.die_file import load_die

        return load_die(path)

    def summary(self) -> dict[str, Spread]:
        """Mean and spread of every effect: over all of it, within and between the quadrants where it has these."""
        return {name: _spread(getattr(self, name)) for name in EFFECTS if np.ndim(getattr(self, name))}

    def compare(self, other: Die) -> dict[str, Likeness]:
        """How alike two dies are in every effect: correlation, and what is left of the spread in the difference."""
        return {
            name: _likeness(getattr(self, name), getattr(other, name))
            for name in EFFECTS
            if np.ndim(getattr(self, name))
        }

    def __repr__(self) -> str:
        return f"Die({self.identifier!r})"

    def _repr_html_(self) -> str:
        """Spread of every effect, and the threshold's deviation of every circuit in place, for notebooks."""
        rows = [
            (name, f"{value.mean():.4g}", f"{value.std():.3g}", _unit(name), " × ".join(map(str, value.shape)))
            for name in EFFECTS
            for value in (np.asarray(getattr(self, name)),)
            if value.ndim
        ]
        places = self.threshold_code.reshape(HEMISPHERES, COLUMNS)
        return facts(
            f"Die {self.identifier}",
            {"CapMem errors": f"{self.capmem_error:g}", "MADC offset": f"{self.madc_offset:.1f} LSB"},
            table(rows, ("effect", "mean", "standard deviation", "unit", "shape"))
            + note("Threshold deviation of every circuit: 2 hemispheres × 256 columns")
            + strip(places),
        )


def _unit(effect: str) -> str:
    """What the numbers of an effect count."""
    if effect.endswith("_code") or effect.startswith("shift_"):
        return "codes"
    return {"cadc_channel": "LSB", "cadc_ramp": "LSB", "stp_offset": "efficacy"}.get(effect, "factor")


EFFECTS = tuple(
    name for name in Die.__dataclass_fields__ if name not in ("identifier", "nominal", "capmem_seed")
)  # fmt: skip


def _spread(values: Array) -> Spread:
    within = between = float("nan")
    if values.shape == (CIRCUITS,):
        quadrants = values.reshape(QUADRANTS, -1)
        within = float(np.sqrt(np.mean(quadrants.var(axis=1, ddof=1))))
        between = float(quadrants.mean(axis=1).std(ddof=1))
    return Spread(float(values.mean()), float(values.std(ddof=1)), within, between)


def _likeness(one: Array, other: Array) -> Likeness:
    difference = float(np.sqrt(np.mean((one - other) ** 2)))
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return Likeness(float("nan"), difference)
    return Likeness(float(np.corrcoef(one.reshape(-1), other.reshape(-1))[0, 1]), difference)


def nominal_die(identifier: str, *, nominal: bool) -> Die:
    """Return a die without any deviation; `nominal` also takes away the limits of real circuits."""
    zeros, ones = np.zeros(CIRCUITS), np.ones(CIRCUITS)
    return Die(
        identifier=identifier,
        leak_code=zeros,
        reset_code=zeros,
        threshold_code=zeros,
        leak_conductance=ones,
        tau_exc=ones,
        tau_inh=ones,
        gain_exc=ones,
        gain_inh=ones,
        shift_exc=zeros,
        shift_inh=zeros,
        reset_time=ones,
        spike_delay=ones,
        synapse_dac=np.ones(QUADRANTS),
        synapse=np.ones((HEMISPHERES, ROWS, COLUMNS)),
        driver=np.ones((HEMISPHERES, DRIVERS)),
        cadc_channel=zeros,
        cadc_gain=np.ones(QUADRANTS),
        cadc_ramp=np.zeros(QUADRANTS),
        exp_onset_code=zeros,
        exp_current=ones,
        adapt_leak_code=zeros,
        adapt_time=ones,
        adapt_gain=ones,
        coba_code=zeros,
        icc_conductance=ones,
        stp_offset=np.zeros((HEMISPHERES, DRIVERS)),
        stp_gain=np.ones((HEMISPHERES, DRIVERS)),
        nominal=nominal,
    )


def _quadrants(values: Array) -> Array:
    """Spread one value per quadrant over its circuits."""
    return np.repeat(values, CIRCUITS // QUADRANTS)


def _draw(seed: int) -> dict[str, Any]:
    """Draw every effect of chip `seed`; the name of an effect is part of its random stream."""

    def normal(effect: str, *shape: int) -> Array:
        stream = np.random.SeedSequence([seed, *effect.encode()])
        return np.random.default_rng(stream).standard_normal(shape)

    def correlated(effect: str, other: Array, correlation: process.Fact) -> Array:
        rho = correlation.value
        return np.asarray(rho * other + np.sqrt(1 - rho**2) * normal(effect, CIRCUITS))

    def log_normal(
        effect: str,
        spread: process.Fact,
        quadrant_spread: process.Fact,
        unit: Array | None = None,
        quadrant: str = "",
    ) -> Array:
        within = spread.value * (normal(effect, CIRCUITS) if unit is None else unit)
        return np.exp(
            within + _quadrants(quadrant_spread.value * normal(quadrant or f"{effect} quadrant", QUADRANTS))
        )

    leak_reset = process.LEAK_RESET_CORRELATION.value
    leak_threshold = process.LEAK_THRESHOLD_CORRELATION.value
    reset_threshold = process.RESET_THRESHOLD_CORRELATION.value
    correlation = np.array(
        [
            [1, leak_reset, leak_threshold],
            [leak_reset, 1, reset_threshold],
            [leak_threshold, reset_threshold, 1],
        ]
    )
    potentials = np.linalg.cholesky(correlation) @ normal("potentials", 3, CIRCUITS)
    spreads = (process.LEAK_SPREAD, process.RESET_SPREAD, process.THRESHOLD_SPREAD)
    quadrant_spreads = (
        process.LEAK_QUADRANT_SPREAD,
        process.RESET_QUADRANT_SPREAD,
        process.THRESHOLD_QUADRANT_SPREAD,
    )
    # the quadrant means of leak and reset move together, too (measured correlation 0.99)
    leak, reset, threshold = (
        spread.value * row + _quadrants(quadrant.value * normal(f"potentials quadrant {stream}", QUADRANTS))
        for stream, spread, quadrant, row in zip((0, 0, 2), spreads, quadrant_spreads, potentials, strict=True)
    )

    rho = process.GAIN_CORRELATION.value
    common, own = normal("gain", 2, CIRCUITS)
    between_quadrants = process.GAIN_QUADRANT_SPREAD.value * normal("gain quadrant", QUADRANTS)
    # the measured spread is that within one chip, whose own level is a matter of its own
    between_quadrants -= between_quadrants.mean()
    chip_level = process.GAIN_CHIP_SPREAD.value * normal("gain chip", 1)[0]
    gain_quadrant = _quadrants(between_quadrants + chip_level)
    spread = process.GAIN_SPREAD.value
    gain_exc = np.exp(gain_quadrant + spread * common)
    gain_inh = process.GAIN_INH_RATIO.value * np.exp(
        gain_quadrant + spread * (rho * common + np.sqrt(1 - rho**2) * own)
    )
    return {
        "leak_code": leak,
        "reset_code": reset,
        "threshold_code": threshold,
        "leak_conductance": log_normal(
            "leak conductance",
            process.LEAK_CONDUCTANCE_SPREAD,
            process.LEAK_CONDUCTANCE_QUADRANT_SPREAD,
            correlated("leak conductance", potentials[0], process.LEAK_CONDUCTANCE_CORRELATION),
        ),
        "tau_exc": log_normal("tau exc", process.TAU_SYN_SPREAD, process.TAU_SYN_QUADRANT_SPREAD),
        # a quadrant's time constants move together (measured correlation 0.99): it has one reference current
        "tau_inh": log_normal(
            "tau inh", process.TAU_SYN_SPREAD, process.TAU_SYN_QUADRANT_SPREAD, quadrant="tau exc quadrant"
        ),
        "gain_exc": gain_exc,
        "gain_inh": gain_inh,
        "shift_exc": process.SHIFT_SPREAD.value * correlated("shift exc", common, process.SHIFT_GAIN_CORRELATION),
        "shift_inh": process.SHIFT_SPREAD.value * normal("shift inh", CIRCUITS),
        "reset_time": np.exp(process.RESET_TIME_SPREAD.value * normal("reset time", CIRCUITS)),
        "synapse_dac": np.exp(process.SYNAPSE_DAC_SPREAD.value * normal("synapse dac", QUADRANTS)),
        "synapse": np.exp(process.SYNAPSE_SPREAD.value * normal("synapse", HEMISPHERES, ROWS, COLUMNS)),
        "driver": np.exp(process.DRIVER_SPREAD.value * normal("driver", HEMISPHERES, DRIVERS)),
        "cadc_channel": process.CADC_CHANNEL_SPREAD.value * normal("cadc channel", CIRCUITS),
        "cadc_gain": 1 + process.CADC_GAIN_SPREAD.value * normal("cadc gain", QUADRANTS),
        "cadc_ramp": process.CADC_RAMP_OFFSET_SPREAD.value * normal("cadc ramp", QUADRANTS),
        "exp_onset_code": process.EXP_ONSET_SPREAD.value * normal("exp onset", CIRCUITS),
        "exp_current": np.exp(process.EXP_CURRENT_SPREAD.value * normal("exp current", CIRCUITS)),
        "adapt_leak_code": process.ADAPT_LEAK_SPREAD.value * normal("adapt leak", CIRCUITS),
        "adapt_time": np.exp(process.ADAPT_TIME_SPREAD.value * normal("adapt time", CIRCUITS)),
        "adapt_gain": np.exp(process.ADAPT_GAIN_SPREAD.value * normal("adapt gain", CIRCUITS)),
        "coba_code": process.COBA_SPREAD.value * normal("coba", CIRCUITS),
        "icc_conductance": np.exp(process.ICC_SPREAD.value * normal("icc", CIRCUITS)),
        "stp_offset": process.STP_OFFSET_SPREAD.value * normal("stp offset", HEMISPHERES, DRIVERS),
        "stp_gain": np.exp(process.STP_GAIN_SPREAD.value * normal("stp gain", HEMISPHERES, DRIVERS)),
        "capmem_error": 1.0,
        "capmem_seed": seed,
        "madc_offset": float(process.MADC_OFFSET_SPREAD.value * normal("madc offset", 1)[0]),
    }
