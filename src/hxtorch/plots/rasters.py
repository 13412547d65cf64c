"""Spikes of whole populations."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from hxtorch.plots import style
from hxtorch.plots.traces import WIDTH


def plot_raster(
    spikes: Tensor, *, batch: int = 0, dt: float = 1e-6, name: str = "neuron", figure: Figure | None = None
) -> Figure:
    """Raster of spikes (T, B, N) of one batch entry, with the rate of the population below.

    `dt` is the time step in seconds. Other shapes: ValueError.
    """
    if spikes.ndim != 3:
        raise ValueError(f"The spikes have shape {tuple(spikes.shape)}, expected (time, batch, neuron).")
    values = spikes.detach().cpu().to_dense().numpy()[:, batch]
    steps, neurons = values.shape
    step, neuron = np.nonzero(values)
    rate = values.astype(bool).mean(1) / dt / 1e3  # per neuron, in kHz of the chip's time
    with style.house_style():
        figure = style.new_figure(WIDTH, 3.4, figure)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(1.0, 0.32))
        height = min(12.0, 130.0 / neurons)  # points: rows just do not touch
        top.plot(step * dt * 1e6, neuron, "|", color=style.SPIKE, markersize=max(height, 1.0), markeredgewidth=0.9)
        top.set_ylim(-0.5, neurons - 0.5)
        top.set_ylabel(name)
        top.grid(visible=False)
        bottom.fill_between(
            np.arange(steps) * dt * 1e6, rate, step="mid", color=style.SPIKE, alpha=0.6, linewidth=0
        )
        bottom.set_ylim(0, max(rate.max() * 1.1, 1e-9))
        bottom.set_ylabel("rate / kHz")
        style.time_axis(top, steps * dt * 1e6, label=False)
        style.time_axis(bottom, steps * dt * 1e6)
        figure.align_ylabels([top, bottom])
    return figure
