"""Curves of a training, live in a notebook."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hxtorch.plots import style
from hxtorch.plots.live import LiveFigure


class TrainingCurves:
    """Loss, accuracy and whatever else over epochs; every `update` adds a point and shows it in a notebook.

    Values named ``..._train`` and ``..._test`` (or ``train_...``, ``test_...``) share a panel. Losses have a
    logarithmic axis. Drawing takes a tenth of the time at most (`LiveFigure`); `show` draws in any case.

    Examples:
        >>> from hxtorch import plots
        >>> curves = plots.TrainingCurves()
        >>> for epoch in range(3):
        ...     curves.update(loss=1 / (epoch + 1), accuracy=epoch / 2)
        >>> curves.history["accuracy"]
        [0.0, 0.5, 1.0]
    """

    def __init__(self, history: Mapping[str, list[float]] | None = None) -> None:
        self.history: dict[str, list[float]] = {name: list(values) for name, values in (history or {}).items()}
        self._live: LiveFigure | None = None

    def update(self, **values: float) -> None:
        """Add one epoch."""
        for name, value in values.items():
            self.history.setdefault(name, []).append(float(value))
        self._draw(force=False)

    def show(self) -> None:
        """Show the present curves in the notebook."""
        self._draw(force=True)

    @property
    def figure(self) -> Figure:
        """A figure of the present curves."""
        return plot_curves(self.history)

    def _draw(self, force: bool) -> None:
        if self._live is None:
            self._live = LiveFigure(Figure())
        if self._live.due(force):
            self._live.figure = plot_curves(self.history)
            self._live.show(force=True, replace=True)


def plot_curves(history: Mapping[str, list[float]], *, figure: Figure | None = None) -> Figure:
    """Values by epoch, one panel per quantity: ``{"loss": [...], "test_accuracy": [...]}``.

    Nothing to draw: ValueError.
    """
    panels: dict[str, dict[str, list[float]]] = {}
    for name, values in history.items():
        quantity, part = _split(name)
        panels.setdefault(quantity, {})[part] = values
    if not panels:
        raise ValueError("There is nothing to draw. Give at least one quantity with its values by epoch.")
    with style.house_style():
        figure = style.new_figure(3.4 * len(panels) + 0.4, 2.6, figure)
        for axes, (quantity, parts) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels.items()):
            for index, (part, values) in enumerate(parts.items()):
                colour = style.SERIES[index % len(style.SERIES)]
                axes.plot(range(1, len(values) + 1), values, color=colour, label=part or None)
            numbers = [value for values in parts.values() for value in values if math.isfinite(value)]
            if quantity == "loss" and numbers and min(numbers) > 0:
                axes.set_yscale("log")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_xlabel("epoch")
            axes.set_ylabel(quantity)
            if any(parts):
                axes.legend()
    return figure


def _split(name: str) -> tuple[str, str]:
    """Quantity and part: ``test_loss`` is the part test of the loss."""
    for part in ("train", "test", "val", "validation"):
        if name.startswith(f"{part}_"):
            return name[len(part) + 1 :], part
        if name.endswith(f"_{part}"):
            return name[: -len(part) - 1], part
    return name, ""
