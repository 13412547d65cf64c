"""The sections of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from hxtorch._html import Series, bars, details, escape, facts, lines, note, strip, table
from hxtorch.connection import connected_chip
from hxtorch.snn.graph.last_run import LastRun
from hxtorch.snn.handles.display import tensor_html
from hxtorch.snn.modules.population import Population
from hxtorch.snn.modules.synapse import Synapse
from hxtorch.snn.report.chip_use import ChipUse
from hxtorch.twin import Die
from hxtorch.twin.places.coordinates import CIRCUITS, MAX_WEIGHT, ROWS

_PARTS = ("train", "test", "validation")  # of the data: curves of these share a drawing
MOST_WEIGHTS = 64, 256
"""Of larger matrices the drawing shows the first rows and columns."""


def network(ran: LastRun) -> str:
    """Modules in their order, and what they read."""
    boxes, rows = [], []
    for index, item in enumerate(ran.modules):
        module = item.module
        sources = ", ".join("input" if source is None else str(source) for source in item.sources)
        sizes = " → ".join(str(n) for n in dict.fromkeys((module.input_size, module.output_size)) if n is not None)
        boxes.append(
            f"<li><strong>{index}</strong> {escape(type(module).__name__)} <small>{escape(sizes)}, reads "
            f"{escape(sources)}</small></li>"
        )
        rows.append((index, repr(module)))
    return f'<ul class="flow">{"".join(boxes)}</ul>' + details("settings of all modules", table(rows))


def mapping(uses: Sequence[ChipUse]) -> str:
    """Where the populations are on the chip, and how much of it they take."""
    parts = []
    for number, use in enumerate(uses):
        if len(uses) > 1:
            parts.append(f"<h3>run {number}: {escape(use.name)}</h3>")
        rows = [(name, places.shape[0], places.size, _ranges(places)) for name, places in use.circuits.items()]
        parts.append(table(rows, ("population", "neurons", "circuits", "where")))
        parts.append(strip(use.places(), title="circuits in use"))
        parts.append(
            note(
                f"{use.used.size} of {CIRCUITS} circuits. Synapse rows of {ROWS}: {use.rows[0]} top, "
                f"{use.rows[1]} bottom. The map shows 2 hemispheres × 256 columns."
            )
        )
    return "".join(parts)


def chip(uses: Sequence[ChipUse]) -> str:
    """The connected chip and its fixed pattern, as far as it is known."""
    present = connected_chip()
    name = uses[0].calibration.chip_identifier if uses else "none"
    die = getattr(present, "die", None)
    values: dict[str, object] = {"chip": name}
    if present is not None and present.identifier != name:
        values["connected now"] = present.identifier
    if isinstance(die, Die) and die.identifier == name:
        return facts("", values) + details("fixed pattern of this virtual chip", die._repr_html_())
    return facts("", values)


def calibration(uses: Sequence[ChipUse]) -> str:
    """The calibrations in use."""
    seen = {id(use.calibration): use.calibration for use in uses}
    return "".join(result._repr_html_() for result in seen.values())


def recordings(ran: LastRun, dt: float) -> str:
    """Drawings of the inputs and of everything that neurons recorded; first batch entry, first neurons."""
    parts, shown = [], set()
    for index, item in enumerate(ran.modules):
        for given in item.given:
            for name, value in given.items():
                if value.data_ptr() not in shown:
                    shown.add(value.data_ptr())
                    picture = tensor_html(name, value, dt)
                    parts.append(f"<h3>input of module {index}</h3>{picture}" if picture else "")
        if isinstance(item.module, Population):
            pictures = "".join(tensor_html(name, value, dt) for name, value in item.recorded.items())
            parts.append(f"<h3>module {index}: {escape(type(item.module).__name__)}</h3>{pictures}")
    return "".join(parts)


def weights(ran: LastRun) -> str:
    """Weights of every synapse as the chip gets them, and how often each value occurs."""
    parts = []
    for index, item in enumerate(ran.modules):
        module = item.module
        if not isinstance(module, Synapse):
            continue
        with torch.no_grad():
            values = torch.round(module.weight_transform(module.weight)).cpu().numpy()
        saturated = float((np.abs(values) >= MAX_WEIGHT).mean())
        count, edges = np.histogram(values, bins=min(63, max(9, values.size // 4)))
        rows, columns = MOST_WEIGHTS
        height = max(3, min(16, 160 // max(1, min(rows, values.shape[0]))))
        parts.append(
            f"<h3>module {index}: {values.shape[1]} → {values.shape[0]}</h3>"
            + strip(values[:rows, :columns], row_height=height, title="weights, postsynaptic neurons downwards")
            + bars(edges, count, "weight on the chip / LSB", "synapses")
            + note(f"{saturated:.1%} at the limits of ±{MAX_WEIGHT}.")
        )
    return "".join(parts)


def training(history: Mapping[str, Sequence[float]]) -> str:
    """Curves of a training by epoch, those of one quantity in one drawing; losses have a logarithmic axis."""
    panels: dict[str, list[tuple[str, np.ndarray]]] = {}
    for name, values in history.items():
        quantity = " ".join(word for word in _words(name) if word not in _PARTS) or name
        panels.setdefault(quantity, []).append((name, np.asarray(list(values), dtype=np.float64)))
    parts = []
    for quantity, curves in panels.items():
        several = len(curves) > 1
        series = [
            Series(np.arange(1, values.size + 1), values, " ".join(_words(name)) if several else "")
            for name, values in curves
        ]
        log = "loss" in quantity and any((values > 0).any() for _, values in curves)
        parts.append(f"<h3>{escape(quantity)}</h3>" + lines(series, "epoch", quantity, log=log, whole=True))
        parts += [
            note(f"{' '.join(_words(name))}: first {v[0]:.4g}, last {v[-1]:.4g}, {v.size} epochs")
            for name, v in curves
            if v.size
        ]
    return "".join(parts)


def _words(name: str) -> list[str]:
    return name.replace("_", " ").split()


def warnings(sentences: Sequence[str]) -> str:
    """The list of findings, or that there are none."""
    if not sentences:
        return '<ul class="warnings fine"><li>Nothing stood out.</li></ul>'
    return f'<ul class="warnings">{"".join(f"<li>{escape(text)}</li>" for text in sentences)}</ul>'


def _ranges(places: np.ndarray) -> str:
    """Circuits in short: ``0-63, 256-319``."""
    numbers = np.unique(places)
    breaks = np.flatnonzero(np.diff(numbers) > 1) + 1
    groups = np.split(numbers, breaks)
    text = ", ".join(f"{g[0]}-{g[-1]}" if g.size > 1 else str(g[0]) for g in groups[:6])
    return text + (" ..." if len(groups) > 6 else "")
