"""The questions that one chip cannot answer, asked of the trainings of `hxtorch.reproduce`.

Each function of a `Question` trains or moves one network under one condition and returns its accuracies.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from hxtorch.reproduce.data import load_data
from hxtorch.reproduce.settings import Settings
from hxtorch.reproduce.tasks import TASKS
from hxtorch.reproduce.training import Training, accuracy, build, loss_of, prepare_weights, train_epoch
from hxtorch.snn.utils import align
from hxtorch.study import Condition, Study, conditions, connected, prepare, study
from hxtorch.twin import DEFAULT_CHIP_SEED

_FEW_STEPS = 20  # batches in the loop on a new chip
_DPI = 130


@dataclass(frozen=True)
class InTheLoopAndTransferred:
    """Trains under the condition, and moves a network that was trained in the model alone onto the same chip.

    Returns the test accuracies `in_the_loop` and `transferred`.
    """

    settings: Settings

    def __call__(self, condition: Condition) -> dict[str, float]:
        """Accuracies under a condition."""
        data = load_data(self.settings)
        torch.manual_seed(condition.seed)
        software = build(self.settings, data, mock=True)
        for _ in range(self.settings.epochs):
            train_epoch(software)
        with connected(condition):
            torch.manual_seed(condition.seed)
            training = _on_chip(self.settings, condition)
            start = {name: value.clone() for name, value in training.model.state_dict().items()}
            _take_over(training, software)
            transferred = accuracy(training)
            training.model.load_state_dict(start)
            for _ in range(self.settings.epochs):
                train_epoch(training)
            return {"in_the_loop": accuracy(training), "transferred": transferred}


@dataclass(frozen=True)
class ToOtherChips:
    """Trains in the loop on the default chip, then moves the network to the chip of the condition.

    Returns the accuracies on the `home` chip, on the other chip with the calibration registers of the home
    chip (`as_it_is`), with the other chip's own calibration and alignment (`recalibrated`), and after 20
    batches in the loop there (`few_steps`).
    """

    settings: Settings

    def __call__(self, condition: Condition) -> dict[str, float]:
        """Accuracies when moved to the chip of a condition."""
        home = replace(condition, chip=DEFAULT_CHIP_SEED)
        values = {}
        with connected(home):
            torch.manual_seed(condition.seed)
            training = _on_chip(self.settings, home)
            for _ in range(self.settings.epochs):
                train_epoch(training)
            values["home"] = accuracy(training)
        weights = {name: value.clone() for name, value in training.model.state_dict().items()}
        with connected(condition):
            values["as_it_is"] = accuracy(training)
            moved = _on_chip(self.settings, condition)
            moved.model.load_state_dict(weights)
            values["recalibrated"] = accuracy(moved)
            _few_steps(moved)
            values["few_steps"] = accuracy(moved)
        return values


def _on_chip(settings: Settings, condition: Condition) -> Training:
    """Return an untrained network, calibrated on the healthy chip, aligned there, under the condition."""
    data = load_data(settings)
    training = build(replace(settings, align=False), data, mock=False)
    batch = data.train[0][:8]
    prepare(training.model, batch, replace(condition, decalibration=0.0, dead_neurons=0.0, dead_synapses=0.0,
                                           dead_columns=0.0))  # fmt: skip
    network = training.model.network
    if settings.align:
        with torch.random.fork_rng(devices=[]):
            align(training.model, batch)
        network.lif_h.cadc_time_shift = network.li_readout.cadc_time_shift = settings.time_shift
    prepare(training.model, batch, condition)
    return training


def _take_over(training: Training, software: Training) -> None:
    """Give a network on the chip the weights of one that was trained in the model alone."""
    copies = training.model.network.input_repetitions
    state = {name: value.clone() for name, value in software.model.state_dict().items()}
    name = "network.linear_h.weight"
    state[name] = (state[name] / copies).repeat(1, copies)
    training.model.load_state_dict(state, strict=False)


def _few_steps(training: Training) -> None:
    training.model.train()
    samples, labels = training.data.train
    chosen = torch.randperm(len(labels))[: _FEW_STEPS * training.settings.batch_size]
    for part in torch.split(chosen, training.settings.batch_size):
        prepare_weights(training)
        training.optimizer.zero_grad()
        loss, _ = loss_of(training, samples[part], labels[part])
        loss.backward()  # type: ignore[no-untyped-call]
        training.optimizer.step()


@dataclass(frozen=True)
class Question:
    """A study: its function for some settings, the conditions without seeds, and what is drawn over what."""

    title: str
    function: type[InTheLoopAndTransferred] | type[ToOtherChips]
    vary: str
    values: tuple[float, ...]
    shown: tuple[str, ...]
    by: tuple[str, ...]


QUESTIONS = {
    "decalibration": Question(
        "Accuracy against decalibration: in the loop, and transferred from the model", InTheLoopAndTransferred,
        "decalibration", (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), ("in_the_loop", "transferred"), ("decalibration",),
    ),
    "dead-neurons": Question(
        "Accuracy against dead neurons", InTheLoopAndTransferred, "dead_neurons", (0.0, 0.05, 0.15, 0.3),
        ("in_the_loop", "transferred"), ("dead_neurons",),
    ),
    "dead-synapses": Question(
        "Accuracy against dead synapses", InTheLoopAndTransferred, "dead_synapses", (0.0, 0.05, 0.15, 0.3),
        ("in_the_loop", "transferred"), ("dead_synapses",),
    ),
    "dead-columns": Question(
        "Accuracy against dead columns", InTheLoopAndTransferred, "dead_columns", (0.0, 0.05, 0.15, 0.3),
        ("in_the_loop", "transferred"), ("dead_columns",),
    ),
    "noise": Question(
        "Accuracy against temporal noise", InTheLoopAndTransferred, "noise", (0.0, 1.0, 2.0, 4.0, 8.0),
        ("in_the_loop", "transferred"), ("noise",),
    ),
    "transfer": Question(
        "A network trained on one chip, on 20 others", ToOtherChips, "chip", tuple(range(100, 120)),
        ("home", "as_it_is", "recalibrated", "few_steps"), (),
    ),
}  # fmt: skip


def answer(
    name: str, *, task: str = "yinyang", seeds: int = 3, epochs: int | None = None, jobs: int = -1,
    out: Path = Path("docs/results"), state: Path = Path("out/study"),
) -> Study:  # fmt: skip
    """Run a study of `QUESTIONS` on a training of `TASKS`; writes ``out/study-NAME.json`` and ``.png``."""
    question, base = QUESTIONS[name], TASKS[task].settings
    settings = base if epochs is None else replace(base, epochs=epochs)
    wanted = conditions(**{question.vary: question.values, "seed": tuple(range(seeds))})
    label = f"{name} {settings!r}"
    found = study(question.function(settings), wanted, jobs=jobs, folder=state, name=label)
    command = f"hxtorch study {name} --task {task} --seeds {seeds} --epochs {settings.epochs}"
    content = {
        "kind": "study", "title": f"{question.title} ({TASKS[task].title}, {settings.epochs} epochs)",
        "command": command, "table": found.table(question.shown, question.by), "rows": list(found.rows),
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    figure = found.figure(question.shown, question.vary)
    partial = out / f".study-{name}.png"
    figure.savefig(partial, format="png", dpi=_DPI)
    partial.replace(out / f"study-{name}.png")
    partial = out / f".study-{name}.json"
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(out / f"study-{name}.json")
    return found
