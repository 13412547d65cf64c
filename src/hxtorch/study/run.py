"""Evaluating a function under many conditions: in parallel, and resumable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import joblib
import numpy as np
import torch
from matplotlib.figure import Figure

from hxtorch import twin
from hxtorch._files.whole import write_whole
from hxtorch.plots.style import SERIES, house_style, new_figure
from hxtorch.study.conditions import Condition

Values = Mapping[str, float]
Function = Callable[[Condition], Values]


@dataclass(frozen=True)
class Study:
    """Values under conditions: `rows` hold the fields of a condition and the values of the function."""

    rows: tuple[dict[str, float], ...]

    def mean(self, value: str, by: Sequence[str]) -> dict[tuple[float, ...], tuple[float, float, int]]:
        """Mean, standard deviation of the sample and number of `value`, grouped by the fields `by`."""
        self._check(value, *by)
        groups: dict[tuple[float, ...], list[float]] = {}
        for row in self.rows:
            groups.setdefault(tuple(row[name] for name in by), []).append(row[value])
        return {
            key: (float(np.mean(v)), float(np.std(v, ddof=1)) if len(v) > 1 else 0.0, len(v))
            for key, v in groups.items()
        }

    def table(self, values: Sequence[str], by: Sequence[str]) -> str:
        """Markdown table of mean ± standard deviation of some values, one line per combination of `by`.

        Of a single row the value stands alone.
        """
        columns = [self.mean(value, by) for value in values]
        lines = [f"| {' | '.join([*by, *values, 'n'])} |", "|" + "---|" * (len(by) + len(values) + 1)]
        for key in columns[0]:
            cells = [f"{item:g}" for item in key]
            for mean, deviation, number in (column[key] for column in columns):
                cells.append(f"{mean:.3f} ± {deviation:.3f}" if number > 1 else f"{mean:.3f}")
            lines.append(f"| {' | '.join(cells)} | {columns[0][key][2]} |")
        return "\n".join(lines)

    def figure(self, values: Sequence[str], x: str, *, ylabel: str = "") -> Figure:
        """Mean and standard deviation of some values over the field `x`; `ylabel` says what they are."""
        with house_style():
            figure = new_figure(4.2, 3.0)
            axes = figure.subplots()
            for number, value in enumerate(values):
                points = sorted(self.mean(value, [x]).items())
                at = [key[0] for key, _ in points]
                axes.errorbar(
                    at, [item[0] for _, item in points], yerr=[item[1] for _, item in points], marker="o",
                    capsize=2,
                    color=SERIES[number % len(SERIES)], label=value.replace("_", " "),
                )  # fmt: skip
            axes.set(xlabel=x.replace("_", " "), ylabel=ylabel)
            axes.legend()
        return figure

    def _check(self, *names: str) -> None:
        known = set(self.rows[0]) if self.rows else set()
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(f"The study has no {', '.join(unknown)}. It has: {', '.join(sorted(known))}.")


def study(
    function: Function,
    wanted: Sequence[Condition],
    *,
    jobs: int = -1,
    folder: str | Path | None = None,
    name: str | None = None,
) -> Study:
    """Evaluate ``function(condition)``, which returns numbers by name, under all conditions.

    * `jobs`: processes on this machine, -1 for all cores. Within ``joblib.parallel_config(backend="dask")``
      or ``"ray"`` (once registered) it runs on that cluster instead.
    * `folder`: every finished condition is kept there under `name` (default: that of the function), and is
      not evaluated again. Remove the folder after a change of the function.

    An error in a condition ends the study; what was finished is kept.
    """
    label = name or getattr(function, "__qualname__", type(function).__name__)
    place = None if folder is None else Path(folder)
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    tasks = (joblib.delayed(_evaluate)(function, condition, place, label) for condition in wanted)
    parallel = joblib.Parallel(n_jobs=jobs)
    return Study(tuple(parallel(tasks)))


def _evaluate(function: Function, condition: Condition, folder: Path | None, label: str) -> dict[str, float]:
    path = None
    if folder is not None:
        key = hashlib.sha256(repr((label, sorted(asdict(condition).items()))).encode()).hexdigest()[:16]
        path = folder / f"{key}.json"
        if path.is_file():
            row: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
            return row
    twin.set_num_threads(1)
    torch.set_num_threads(1)  # the conditions themselves are what runs in parallel
    values = dict(function(condition))
    clash = sorted(set(values) & {item.name for item in fields(Condition)})
    if clash:
        raise ValueError(f"The function returns {', '.join(clash)}, which are names of the condition's fields.")
    row = {**asdict(condition), **{name: float(value) for name, value in values.items()}}
    if path is not None:
        write_whole(path, json.dumps(row))
    return row
