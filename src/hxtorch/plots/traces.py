"""Figures of membrane traces: of an emulated neuron, of a simulated one, and of both laid over each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from hxtorch.plots import style
from hxtorch.snn import NeuronHandle
from hxtorch.twin.places.coordinates import CYCLES_PER_US

WIDTH = 6.0  # inches
CADC_LIMITS = (-60.0, 0.0)  # signed LSB, the range of a neuron between reset and threshold
MADC_LIMITS = (250.0, 550.0)  # LSB, the same range with room above
MODEL_LIMITS = (60.0, 140.0)  # around leak 80 and threshold 125
ALIGNED_LIMITS = (-0.2, 0.6)  # in units of the distance between leak and threshold


def plot_emulation(
    inputs: Tensor,
    z: NeuronHandle,
    *,
    batch: int = 0,
    neuron: int = 0,
    dt: float = 1e-6,
    figure: Figure | None = None,
) -> Figure:
    """Input and output spikes, CADC and (where recorded) MADC trace of one neuron on the chip against time.

    `inputs` (T, B, N) and the handle's tensors belong to one run with time step `dt` in seconds. A handle
    without CADC trace raises ValueError.
    """
    if z.membrane_cadc is None:
        raise ValueError("The handle holds no membrane_cadc. Run the experiment before plotting it.")
    end = inputs.shape[0] * dt * 1e6
    with style.house_style():
        figure = style.new_figure(WIDTH, 4.4 if z.membrane_madc is not None else 3.0, figure)
        rows = 3 if z.membrane_madc is not None else 2
        panels = figure.subplots(rows, 1, sharex=True, height_ratios=(0.42, *[1.0] * (rows - 1)))
        _spike_rows(panels[0], inputs, z, batch, neuron, dt)
        cadc = _column(z.membrane_cadc, batch, neuron)
        panels[1].plot(times_of(cadc.size, dt), cadc, color=style.CHIP, marker=".", markersize=4)
        panels[1].set_ylim(CADC_LIMITS)
        panels[1].set_ylabel("CADC / LSB")
        if z.membrane_madc is not None:
            madc = z.membrane_madc.detach().cpu().numpy()
            panels[2].plot(
                madc[0, :, batch] / CYCLES_PER_US, madc[1, :, batch], color=style.CHIP_FAST, linewidth=0.8
            )
            panels[2].set_ylim(MADC_LIMITS)
            panels[2].set_ylabel("MADC / LSB")
        for panel in panels:
            style.time_axis(panel, end, label=panel is panels[-1])
        figure.align_ylabels(list(panels))
    return figure


def plot_simulation(
    inputs: Tensor,
    z: NeuronHandle,
    *,
    batch: int = 0,
    neuron: int = 0,
    dt: float = 1e-6,
    figure: Figure | None = None,
) -> Figure:
    """Input and output spikes and membrane of one neuron of the model against time.

    Arguments as in `plot_emulation`. A handle without membrane raises ValueError.
    """
    if z.membrane_cadc is None:
        raise ValueError("The handle holds no membrane_cadc. Run the experiment before plotting it.")
    end = inputs.shape[0] * dt * 1e6
    with style.house_style():
        figure = style.new_figure(WIDTH, 3.0, figure)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(0.42, 1.0))
        _spike_rows(top, inputs, z, batch, neuron, dt)
        membrane = _column(z.membrane_cadc, batch, neuron)
        bottom.plot(times_of(membrane.size, dt), membrane, color=style.MODEL)
        bottom.set_ylim(MODEL_LIMITS)
        bottom.set_ylabel("model membrane")
        style.time_axis(top, end, label=False)
        style.time_axis(bottom, end)
    return figure


def plot_alignment(
    inputs: Tensor,
    chip_traces: Sequence[ArrayLike],
    model_trace: ArrayLike,
    *,
    batch: int = 0,
    dt: float = 1e-6,
    figure: Figure | None = None,
) -> Figure:
    """Scaled traces of repeated runs on the chip (each (T,)), their mean, and the model's trace (T,).

    Values are in units of the distance between leak and threshold.
    """
    chip = np.asarray([np.asarray(trace, dtype=np.float64).reshape(-1) for trace in chip_traces])
    model = np.asarray(model_trace, dtype=np.float64).reshape(-1)
    times = times_of(model.size, dt)
    with style.house_style():
        figure = style.new_figure(WIDTH, 3.0, figure)
        axes = figure.subplots()
        for event in np.unique(event_times(inputs[:, batch], dt)):
            axes.axvline(event, color=style.INPUT, linewidth=1.0, linestyle=":")
        for trace in chip:
            axes.plot(times_of(trace.size, dt), trace, color=style.CHIP, alpha=0.25, linewidth=0.8)
        axes.plot(times, chip.mean(0), color=style.CHIP, label=f"chip, mean of {len(chip)} runs")
        axes.plot(times, model, color=style.MODEL, linestyle="--", label="model")
        axes.plot([], [], color=style.INPUT, linewidth=1.0, linestyle=":", label="input")
        axes.set_ylim(ALIGNED_LIMITS)
        axes.set_ylabel("membrane / (threshold − leak)")
        axes.legend(loc="upper right")
        style.time_axis(axes, model.size * dt * 1e6)
    return figure


def plot_targets(targets: Tensor, *, dt: float = 1e-6, figure: Figure | None = None) -> Figure:
    """Target traces (T, B, N) of the first batch entry against time."""
    values = targets.detach().cpu().numpy()[:, 0]
    times = times_of(values.shape[0], dt)
    with style.house_style():
        figure = style.new_figure(WIDTH, 2.6, figure)
        axes = figure.subplots()
        for index in range(values.shape[1]):
            axes.plot(
                times, values[:, index], color=style.SERIES[index % len(style.SERIES)], label=f"readout {index}"
            )
        axes.set_ylim(-1.15, 1.15)
        axes.set_ylabel("target / (threshold − leak)")
        figure.legend(loc="outside upper right", ncols=values.shape[1])
        style.time_axis(axes, values.shape[0] * dt * 1e6)
    return figure


def times_of(rows: int, dt: float) -> NDArray[np.floating[Any]]:
    """Times of the time steps in µs."""
    return np.arange(rows) * dt * 1e6


def _column(trace: Tensor, batch: int, neuron: int) -> NDArray[np.float32]:
    values: NDArray[np.float32] = trace.detach().cpu().numpy()[:, batch, neuron]
    return values


def event_times(spikes: Tensor, dt: float) -> NDArray[np.floating[Any]]:
    """Times in µs of all events in `spikes` (T, ...)."""
    return np.nonzero(spikes.detach().cpu().numpy())[0] * dt * 1e6


def _spike_rows(axes: Axes, inputs: Tensor, z: NeuronHandle, batch: int, neuron: int, dt: float) -> None:
    rows: list[NDArray[Any]] = [event_times(inputs[:, batch], dt)]
    if z.spikes is not None:
        rows.append(event_times(z.spikes[:, batch, neuron], dt))
    style.raster(axes, rows, (style.INPUT, style.SPIKE)[: len(rows)], ("input", "output")[: len(rows)])
