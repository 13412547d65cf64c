"""The figure of a training: its curves, what it decides, and the activity of its hidden layer."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hxtorch.plots.style import CHIP, MODEL, SERIES, house_style, new_figure
from hxtorch.reproduce.settings import Task
from hxtorch.reproduce.training import Training, predict

_MAP_POINTS = 60  # per side


def result_figure(task: Task, training: Training, histories: list[dict[str, list[float]]]) -> Figure:
    """Accuracy over epochs of all seeds, decision map or confusion matrix, and hidden spikes of one sample."""
    with house_style():
        figure = new_figure(10.4, 3.0)
        curves, decisions, activity = figure.subplots(1, 3)
        for name, colour in (("train_accuracy", MODEL), ("test_accuracy", CHIP)):
            values = np.array([history[name] for history in histories])
            epochs = np.arange(1, values.shape[1] + 1)
            curves.plot(epochs, values.mean(0), color=colour, label=name.removesuffix("_accuracy"))
            curves.fill_between(epochs, values.min(0), values.max(0), color=colour, alpha=0.2, linewidth=0)
        if task.goal and not task.control:
            curves.axhline(task.goal, color="#7F7F7F", linewidth=0.8, linestyle="--", label="goal")
        curves.set_xlabel("epoch")
        curves.set_ylabel("accuracy")
        curves.legend(loc="lower right")
        if training.settings.data == "yinyang":
            _decision_map(decisions, training)
        else:
            _confusion(decisions, training)
        _activity(activity, training)
    return figure


def _decision_map(axes: Axes, training: Training) -> None:
    side = (np.arange(_MAP_POINTS) + 0.5) / _MAP_POINTS
    x, y = np.meshgrid(side, side)
    inside = (x - 0.5) ** 2 + (y - 0.5) ** 2 <= 0.25
    points = np.stack([x[inside], y[inside], 1 - x[inside], 1 - y[inside]], axis=1)
    scores, _ = predict(training, torch.tensor(points, dtype=torch.float32))
    chosen = scores.argmax(1).numpy()
    for label in range(3):
        axes.scatter(
            x[inside][chosen == label],
            y[inside][chosen == label],
            s=5,
            marker="s",
            color=SERIES[label],
            linewidth=0,
        )
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.set_title("decisions")


def _confusion(axes: Axes, training: Training) -> None:
    scores, _ = predict(training, training.data.test[0])
    counts = np.zeros((training.data.classes, training.data.classes))
    np.add.at(counts, (training.data.test[1].numpy(), scores.argmax(1).numpy()), 1)
    axes.imshow(counts / counts.sum(1, keepdims=True), cmap="Blues", vmin=0, vmax=1)
    axes.set_xlabel("decided")
    axes.set_ylabel("class")
    axes.grid(visible=False)


def _activity(axes: Axes, training: Training) -> None:
    predict(training, training.data.test[0][:1])
    hidden = training.model.network.s_h
    assert hidden is not None and hidden.spikes is not None
    step, neuron = np.nonzero(hidden.spikes[:, 0].detach().numpy())
    axes.plot(step * training.settings.dt * 1e6, neuron, "|", color=CHIP, markersize=3)
    axes.set_xlim(0, training.settings.steps * training.settings.dt * 1e6)
    axes.set_ylim(-1, training.settings.hidden)
    axes.set_xlabel("time / µs")
    axes.set_ylabel("hidden neuron")
    axes.set_title("spikes for one sample")
