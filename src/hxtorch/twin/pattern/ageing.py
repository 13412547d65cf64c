"""What changes a chip slowly: days, and its temperature (chip.md 4.7). Both are off unless asked for.

Nobody published by how much; the strengths are estimates (`process`, mark E). What is documented: labs calibrate
every night, and warmer circuits have less gain, by and large all alike (SUMM).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from hxtorch.twin.pattern import process as p
from hxtorch.twin.pattern.fixed_pattern import FixedPattern
from hxtorch.twin.places.coordinates import CIRCUITS

P = TypeVar("P", bound=FixedPattern)

_POTENTIALS = {"leak_code": p.LEAK_SLOPE, "reset_code": p.RESET_SLOPE, "threshold_code": p.THRESHOLD_SLOPE}
_CONDUCTANCES = ("leak_conductance", "gain_exc", "gain_inh")
_TIMES = ("tau_exc", "tau_inh")


def drifted(die: P, days: float, *, strength: float = 1.0) -> P:
    """Return the die `days` later: every circuit's potentials, gains and time constants walk at random.

    The walk belongs to the chip: longer times go on where shorter ones ended, day by day. `strength` scales
    the estimates `process.DRIFT_POTENTIAL` and `DRIFT_GAIN`; 0 gives the same die.
    """
    if not days >= 0 or not strength >= 0:
        raise ValueError(f"{days} days with strength {strength}: both are at least 0.")
    whole, rest = int(days), float(days - int(days))
    changes: dict[str, Any] = {}
    for name in (*_POTENTIALS, *_CONDUCTANCES, *_TIMES):
        walk = sum((_normal(die, f"drift {name}", day) for day in range(whole)), start=np.zeros(CIRCUITS))
        walk = strength * (walk + np.sqrt(rest) * _normal(die, f"drift {name}", whole))
        if name in _POTENTIALS:
            changes[name] = getattr(die, name) + p.DRIFT_POTENTIAL.value / _POTENTIALS[name].value * walk
        else:
            changes[name] = getattr(die, name) * np.exp(p.DRIFT_GAIN.value * walk)
    return replace(die, identifier=f"{die.identifier} after {days:g} days", **changes)


def warmed(die: P, kelvin: float, *, strength: float = 1.0) -> P:
    """Return the die at a temperature `kelvin` above that for which it was drawn (below, if negative).

    Conductances and gains fall (`process.TEMPERATURE_GAIN`) and time constants grow as they do, a little
    differently in every circuit; potentials move apart (`TEMPERATURE_POTENTIAL`). `strength` scales all of it.
    """
    if not abs(kelvin) <= p.TEMPERATURE_LIMIT.value:
        limit = p.TEMPERATURE_LIMIT.value
        raise ValueError(f"{kelvin} K: the estimates reach {limit:g} K to both sides.")
    step = strength * kelvin
    own = 1 + p.TEMPERATURE_SPREAD.value * _normal(die, "temperature", 0)
    factor = np.exp(p.TEMPERATURE_GAIN.value * step * own)
    changes: dict[str, Any] = {name: getattr(die, name) * factor for name in _CONDUCTANCES}
    changes |= {name: getattr(die, name) / factor for name in _TIMES}
    for name, slope in _POTENTIALS.items():
        moved = p.TEMPERATURE_POTENTIAL.value * step * _normal(die, f"temperature {name}", 0)
        changes[name] = getattr(die, name) + moved / slope.value
    return replace(die, identifier=f"{die.identifier} at {kelvin:+g} K", **changes)


def _normal(die: FixedPattern, purpose: str, number: int) -> Any:
    """Standard normal numbers (512,) of the chip, one set per purpose and number."""
    stream = np.random.SeedSequence([die.capmem_seed, number, *purpose.encode()])
    return np.random.default_rng(stream).standard_normal(CIRCUITS)
