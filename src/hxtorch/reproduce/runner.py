"""Runs a task for several seeds, keeps every finished epoch, and writes what was reached."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import joblib
import numpy as np
import torch
from tqdm import tqdm

import hxtorch
from hxtorch import twin
from hxtorch.calibration.result import VERSION as CALIBRATION_VERSION
from hxtorch.connection import connected_chip
from hxtorch.reproduce.data import Data, load_data
from hxtorch.reproduce.figures import result_figure
from hxtorch.reproduce.results import Result, save_result
from hxtorch.reproduce.settings import Settings, Task
from hxtorch.reproduce.training import Training, accuracy, build, train_epoch
from hxtorch.snn.utils import code_version, load_checkpoint, save_checkpoint
from hxtorch.twin import DEFAULT_CHIP_SEED

History = dict[str, list[float]]
Seconds = tuple[float, float]  # by the clock, and of the process on all cores


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished training of one seed.

    `seconds` is its wall time without the interruptions, `cpu_seconds` what its process spent on all cores then.
    """

    training: Training
    history: History
    seconds: float
    cpu_seconds: float


def reproduce(
    task: Task,
    *,
    seeds: int | None = None,
    chip: int | None = None,
    mock: bool = False,
    epochs: int | None = None,
    jobs: int = 1,
    out: Path = Path("docs/results"),
    state: Path = Path("out/reproduce"),
) -> Result:
    """Train for seeds 0, 1, ... and write ``out/NAME.json`` and ``out/NAME.png``; returns the result.

    `chip` is the seed of the virtual chip; `mock` trains the model alone. `jobs` seeds train at the same time,
    on one thread each. After every epoch a checkpoint goes to `state`; a call with the same arguments goes on
    from there, with the same final numbers. Checkpoints of other code are not used.
    """
    settings = task.settings if epochs is None else replace(task.settings, epochs=epochs)
    count = task.seeds if seeds is None else seeds
    number = DEFAULT_CHIP_SEED if chip is None else chip
    data = load_data(settings)
    if jobs > 1 and count > 1:
        parallel = joblib.Parallel(n_jobs=jobs)
        chips = None if mock else number
        parallel(joblib.delayed(_train_alone)(task.name, settings, seed, chips, state) for seed in range(count))
    finished = []
    with _connected(None if mock else number):
        for seed in range(count):
            finished.append(train_seed(settings, seed, data=data, mock=mock, state=state, name=task.name))
        figure = result_figure(task, finished[0].training, [item.history for item in finished])
    final = [item.history["test_accuracy"][-1] for item in finished]
    result = Result(
        name=task.name,
        title=task.title,
        published=task.published,
        source=task.source,
        goal=task.goal,
        mean=float(np.mean(final)),
        std=float(np.std(final, ddof=1)) if len(final) > 1 else 0.0,
        values=final,
        seeds=list(range(count)),
        chip=None if mock else number,
        epochs=settings.epochs,
        settings=asdict(settings),
        seconds=float(np.mean([item.seconds for item in finished])),
        cpu_seconds=float(np.mean([item.cpu_seconds for item in finished])),
        command=_command(task, count, chip, mock, epochs),
        control=task.control,
        calibration=0 if mock else CALIBRATION_VERSION,
    )
    save_result(result, out, figure)
    return result


def _command(task: Task, count: int, chip: int | None, mock: bool, epochs: int | None) -> str:
    words = ["hxtorch reproduce", task.name]
    if count != task.seeds:
        words.append(f"--seeds {count}")
    if epochs is not None and epochs != task.settings.epochs:
        words.append(f"--epochs {epochs}")
    if chip is not None and chip != DEFAULT_CHIP_SEED:
        words.append(f"--chip {chip}")
    if mock:
        words.append("--mock")
    return " ".join(words)


def _train_alone(name: str, settings: Settings, seed: int, chip: int | None, state: Path) -> None:
    """Train a seed in a process of its own; what comes of it is its checkpoint."""
    torch.set_num_threads(1)
    twin.set_num_threads(1)
    with _connected(chip):
        train_seed(settings, seed, mock=chip is None, state=state, name=name)


