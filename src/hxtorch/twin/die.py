"""A die: the fixed pattern of one chip with all that can be done with it.

`Die.ideal()` deviates nowhere from the nominal design, `Die.from_seed` draws a chip. A die never changes: another
chip is another object (`dataclasses.replace`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from hxtorch._html import facts, note, strip, table
from hxtorch.shapes import Array as Array
from hxtorch.twin.fitting.data import Recorded
from hxtorch.twin.fitting.fit import NOMINAL_DOUBT, Fit, fit_pattern
from hxtorch.twin.fitting.from_calibration import Calibrated, pattern_from_calibration
from hxtorch.twin.fitting.score import Score, score_die
from hxtorch.twin.pattern.ageing import drifted, warmed
from hxtorch.twin.pattern.draw import draw_pattern
from hxtorch.twin.pattern.file import load_pattern, save_pattern
from hxtorch.twin.pattern.fixed_pattern import EFFECTS as EFFECTS
from hxtorch.twin.pattern.fixed_pattern import FixedPattern, nominal_pattern
from hxtorch.twin.pattern.spread import Likeness, Spread, likeness_of, spread_of
from hxtorch.twin.places.coordinates import COLUMNS, HEMISPHERES
from hxtorch.twin.program import Program, Recording


class Die(FixedPattern):
    """Deviations of one chip from the nominal design: drawn, inferred, changed, judged, saved and shown.

    The data are those of `hxtorch.twin.pattern.fixed_pattern.FixedPattern`.
    """

    @classmethod
    def ideal(cls) -> Die:
        """Return the mathematical model: no deviation, no quantised codes, no saturation, no latency.

        With `Noise.off()` it computes what mock mode computes, in continuous time.
        """
        return nominal_die("twin:ideal", nominal=True)

    @classmethod
    def from_seed(cls, seed: int) -> Die:
        """Draw the chip number `seed` from the distributions of `hxtorch.twin.pattern.process`."""
        return _die(draw_pattern(seed))

    @classmethod
    def from_calibration(cls, result: Calibrated) -> Die:
        """Return a twin of the chip that a calibration was made for: the fixed pattern that explains its codes.

        See `hxtorch.twin.fitting.from_calibration` for what the codes tell and what they leave open.
        """
        return _die(pattern_from_calibration(result))

    @staticmethod
    def fit(recordings: Sequence[tuple[Program, Recording]], **options: Any) -> Fit[Die]:
        """Return a `Fit`: the die that best explains recordings of a chip, how sure it is, and how it predicts.

        `recordings` are programs and what the chip recorded for them; `options` are those of
        `fit_die`, which says what is fitted.
        """
        return fit_die(recordings, **options)

    def score(self, recordings: Sequence[tuple[Program, Recording]]) -> Score:
        """Return how well this die predicts the first spikes of recordings; see `hxtorch.twin.fitting.score`."""
        return score_die(self, recordings)

    def without(self, *effects: str) -> Die:
        """Return a copy in which the named effects have no deviation, e.g. ``die.without("synapse")``."""
        ideal = nominal_pattern(self.identifier)
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
        """Return this chip `days` later; see `hxtorch.twin.pattern.ageing.drifted`."""
        return drifted(self, days, strength=strength)

    def warmed(self, kelvin: float, *, strength: float = 1.0) -> Die:
        """Return this chip at another temperature; see `hxtorch.twin.pattern.ageing.warmed`."""
        return warmed(self, kelvin, strength=strength)

    def save(self, path: str | Path) -> Path:
        """Write the die to a file (data only), atomically; returns the path."""
        return save_pattern(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Die:
        """Read a die from a file that `save` wrote; `hxtorch.twin.pattern.file.DieFileError` for any other."""
        return _die(load_pattern(path))

    def summary(self) -> dict[str, Spread]:
        """Mean and spread of every effect: over all of it, within and between the quadrants where it has these."""
        return {name: spread_of(getattr(self, name)) for name in EFFECTS if np.ndim(getattr(self, name))}

    def compare(self, other: Die) -> dict[str, Likeness]:
        """How alike two dies are in every effect: correlation, and what is left of the spread in the difference."""
        return {
            name: likeness_of(getattr(self, name), getattr(other, name))
            for name in EFFECTS
            if np.ndim(getattr(self, name))
        }

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


def _die(pattern: FixedPattern) -> Die:
    return Die(**{item.name: getattr(pattern, item.name) for item in fields(pattern)})


def nominal_die(identifier: str, *, nominal: bool) -> Die:
    """Return a die without any deviation; `nominal` also takes away the limits of real circuits."""
    return _die(nominal_pattern(identifier, nominal=nominal))


def fit_die(
    recordings: Sequence[Recorded],
    *,
    start: Die | None = None,
    samples: int = 1000,
    iterations: int = 20,
    held_out: float = 0.2,
    seed: int = 0,
) -> Fit[Die]:
    """Infer the pattern of the circuits that `recordings` (programs and what a chip recorded for them) show.

    Per circuit: threshold distance, spike delay, time constants, gains of both inputs, with CADC samples the offset
    of the channel, and the charge of the synapses of each of up to 64 input sources. Only what precedes the first
    spike of an entry is used, so that many short entries tell more than a few long ones. Spikes alone cannot tell a
    higher gain from a lower threshold distance: of both, the pair that is most probable is taken. The time
    constants of membrane and input shape a PSP alike: two circuits with swapped ones fire nearly at the same time.
    Both are tried, the more probable one is taken, and `Fit.swapped` says how probable the other one is.

    Rest potentials, offset currents and gains of the CADC are not fitted. From a start that has them, the errors of
    time constants lie within the uncertainty, but for a circuit in some 30 that takes the wrong order. From
    the nominal design predictions are as good, but parameters make up for what is missing, and the uncertainty is
    widened by the root of `NOMINAL_DOUBT`.

    `start` is where the search begins and what circuits keep that were not recorded (default: the nominal design;
    better: `Die.from_calibration`). `samples` batch entries at most are used; the part `held_out`, drawn with
    `seed`, is kept for judging the result.

    Raises ValueError for recordings without spikes and CADC samples, or whose neurons excite each other.
    """
    return fit_pattern(
        recordings,
        nominal_die("nominal", nominal=False) if start is None else start,
        doubt=NOMINAL_DOUBT if start is None else 1.0,
        samples=samples,
        iterations=iterations,
        held_out=held_out,
        seed=seed,
    )
