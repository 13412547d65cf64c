"""A figure that follows a training: loss over epochs, and the traces against their targets."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from hxtorch.plots import style

WIDTH, HEIGHT = 7.2, 4.2  # inches


class TrainingPlot:
    """Loss on a logarithmic axis, input spikes, and every readout neuron's trace with its target.

    `inputs` (T, B, inputs) and `targets` (T, B, outputs); the first batch entry is drawn. `update` after each
    epoch is cheap: it changes the figure's data and draws nothing.
    """

    def __init__(
        self,
        inputs: Tensor,
        targets: Tensor,
        epochs: int,
        *,
        dt: float = 1e-6,
        figure: Figure | None = None,
    ) -> None:
        self.epochs = epochs
        self.losses: list[float] = []
        wanted = targets.detach().cpu().numpy()[:, 0]
        steps, outputs = wanted.shape
        times = np.arange(steps) * dt * 1e6
        with style.house_style():
            self.figure = style.new_figure(WIDTH, HEIGHT, figure)
            left, right = self.figure.subfigures(1, 2, squeeze=False, width_ratios=(1.0, 1.15))[0]
            self._loss_axes, raster = left.subplots(2, 1)
            (self._loss_line,) = self._loss_axes.plot([], [], color=style.MODEL)
            self._loss_axes.set_yscale("log")
            self._loss_axes.set_xlim(0, max(epochs, 2) - 1)
            self._loss_axes.set_ylim(1e-3, 1.0)
            self._loss_axes.set_xlabel("epoch")
            self._loss_axes.set_ylabel("mean squared error")

            step, channel = np.nonzero(inputs.detach().cpu().numpy()[:, 0])
            raster.plot(step * dt * 1e6, channel, "|", color=style.INPUT, markersize=2.5, markeredgewidth=0.8)
            raster.set_ylim(-1, inputs.shape[2])
            raster.set_ylabel("input")
            raster.grid(visible=False)
            style.time_axis(raster, steps * dt * 1e6)

            panels = np.atleast_1d(right.subplots(outputs, 1, sharex=True, sharey=True))
            self._trace_lines = []
            for index, panel in enumerate(panels):
                (line,) = panel.plot([], [], color=style.SERIES[index % len(style.SERIES)])
                panel.plot(times, wanted[:, index], color=style.ink(), linewidth=0.8, linestyle="--")
                self._trace_lines.append(line)
                panel.set_ylim(-1.5, 1.5)
                panel.set_ylabel(f"readout {index}")
                style.time_axis(panel, steps * dt * 1e6, label=panel is panels[-1])
            panels[0].set_title("membrane / (threshold − leak), dashed: target")
        self._times = times

    def update(self, loss: float, traces: Tensor) -> None:
        """Add the loss of one epoch and show its traces (T, B, outputs)."""
        self.losses.append(float(loss))
        self._loss_line.set_data(range(len(self.losses)), self.losses)
        low, high = self._loss_axes.get_ylim()
        if loss > 0 and math.isfinite(loss) and not low <= loss <= high:
            decade = math.floor(math.log10(loss))
            self._loss_axes.set_ylim(min(low, 10.0**decade), max(high, 10.0 ** (decade + 1)))
        values = traces.detach().cpu().numpy()[:, 0]
        for index, line in enumerate(self._trace_lines):
            line.set_data(self._times[: len(values)], values[: len(self._times), index])

    @property
    def finished(self) -> bool:
        """Whether all epochs were shown."""
        return len(self.losses) >= self.epochs
