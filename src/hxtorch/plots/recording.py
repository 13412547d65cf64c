"""All that was recorded of a neuron in one figure: input and output spikes, CADC, MADC, and the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from hxtorch.plots import style
from hxtorch.plots.traces import WIDTH, event_times, times_of
from hxtorch.snn import Handle
from hxtorch.twin.places.coordinates import CYCLES_PER_US


def plot_traces(
    handle: Handle,
    *,
    inputs: Tensor | None = None,
    model: Handle | Tensor | None = None,
    neurons: int | Sequence[int] = 0,
    batch: int = 0,
    dt: float = 1e-6,
    unit: str = "LSB",
    figure: Figure | None = None,
) -> Figure:
    """Everything a run recorded of some neurons against time: spikes, CADC and MADC traces.

    * `handle`: output of a neuron module after a run; empty ones raise ValueError.
    * `inputs` (T, B, inputs): spikes that are drawn above.
    * `model`: output of the same network in mock mode, or a membrane (T, B, N), drawn as dashed lines over
      the CADC traces; it should be in the same unit.
    * `neurons`: one or several indices; `batch`: which batch entry; `dt`: time step in seconds.
    * `unit`: of the membrane; with `trace_scale` it is usually that of the model.
    """
    chosen = [neurons] if isinstance(neurons, int) else list(neurons)
    spikes, membrane, madc = (getattr(handle, name, None) for name in ("spikes", "membrane_cadc", "membrane_madc"))
    if spikes is None and membrane is None:
        raise ValueError("The handle holds neither spikes nor a membrane. Run the experiment before plotting it.")
    steps = next(tensor.shape[0] for tensor in (membrane, spikes) if tensor is not None)
    end = steps * dt * 1e6
    rows, colours, labels = [], [], []
    if inputs is not None:
        rows.append(event_times(inputs[:, batch], dt))
        colours.append(style.INPUT)
        labels.append("input")
    if spikes is not None:
        for neuron in chosen:
            rows.append(event_times(spikes[:, batch, neuron], dt))
            colours.append(style.SPIKE if len(chosen) == 1 else _colour(chosen.index(neuron)))
            labels.append("output" if len(chosen) == 1 else f"neuron {neuron}")
    heights = [0.25 + 0.17 * len(rows)] * bool(rows) + [1.0] * (membrane is not None) + [1.0] * (madc is not None)
    with style.house_style():
        figure = style.new_figure(WIDTH, 0.7 + 1.55 * sum(heights), figure)
        panels = list(np.atleast_1d(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)))
        left = iter(panels)
        if rows:
            style.raster(next(left), rows, colours, labels)
        if membrane is not None:
            _membranes(next(left), membrane, model, chosen, batch, dt, unit)
        if madc is not None:
            axes = next(left)
            values = madc.detach().cpu().numpy()
            for column in range(values.shape[2] if values.ndim == 4 else 1):
                code = values[1, :, column, batch] if values.ndim == 4 else values[1, :, batch]
                time = values[0, :, column, batch] if values.ndim == 4 else values[0, :, batch]
                axes.plot(time / CYCLES_PER_US, code, color=style.CHIP_FAST, linewidth=0.8)
            axes.set_ylabel("MADC / LSB")
        for panel in panels:
            style.time_axis(panel, end, label=panel is panels[-1])
        figure.align_ylabels(panels)
    return figure


def _membranes(
    axes: Axes, membrane: Tensor, model: Handle | Tensor | None, chosen: list[int], batch: int, dt: float, unit: str
) -> None:
    simulated = getattr(model, "membrane_cadc", None) if isinstance(model, Handle) else model
    for index, neuron in enumerate(chosen):
        values = membrane.detach().cpu().numpy()[:, batch, neuron]
        name = "chip" if len(chosen) == 1 else f"neuron {neuron}"
        axes.plot(times_of(values.size, dt), values, color=_colour(index), marker=".", markersize=3, label=name)
        if simulated is not None:
            wanted = simulated.detach().cpu().numpy()[:, batch, neuron]
            colour = style.MODEL if len(chosen) == 1 else _colour(index)
            label = "model" if index == 0 else None
            axes.plot(times_of(wanted.size, dt), wanted, color=colour, linestyle="--", label=label)
    axes.set_ylabel(f"membrane / {unit}")
    if len(chosen) > 1 or simulated is not None:
        axes.legend(loc="best", ncols=2)


def _colour(index: int) -> str:
    return style.SERIES[index % len(style.SERIES)]
