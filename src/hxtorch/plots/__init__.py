"""Figures for traces and training. Every function returns a matplotlib `Figure` and leaves no setting behind."""

from hxtorch.plots.live import LiveFigure
from hxtorch.plots.style import house_style, new_figure
from hxtorch.plots.traces import plot_alignment, plot_emulation, plot_simulation, plot_targets
from hxtorch.plots.training import TrainingPlot

__all__ = [
    "LiveFigure",
    "TrainingPlot",
    "house_style",
    "new_figure",
    "plot_alignment",
    "plot_emulation",
    "plot_simulation",
    "plot_targets",
]
