"""Figures for traces, spikes, weights, chips and training.

Every function returns a matplotlib `Figure` and leaves no setting behind. Inside of ``with theme("dark"):``
figures are drawn for a dark screen.
"""

from hxtorch.plots.chips import plot_calibration, plot_die
from hxtorch.plots.curves import TrainingCurves, plot_curves
from hxtorch.plots.live import LiveFigure
from hxtorch.plots.mapping import plot_mapping
from hxtorch.plots.rasters import plot_raster
from hxtorch.plots.recording import plot_traces
from hxtorch.plots.style import house_style, new_figure, theme
from hxtorch.plots.traces import plot_alignment, plot_emulation, plot_simulation, plot_targets
from hxtorch.plots.training import TrainingPlot
from hxtorch.plots.weights import plot_weights

__all__ = [
    "LiveFigure",
    "TrainingCurves",
    "TrainingPlot",
    "house_style",
    "new_figure",
    "plot_alignment",
    "plot_calibration",
    "plot_curves",
    "plot_die",
    "plot_emulation",
    "plot_mapping",
    "plot_raster",
    "plot_simulation",
    "plot_targets",
    "plot_traces",
    "plot_weights",
    "theme",
]
