"""The figures of the introduction, shown by pyplot; `hxtorch.plots` draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
from numpy.typing import ArrayLike
from torch import Tensor

from hxtorch import plots
from hxtorch.snn import NeuronHandle, ReadoutNeuronHandle


def plot_compare_traces(inputs: Tensor, z: NeuronHandle) -> None:
    """Spikes, CADC and MADC trace of the emulated neuron."""
    plots.plot_emulation(inputs, z, figure=plt.figure())


def plot_mock(inputs: Tensor, z: NeuronHandle) -> None:
    """Spikes and membrane of the simulated neuron."""
    plots.plot_simulation(inputs, z, figure=plt.figure())


def plot_scaled_trace(inputs: Tensor, bss2_traces: Sequence[ArrayLike], mock_trace: ArrayLike) -> None:
    """Scaled traces of several runs on the chip, and the trace of the model."""
    plots.plot_alignment(inputs, bss2_traces, mock_trace, figure=plt.figure())


def plot_targets(targets: Tensor) -> None:
    """The traces that the readout neurons are to follow."""
    plots.plot_targets(targets, figure=plt.figure())


def plot_training(inputs: Tensor, target: Tensor, epochs: int) -> Callable[[float, ReadoutNeuronHandle], None]:
    """
    Prepare the figure of a training; returns `update(loss, y)` for every epoch.

    In a notebook `update` shows the figure as often as the training is hardly slowed down, and at the end.
    """
    training = plots.TrainingPlot(inputs, target, epochs, figure=plt.figure())
    live = plots.LiveFigure(training.figure)

    def update(loss: float, y: ReadoutNeuronHandle) -> None:
        assert y.membrane_cadc is not None
        training.update(loss, y.membrane_cadc)
        live.show(force=training.finished)

    return update
