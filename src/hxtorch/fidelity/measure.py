"""All protocols, and how they are run on several chips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from tqdm import tqdm

from hxtorch.fidelity import dynamics, limits, load, noise, patterns, potentials, readout, reset, spread, synapses
from hxtorch.fidelity.bench import CalibratedBench
from hxtorch.fidelity.row import Protocol, RowResult
from hxtorch.shapes import Array
from hxtorch.twin import Chip

GROUPS: dict[str, tuple[Protocol, ...]] = {
    "Potentials": (potentials.levels, limits.membrane_range),
    "Synapses": (synapses.psp,),
    "Temporal noise": (noise.silent, noise.slow_and_fast, noise.run_to_run, noise.interval_jitter),
    "Reset and refractory time": (reset.reset, reset.raw_reset, reset.ten_neurons),
    "Uncalibrated spread": (spread.codes_of_a_calibration,),
    "Readout": (readout.scale, readout.rates, readout.channels, readout.timing),
    "Dynamics": (dynamics.calibrated_rate, dynamics.current_and_rate, patterns.adex_patterns),
    "Load": (load.lost_spikes, load.simultaneous_spikes),
}
PROTOCOLS: tuple[Protocol, ...] = tuple(item for group in GROUPS.values() for item in group)


@dataclass(frozen=True, eq=False)
class Fidelity:
    """What was measured: results by protocol name, and the curves of the first chip for the figures."""

    chips: tuple[str, ...]
    results: dict[str, tuple[RowResult, ...]]
    curves: dict[str, dict[str, Array]]

    @property
    def rows(self) -> tuple[RowResult, ...]:
        """All rows in the order of the table."""
        return tuple(row for rows in self.results.values() for row in rows)

    @property
    def failed(self) -> tuple[RowResult, ...]:
        """Rows that lie in their band on fewer than nine of ten chips."""
        return tuple(row for row in self.rows if row.verdict == "fail")

    @property
    def whole_chips(self) -> int:
        """Number of chips on which every row lies in its band."""
        inside = np.array([[row.row.holds(value) for value in row.values] for row in self.rows])
        return int(np.count_nonzero(inside.all(axis=0)))


def measure(
    chips: Sequence[Chip], only: Sequence[str] = (), *, trial_seed: int = 0, progress: bool | None = None
) -> Fidelity:
    """Run the protocols on `chips`.

    `only` selects rows by name, with the wildcards of a shell (a protocol is run with all its rows); `trial_seed`
    selects the temporal noise, which differs from chip to chip; `progress` shows a bar (None: if standard error
    is a terminal). ValueError if no chip or no row is left.
    """
    if not chips:
        raise ValueError("There is no chip to measure: name one at least.")
    chosen = chosen_protocols(only)
    values: dict[str, list[tuple[float, ...]]] = {item.name: [] for item in chosen}
    curves: dict[str, dict[str, Array]] = {}
    with tqdm(
        total=len(chips) * len(chosen), disable=None if progress is None else not progress, leave=False
    ) as bar:
        for number, chip in enumerate(chips):
            bench = CalibratedBench(chip, trial_seed * 1000 + number)
            for item in chosen:
                bar.set_description(f"{chip.identifier}: {item.name.replace('_', ' ')}")
                measured = item.measure(bench)
                if len(measured.values) != len(item.rows):
                    raise RuntimeError(
                        f"{item.name} returns {len(measured.values)} values for {len(item.rows)} rows."
                    )
                values[item.name].append(measured.values)
                curves.setdefault(item.name, measured.curves)
                bar.update()
    results = {
        item.name: tuple(
            RowResult(row, np.array([of_chip[i] for of_chip in values[item.name]]))
            for i, row in enumerate(item.rows)
        )
        for item in chosen
    }
    return Fidelity(tuple(chip.identifier for chip in chips), results, curves)


def chosen_protocols(only: Sequence[str]) -> list[Protocol]:
    """Protocols with a row that `only` names, with the wildcards of a shell; all if empty. ValueError if none."""
    chosen = [item for item in PROTOCOLS if not only or _named(item, only)]
    if not chosen:
        raise ValueError(f"No row is called {', '.join(map(repr, only))}; see the names in docs/fidelity.md.")
    return chosen


def _named(item: Protocol, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(row.name.lower(), pattern.lower()) for row in item.rows for pattern in patterns)
