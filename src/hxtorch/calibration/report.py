"""What a calibration reached, quantity by quantity, next to the limits that the vendor's tests accept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hxtorch.calibration.quantities import QUANTITIES
from hxtorch.calibration.result import UNITS, CalibrationResult, spread
from hxtorch.twin.places.coordinates import CIRCUITS

# spread after over before
RATIO_LIMITS = {name: q.spread_ratio for name, q in QUANTITIES.items() if q.spread_ratio is not None}
CADC_LIMIT = 3.0  # LSB, largest spread
RATE_BAND = (-0.10, 0.15)  # of leak-over-threshold rates, relative
RATE_LIMIT = 0.9  # part of the circuits inside of the band
SUCCESS_LIMIT = 0.95  # part of the circuits
SHOWN = 20  # failed circuits of a quantity that are listed


@dataclass(frozen=True)
class Row:
    """One quantity: spread of the residuals `before` and `after` and their `ratio` (nan where not measured).

    `unit` is "LSB", "code" or "" for relative values, `mean` the mean residual after, `failed` the number of
    circuits that missed the target, `limit` the largest ratio that is accepted (nan: none).
    """

    quantity: str
    unit: str
    before: float
    after: float
    ratio: float
    mean: float
    failed: int
    limit: float


def rows(result: CalibrationResult) -> list[Row]:
    """One row per quantity with residuals, in the order of their measurement."""
    found = []
    for name, residual in result.residuals.items():
        before = spread(result.before[name]) if name in result.before else float("nan")
        finite = residual[np.isfinite(residual)]
        failed = int(np.count_nonzero(~result.success[name])) if name in result.success else 0
        after = spread(residual)
        found.append(
            Row(
                quantity=name,
                unit=UNITS.get(name, ""),
                before=before,
                after=after,
                ratio=after / before if before else float("nan"),
                mean=float(finite.mean()) if finite.size else float("nan"),
                failed=failed,
                limit=RATIO_LIMITS.get(name, float("nan")),
            )
        )
    return found


def rates_in_band(result: CalibrationResult) -> float:
    """Part of the circuits whose leak-over-threshold rate is within -10/+15 %; nan where none was measured."""
    rate = result.residuals.get("rate")
    if rate is None or not np.any(np.isfinite(rate)):
        return float("nan")
    measured = rate[np.isfinite(rate)]
    return float(np.mean((measured > RATE_BAND[0]) & (measured < RATE_BAND[1])))


def shortcomings(result: CalibrationResult) -> list[str]:
    """Limits of chip.md 4.3 that a calibration misses, in words; empty if it meets all."""
    missed = [
        f"{row.quantity}: spread ratio {row.ratio:.2f}, accepted below {row.limit:g}"
        for row in rows(result)
        if row.ratio >= row.limit
    ]
    cadc = next((row.after for row in rows(result) if row.quantity == "cadc"), 0.0)
    if cadc >= CADC_LIMIT:
        missed.append(f"cadc: spread {cadc:.1f} LSB, accepted below {CADC_LIMIT:g}")
    rates = rates_in_band(result)
    if rates < RATE_LIMIT:
        missed.append(f"rate: {rates:.0%} of the circuits in the band, accepted from {RATE_LIMIT:.0%}")
    succeeded = 1 - result.failed.size / CIRCUITS
    if succeeded <= SUCCESS_LIMIT:
        missed.append(f"success: {succeeded:.1%} of the circuits, accepted above {SUCCESS_LIMIT:.0%}")
    return missed


def table(result: CalibrationResult) -> str:
    """Lay out `rows` for people."""
    head = (
        f"{'quantity':<16}{'unit':>5}{'before':>10}{'after':>10}{'ratio':>8}{'limit':>7}{'mean':>10}{'failed':>8}"
    )
    lines = [head]
    for row in rows(result):
        limit = f"{row.limit:g}" if np.isfinite(row.limit) else ""
        ratio = f"{row.ratio:.3f}" if np.isfinite(row.ratio) else ""
        lines.append(
            f"{row.quantity:<16}{row.unit:>5}{_number(row.before, row.unit):>10}{_number(row.after, row.unit):>10}"
            f"{ratio:>8}{limit:>7}{_number(row.mean, row.unit):>10}{row.failed:>8}"
        )
    return "\n".join(lines)


LEGEND = (
    "before, after: spread of the circuits about the target with nominal and with these registers, without 5 % at "
    "each end;\nratio: after over before; limit: largest ratio that the vendor's tests accept."
)


def summary(result: CalibrationResult) -> str:
    """Say in one line which chip was calibrated when, and how many circuits met the target."""
    met = CIRCUITS - result.failed.size
    return f"{result.chip_identifier}, calibrated {result.date}: {met} of {CIRCUITS} circuits met the target."


def failures(result: CalibrationResult) -> str:
    """Failed circuits by the quantity that they missed; empty if all succeeded."""
    lines = []
    for name, good in result.success.items():
        missed = np.flatnonzero(~good)
        shown = ", ".join(map(str, missed[:SHOWN])) + (", ..." if missed.size > SHOWN else "")
        if missed.size:
            lines.append(f"  {name}: {shown if missed.size < CIRCUITS else 'all circuits'}")
    return "\n".join(["Failed circuits, which networks are placed around:", *lines]) if lines else ""


def _number(value: float, unit: str) -> str:
    if not np.isfinite(value):
        return ""
    return f"{value:.2f}" if unit else f"{value:.1%}"


def as_data(result: CalibrationResult) -> dict[str, Any]:
    """Return everything that a script may want to know, as plain values (JSON-ready but for nan)."""
    listed = rows(result)
    return {
        "chip": result.chip_identifier,
        "date": result.date,
        "version": result.version,
        "circuits": CIRCUITS,
        "failed": result.failed.tolist(),
        "residuals": {
            row.quantity: {
                "unit": row.unit or "relative",
                "mean": row.mean,
                "spread": row.after,
                "failed": row.failed,
            }
            for row in listed
        },
        "spread_ratio": {row.quantity: row.ratio for row in listed if row.quantity in result.before},
        "drivers": {"before": spread(result.drivers.before), "after": spread(result.drivers.after)},
        "rates_in_band": rates_in_band(result),
        "shortcomings": shortcomings(result),
    }