@contextmanager
def _connected(chip: int | None) -> Iterator[None]:
    if chip is None:
        yield
        return
    hxtorch.init_hardware(chip)
    try:
        yield
    finally:
        hxtorch.release_hardware()


def train_seed(
    settings: Settings,
    seed: int,
    *,
    data: Data | None = None,
    mock: bool = False,
    state: Path | None = None,
    name: str = "training",
) -> Trained:
    """Train one network on the connected chip, or in mock mode.

    With `state` a checkpoint is kept there after every epoch, and a training that was stopped, in whatever
    way, goes on after its last finished epoch as if nothing had happened.
    """
    data = load_data(settings) if data is None else data
    torch.manual_seed(seed)
    training = build(settings, data, mock=mock)
    history: History = {"train_loss": [], "train_accuracy": [], "test_accuracy": []}
    spent = (0.0, 0.0)
    path = None
    if state is not None:
        state.mkdir(parents=True, exist_ok=True)
        stem = f"{name}-{_fingerprint(settings, seed, mock)}"
        path = state / f"{stem}-{code_version()}.pt"
        stale = [other.name for other in state.glob(f"{stem}-*.pt") if other != path]
        if stale and not path.is_file():
            text = "Checkpoints of other code are not gone on from, as the numbers would be of neither"
            print(f"{text}: {', '.join(sorted(stale))}", file=sys.stderr, flush=True)
        if path.is_file():
            held = load_checkpoint(
                path, training.model, training.optimizer, training.scheduler, restore_random=True
            )
            history, spent = held.extra["history"], (held.extra["seconds"], held.extra["cpu_seconds"])
            training.average.load(held.extra["average"])
    spent = _follow(training, history, settings.epochs, spent, path, f"{name}, seed {seed}")
    training.average.adopt()
    return Trained(training, history, *spent)


def _follow(
    training: Training, history: History, epochs: int, before: Seconds, path: Path | None, label: str
) -> Seconds:
    """Train the epochs that are missing, with a bar for a person who watches and lines for a log file.

    Returns the time that the training took in all, with what it had taken `before`.
    """
    watched = sys.stderr.isatty()
    begin, begin_cpu = time.perf_counter(), time.process_time()
    taken = before
    first = len(history["train_loss"])
    batches = len(training.data.train[1]) // training.settings.batch_size
    with tqdm(total=epochs * batches, initial=first * batches, desc=label, disable=not watched) as bar:

        def on_batch(done: int, total: int, loss: float) -> None:
            bar.update()
            bar.set_postfix_str(f"loss {loss:.3f}, {_last(history)}", refresh=False)

        for epoch in range(first, epochs):
            loss, train_accuracy = train_epoch(training, on_batch)
            history["train_loss"].append(loss)
            history["train_accuracy"].append(train_accuracy)
            history["test_accuracy"].append(accuracy(training))
            spent = time.perf_counter() - begin
            taken = (before[0] + spent, before[1] + time.process_time() - begin_cpu)
            if not watched:
                left = spent / (epoch + 1 - first) * (epochs - epoch - 1)
                text = f"{label}: epoch {epoch + 1}/{epochs}, loss {loss:.3f}, {_last(history)}, {left:.0f} s left"
                print(text, file=sys.stderr, flush=True)
            if path is not None:
                save_checkpoint(
                    path, training.model, training.optimizer, training.scheduler, history=history,
                    average=training.average.state(), seconds=taken[0], cpu_seconds=taken[1],
                )  # fmt: skip
    return taken


def _last(history: History) -> str:
    tested = history["test_accuracy"]
    return f"test {tested[-1]:.1%}" if tested else "test -"


def _fingerprint(settings: Settings, seed: int, mock: bool) -> str:
    """Tell apart trainings that differ in anything but their length."""
    chip = connected_chip()
    content = {**asdict(settings), "epochs": 0, "seed": seed, "mock": mock}
    content["chip"] = None if chip is None or mock else chip.identifier
    return hashlib.sha256(repr(sorted(content.items())).encode()).hexdigest()[:12]
