"""A twin of a chip from recordings (`hxtorch.twin.fitting.fit` has the method, `Die.fit` is the shorter way)."""

from hxtorch.shapes import Array
from hxtorch.twin.die import fit_die
from hxtorch.twin.fitting.fit import (
    AMBIGUOUS,
    CADC_NOISE,
    DELAY_SPREAD,
    EVEN,
    LOGARITHMIC,
    MEMBRANE_NOISE,
    MIRRORED,
    NEVER,
    NOMINAL_DOUBT,
    PRIORS,
    START_THRESHOLDS,
    STEP,
    TIME_NOISE,
    Fit,
)

__all__ = [
    "AMBIGUOUS",
    "CADC_NOISE",
    "DELAY_SPREAD",
    "EVEN",
    "LOGARITHMIC",
    "MEMBRANE_NOISE",
    "MIRRORED",
    "NEVER",
    "NOMINAL_DOUBT",
    "PRIORS",
    "START_THRESHOLDS",
    "STEP",
    "TIME_NOISE",
    "Array",
    "Fit",
    "fit_die",
]
