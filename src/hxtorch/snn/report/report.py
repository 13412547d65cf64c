"""Putting a report together and writing it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from hxtorch._files.whole import write_whole
from hxtorch._html import details, facts, note, table
from hxtorch.connection import connected_chip
from hxtorch.snn.modules.population import Population
from hxtorch.snn.modules.synapse import Synapse
from hxtorch.snn.report import sections
from hxtorch.snn.report.chip_use import chip_uses
from hxtorch.snn.report.findings import findings
from hxtorch.snn.report.page import Section, page
from hxtorch.snn.report.reported import Reported

if TYPE_CHECKING:
    from hxtorch.snn.graph.last_run import LastRun

Curves = Mapping[str, Sequence[float]]
"""Values by epoch, by name."""


def report_html(experiment: Reported, title: str = "", training: Curves | None = None) -> str:
    """The report of the last run of `experiment` as an HTML document; ValueError if nothing was run.

    `training` are values by epoch, for example ``{"loss": [...], "test accuracy": [...]}``.
    """
    ran = experiment.last_run
    if ran is None:
        raise ValueError("There is nothing to report: the experiment has not been run yet.")
    uses = chip_uses(experiment)
    parts = [
        Section("summary", "Summary", _summary(experiment, ran)),
        Section("warnings", "Warnings", sections.warnings(findings(ran, uses))),
        Section("network", "Network", sections.network(ran)),
    ]
    if uses:
        parts += [
            Section("mapping", "Mapping", sections.mapping(uses)),
            Section("chip", "Chip", sections.chip(uses)),
            Section("calibration", "Calibration", sections.calibration(uses)),
        ]
    parts.append(Section("recordings", "Recordings", sections.recordings(ran, experiment.dt)))
    if any(isinstance(item.module, Synapse) for item in ran.modules):
        parts.append(Section("weights", "Weights", sections.weights(ran)))
    if training:
        parts.append(Section("training", "Training", sections.training(training)))
    where = f"on {uses[0].calibration.chip_identifier}" if uses else "in mock mode"
    packages = ", ".join(f"{name} {version(name)}" for name in ("hxtorch", "torch", "numpy"))
    footer = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {packages}, Python {platform.python_version()}"
    return page(title or "Experiment", f"{_modules(ran)}, {where}", parts, footer)


def write_report(
    experiment: Reported,
    path: str | Path,
    title: str = "",
    training: Curves | None = None,
) -> Path:
    """Write the report to `path`, one file that needs nothing else, and return the path."""
    return write_whole(path, report_html(experiment, title, training))


def experiment_html(experiment: Reported) -> str:
    """An experiment in a notebook: its settings, what ran last, and what stood out."""
    chip = connected_chip()
    values: dict[str, object] = {
        "mode": "model alone (mock)" if experiment.mock else "on the chip",
        "time step": f"{experiment.dt * 1e6:g} µs",
    }
    if not experiment.mock:
        values["connected"] = "no chip" if chip is None else chip.identifier
    ran = experiment.last_run
    if ran is None:
        return facts("Experiment", values, note("It has not run yet."))
    uses = chip_uses(experiment)
    below = sections.network(ran) + details("last run", _summary(experiment, ran))
    found = findings(ran, uses)
    if found:
        below += details("1 warning" if len(found) == 1 else f"{len(found)} warnings", sections.warnings(found))
    return facts("Experiment", values, below)


def _summary(experiment: Reported, ran: LastRun) -> str:
    shapes = [value.shape for item in ran.modules for value in item.recorded.values() if value.ndim == 3]
    time_steps = next((shape[0] for shape in shapes), 0)
    rows: list[tuple[str, object]] = [
        ("mode", "model alone (mock)" if experiment.mock else "on the chip"),
        ("time step", f"{experiment.dt * 1e6:g} µs"),
        ("time steps", f"{time_steps} ({time_steps * experiment.dt * 1e6:g} µs of the chip's time)"),
        ("batch size", next((shape[1] for shape in shapes), 0)),
        ("neurons", sum(item.module.size for item in ran.modules if isinstance(item.module, Population))),
        ("synapses", sum(item.module.weight.numel() for item in ran.modules if isinstance(item.module, Synapse))),
    ]
    if ran.info is not None:
        rows += [(f"time: {name}", _duration(seconds)) for name, seconds in ran.info.time.items()]
        rows += [(name.replace("_", " "), count) for name, count in ran.info.health.items()]
    return table(rows)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"


def _modules(ran: LastRun) -> str:
    return "1 module" if len(ran.modules) == 1 else f"{len(ran.modules)} modules"
