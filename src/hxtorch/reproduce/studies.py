"""The questions that one chip cannot answer, asked of the trainings of `hxtorch.reproduce`.

Each function trains or moves one network under one condition and returns its test errors (0..1). Networks that
several conditions share are trained once and kept as checkpoints.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from hxtorch._files.whole import write_whole, written_whole
from hxtorch.calibration.result import VERSION as CALIBRATION_VERSION
from hxtorch.plots.style import SERIES, house_style, new_figure
from hxtorch.reproduce.data import load_data
from hxtorch.reproduce.moves import (
    chip_weights,
    on_chip,
    population_weights,
    software_weights,
    train_steps,
)
from hxtorch.reproduce.settings import Settings
from hxtorch.reproduce.tasks import TASKS
from hxtorch.reproduce.training import Training, accuracy, train_epoch
from hxtorch.snn.utils import code_version
from hxtorch.study import Condition, Study, conditions, connected, study
from hxtorch.twin import DEFAULT_CHIP_SEED

_DPI = 130
_NETWORKS = "networks"  # folder of trained networks within that of a study
_POPULATION = tuple(range(200, 208))  # chips that a network is trained on at the same time
_DROPOUT = 0.4
_STEPS = (5, 20, 100)  # batches in the loop on a new chip


@dataclass(frozen=True)
class InTheLoopAndTransferred:
    """Trains under the condition, and moves a network that was trained in the model alone onto the same chip.

    Returns the errors `in_the_loop` and `transferred`.
    """

    settings: Settings
    state: Path

    def __call__(self, condition: Condition) -> dict[str, float]:
        """Errors under a condition."""
        data = load_data(self.settings)
        software = software_weights(self.settings, condition.seed, data, self.state)
        with connected(condition):
            torch.manual_seed(condition.seed)
            training = on_chip(self.settings, condition, data)
            start = {name: value.clone() for name, value in training.model.state_dict().items()}
            training.model.load_state_dict(software)
            transferred = _error(training)
            training.model.load_state_dict(start)
            for _ in range(self.settings.epochs):
                train_epoch(training)
            return {"in_the_loop": _error(training), "transferred": transferred}


@dataclass(frozen=True)
class NeuronsDieLater:
    """Trains healthy networks in the loop, without and with dropout, whose neurons die afterwards.

    Returns the errors `healthy` and `dead`, and those of training with 40 % dropout.
    """

    settings: Settings
    state: Path

    def __call__(self, condition: Condition) -> dict[str, float]:
        """Errors before and after."""
        data = load_data(self.settings)
        values = {}
        for dropout, suffix in ((0.0, ""), (_DROPOUT, "_dropout")):
            settings = replace(self.settings, dropout=dropout)
            weights = chip_weights(settings, condition.seed, data, condition.chip, self.state)
            for name, state in (("healthy", replace(condition, dead_neurons=0.0)), ("dead", condition)):
                with connected(state):
                    torch.manual_seed(condition.seed)
                    training = on_chip(settings, state, data)
                    training.model.load_state_dict(weights)
                    values[name + suffix] = _error(training)
        return values


@dataclass(frozen=True)
class ToOtherChips:
    """Moves networks to the chip of the condition.

    Returns the errors of a network trained in the loop on the `home` chip: there; on the other chip with the
    calibration registers of the home chip (`as_it_is`); with the other chip's own calibration and alignment
    (`recalibrated`); after 5, 20 and 100 batches in the loop there (`steps_5` ...). And, with the other chip's
    own calibration, of networks trained in the model alone (`software`) and on eight further chips
    (`population`).
    """

    settings: Settings
    state: Path

    def __call__(self, condition: Condition) -> dict[str, float]:
        """Errors when moved to the chip of a condition."""
        data = load_data(self.settings)
        seed = condition.seed
        weights = chip_weights(self.settings, seed, data, DEFAULT_CHIP_SEED, self.state)
        software = software_weights(self.settings, seed, data, self.state)
        population = population_weights(self.settings, seed, data, _POPULATION, self.state)
        home = replace(condition, chip=DEFAULT_CHIP_SEED)
        values = {}
        with connected(home):
            torch.manual_seed(seed)
            training = on_chip(self.settings, home, data)
            training.model.load_state_dict(weights)
            values["home"] = _error(training)
        with connected(condition):
            torch.manual_seed(seed)
            values["as_it_is"] = _error(training)
            moved = on_chip(self.settings, condition, data)
            for name, loaded in (("software", software), ("population", population), ("recalibrated", weights)):
                moved.model.load_state_dict(loaded)
                values[name] = _error(moved)
            done = 0
            for steps in _STEPS:
                train_steps(moved, steps - done)
                done = steps
                values[f"steps_{steps}"] = _error(moved)
        return values


def _error(training: Training) -> float:
    return 1 - accuracy(training)


Function = type[InTheLoopAndTransferred] | type[NeuronsDieLater] | type[ToOtherChips]


@dataclass(frozen=True)
class Question:
    """A study: its function for some settings, the conditions without seeds, and what is drawn over what.

    `published` says what was found on a chip. `task` is the training; with `small` changes of its settings
    a study takes minutes, and without them (``full``) it is that of the publication. `seeds` per condition.
    """

    title: str
    function: Function
    vary: str
    values: tuple[float, ...]
    shown: tuple[str, ...]
    by: tuple[str, ...]
    published: str = ""
    task: str = "yinyang"
    small: dict[str, Any] = field(default_factory=dict)
    seeds: int = 3


_BOTH = ("in_the_loop", "transferred")
_FEW_IMAGES = {"train_size": 5000, "test_size": 2000, "epochs": 10}
_FIGURE_4 = "Cramer et al. 2022, figure 4"
QUESTIONS = {
    "decalibration": Question(
        "Test error against decalibration: in the loop, and transferred from the model", InTheLoopAndTransferred,
        "decalibration", (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), _BOTH, ("decalibration",),
        f"in the loop flat up to 30 %, transferred networks far worse ({_FIGURE_4})", "mnist16", _FEW_IMAGES, 5,
    ),
    "dying-neurons": Question(
        "Test error when hidden neurons die after the training, with and without dropout in it", NeuronsDieLater,
        "dead_neurons", (0.05, 0.15, 0.3), ("healthy", "dead", "healthy_dropout", "dead_dropout"),
        ("dead_neurons",), f"at 15 % an error larger by 37 %, with 40 % dropout by 10 % ({_FIGURE_4})", "mnist16",
        _FEW_IMAGES, 5,
    ),
    "dead-neurons": Question(
        "Test error of networks trained with dead neurons", InTheLoopAndTransferred, "dead_neurons",
        (0.0, 0.05, 0.15, 0.3), _BOTH, ("dead_neurons",),
    ),
    "dead-synapses": Question(
        "Test error of networks trained with dead synapses", InTheLoopAndTransferred, "dead_synapses",
        (0.0, 0.05, 0.15, 0.3), _BOTH, ("dead_synapses",),
    ),
    "dead-columns": Question(
        "Test error of networks trained with dead columns", InTheLoopAndTransferred, "dead_columns",
        (0.0, 0.05, 0.15, 0.3), _BOTH, ("dead_columns",),
    ),
    "noise": Question(
        "Test error against temporal noise", InTheLoopAndTransferred, "noise", (0.0, 1.0, 2.0, 4.0, 8.0), _BOTH,
        ("noise",),
    ),
    "transfer": Question(
        "Test error of networks moved to 20 other chips", ToOtherChips, "chip", tuple(range(100, 120)),
        ("home", "as_it_is", "software", "recalibrated", "population", *(f"steps_{n}" for n in _STEPS)), (),
        "nothing: there is no study over many chips",
    ),
}  # fmt: skip


def answer(
    name: str, *, task: str | None = None, seeds: int | None = None, epochs: int | None = None, full: bool = False,
    jobs: int = -1, out: Path = Path("docs/results"), state: Path = Path("out/study"),
) -> Study:  # fmt: skip
    """Run a study of `QUESTIONS` on a training of `TASKS`; writes ``out/study-NAME.json`` and ``.png``.

    With `full` the training is that of the task, unshortened.
    """
    question = QUESTIONS[name]
    chosen, number = task or question.task, seeds or question.seeds
    settings = TASKS[chosen].settings
    if not full and chosen == question.task:
        settings = replace(settings, **question.small)
    if epochs is not None:
        settings = replace(settings, epochs=epochs)
    wanted = conditions(**{"seed": tuple(range(number)), question.vary: question.values})
    function = question.function(settings, state / _NETWORKS)
    label = f"{name} {settings!r} {code_version()}"
    found = study(function, wanted, jobs=jobs, folder=state, name=label)
    words = [f"hxtorch study {name}"]
    words += [f"--task {task}"] if task not in (None, question.task) else []
    words += [f"--seeds {number}"] if number != question.seeds else []
    words += [f"--epochs {epochs}"] if epochs is not None else []
    words += ["--full"] if full else []
    images = "" if settings.train_size is None else f", {settings.train_size} samples to train with"
    images += "" if settings.test_size is None else f", {settings.test_size} to test"
    length = f"{settings.epochs} epochs"
    trained = TASKS[chosen].title + ("" if length in TASKS[chosen].title else f", {length}") + images
    _save(out, f"study-{name}", _figure(question, found), {
        "kind": "study", "title": f"{question.title} ({trained})",
        "published": question.published, "command": " ".join(words), "calibration": CALIBRATION_VERSION,
        "table": found.table(question.shown, question.by), "rows": list(found.rows),
    })  # fmt: skip
    return found


def _figure(question: Question, found: Study) -> Figure:
    if question.by:
        return found.figure(question.shown, question.vary, ylabel="test error")
    with house_style():  # one dot per condition, as the values of `vary` have no order
        figure = new_figure(6.4, 3.0)
        axes = figure.subplots()
        for place, value in enumerate(question.shown):
            points = [mean for mean, _, _ in found.mean(value, [question.vary]).values()]
            spread = np.linspace(-0.25, 0.25, len(points))
            axes.plot(place + spread, sorted(points), ".", color=SERIES[place % len(SERIES)], markersize=4)
            axes.plot([place - 0.3, place + 0.3], [np.mean(points)] * 2, color=SERIES[place % len(SERIES)])
        axes.set_xticks(range(len(question.shown)), [value.replace("_", "\n") for value in question.shown])
        axes.set_ylabel(f"test error, a dot per {question.vary}")
        axes.set_yscale("log")
        axes.grid(visible=False, axis="x")
    return figure


def _save(out: Path, name: str, figure: Figure, content: dict[str, Any]) -> None:
    """Write ``NAME.png`` and ``NAME.json``; each appears whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    with written_whole(out / f"{name}.png") as part:
        figure.savefig(part, format="png", dpi=_DPI)
    write_whole(out / f"{name}.json", json.dumps(content, indent=1) + "\n")
