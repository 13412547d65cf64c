"""The fixed pattern of an uncalibrated chip, seen in the codes that a calibration to equal targets needs."""

from __future__ import annotations

import numpy as np

from hxtorch.fidelity.bench import CalibratedBench
from hxtorch.fidelity.row import Measured, Row, protocol
from hxtorch.shapes import Array, IntArray
from hxtorch.twin.places.coordinates import CIRCUITS, QUADRANTS

CHI = (0.1, 2.5)  # where the standard deviation of four draws lies in 998 of 1000 cases, of the true one
REGISTERS = (
    "v_leak", "v_reset", "v_threshold", "i_bias_leak", "i_bias_tau_exc", "i_bias_tau_inh", "i_bias_gm_exc",
    "i_bias_gm_inh", "i_shift_exc", "i_shift_inh",
)  # fmt: skip
RELATIVE = ("i_bias_leak", "i_bias_tau_exc", "i_bias_tau_inh", "i_bias_gm_exc", "i_bias_gm_inh")
PAIRS = (
    ("v_leak", "v_reset"), ("v_leak", "v_threshold"), ("v_reset", "v_threshold"), ("i_bias_gm_exc",
    "i_bias_gm_inh"),
    ("v_leak", "i_bias_leak"), ("i_shift_exc", "i_bias_gm_exc"), ("i_bias_tau_exc", "i_bias_tau_inh"),
)  # fmt: skip
SOURCE = "CUBE66"


def _mean(register: str, published: float, tolerance: float) -> Row:
    return Row(f"{register}: mean code", "code", f"{published:g}", SOURCE, "M", published * (1 - tolerance),
               published * (1 + tolerance), "three standard deviations between two chips of four quadrants each",
               0)  # fmt: skip


def _within(register: str, published: float, why: str = "± 20 %", tolerance: float = 0.2) -> Row:
    unit = "% of the mean" if register in RELATIVE else "code"
    return Row(f"{register}: spread within a quadrant", unit, f"{published:g}", SOURCE, "M",
               published * (1 - tolerance), published * (1 + tolerance), why, 1)  # fmt: skip


def _between(register: str, published: float) -> Row:
    unit = "% of the mean" if register in RELATIVE else "code"
    return Row(f"{register}: spread of quadrant means", unit, f"{published:g}", SOURCE, "M", published * CHI[0],
               published * CHI[1], "998 of 1000 spreads of four; the published one is one, too", 1)  # fmt: skip


def _correlation(pair: tuple[str, str], published: float) -> Row:
    tolerance = 3 * np.sqrt(2 / CIRCUITS) * (1 - published**2)
    return Row(f"correlation {pair[0]}, {pair[1]}", "", f"{published:g}", SOURCE, "M", published - tolerance,
               published + tolerance, "three standard errors between two chips of 512 neurons")  # fmt: skip


def _quadrants(first: str, second: str) -> Row:
    return Row(f"correlation of quadrant means {first}, {second}", "", "0.99", SOURCE, "M", 0.7, 1.0,
               "four quadrants of one chip; where they hardly differ, single circuits blur it")  # fmt: skip


@protocol(
    "All 512 neurons are calibrated to the targets of the published calibration of a real chip (\"spiking2\"): "
    "equal targets need "
    "unequal codes, and their spread is the uncalibrated mismatch. Within quadrants means after subtracting the "
    "four quadrant "
    "means; spreads of currents are relative to their mean. Correlations are within quadrants.",
    _mean("v_leak", 629, 0.075), _mean("v_reset", 625, 0.09), _mean("v_threshold", 389, 0.065),
    _mean("i_bias_leak", 158, 0.13), _mean("i_bias_tau_exc", 84, 0.4), _mean("i_bias_tau_inh", 78, 0.4),
    _mean("i_bias_gm_exc", 487, 0.3), _mean("i_bias_gm_inh", 539, 0.3),
    _within("v_leak", 34), _within("v_reset", 33), _within("v_threshold", 14), _within("i_bias_leak", 12),
    _within("i_bias_tau_exc", 20), _within("i_bias_tau_inh", 19),
    _within("i_bias_gm_exc", 6, "± 25 %", 0.25), _within("i_bias_gm_inh", 5.4, "± 25 %", 0.25),
    _within("i_shift_exc", 122), _within("i_shift_inh", 110),
    _between("v_leak", 22), _between("v_reset", 26), _between("v_threshold", 12), _between("i_bias_leak", 6),
    _between("i_bias_tau_exc", 19), _between("i_bias_tau_inh", 19), _between("i_bias_gm_exc", 27),
        _between("i_bias_gm_inh", 27),
    _correlation(PAIRS[0], 0.61), _correlation(PAIRS[1], 0.21), _correlation(PAIRS[2], 0.28),
        _correlation(PAIRS[3], 0.42),
    _correlation(PAIRS[4], -0.25), _correlation(PAIRS[5], -0.28), _correlation(PAIRS[6], 0.0),
    _quadrants("v_leak", "v_reset"), _quadrants("i_bias_tau_exc", "i_bias_tau_inh"),
)  # fmt: skip
def codes_of_a_calibration(bench: CalibratedBench) -> Measured:
    """Spread, quadrant structure and correlations of the codes."""
    result = bench.calibration("spiking2")
    good = bench.good("spiking2")
    code = {name: np.asarray(getattr(result.neurons, name), dtype=np.float64) for name in REGISTERS}
    means = {name: _quadrant_means(values, good) for name, values in code.items()}
    rest = {name: (values - np.repeat(means[name], CIRCUITS // QUADRANTS))[good] for name, values in code.items()}

    def share(name: str, value: float) -> float:
        return 100 * value / float(code[name][good].mean()) if name in RELATIVE else value

    values = [float(code[name][good].mean()) for name in REGISTERS[:8]]
    values += [share(name, float(rest[name].std())) for name in REGISTERS]
    values += [share(name, float(means[name].std(ddof=1))) for name in REGISTERS[:8]]
    values += [float(np.corrcoef(rest[first], rest[second])[0, 1]) for first, second in PAIRS]
    values += [float(np.corrcoef(means[first], means[second])[0, 1]) for first, second in (PAIRS[0], PAIRS[6])]
    return Measured(tuple(values), {"codes": np.stack([code[name] for name in REGISTERS])})


def _quadrant_means(values: Array, good: IntArray) -> Array:
    quadrant = good // (CIRCUITS // QUADRANTS)
    return np.bincount(quadrant, values[good], QUADRANTS) / np.bincount(quadrant, minlength=QUADRANTS)
