"""`hxtorch study`."""

from __future__ import annotations

import argparse
from pathlib import Path

from hxtorch.cli.command import OK, Command, UsageError, add_json, as_json, positive, table


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="the question; without it, all of them")
    parser.add_argument("--task", metavar="TASK", help="training (default: that of the study)")
    parser.add_argument("--seeds", type=positive, metavar="N", help="seeds per condition (default: 3 or 5)")
    parser.add_argument("--epochs", type=positive, metavar="N", help="epochs of each training")
    parser.add_argument(
        "--full", action="store_true", help="the unshortened training of the task, which may take hours"
    )
    parser.add_argument("--jobs", type=int, default=-1, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="folder (default: docs/results)")
    parser.add_argument(
        "--state", type=Path, default=Path("out/study"), help="folder for finished conditions (default: out/study)"
    )
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    from hxtorch.reproduce import TASKS
    from hxtorch.reproduce.studies import QUESTIONS, answer

    if options.name is None:
        print(table({name: question.title for name, question in QUESTIONS.items()}))
        return OK
    if options.name not in QUESTIONS:
        raise UsageError(f"there is no study called {options.name!r}; known: {', '.join(QUESTIONS)}")
    if options.task is not None and options.task not in TASKS:
        raise UsageError(f"there is no training called {options.task!r}; known: {', '.join(TASKS)}")
    found = answer(
        options.name,
        task=options.task,
        seeds=options.seeds,
        epochs=options.epochs,
        full=options.full,
        jobs=options.jobs,
        out=options.out,
        state=options.state,
    )
    question = QUESTIONS[options.name]
    print(as_json(list(found.rows)) if options.json else found.table(question.shown, question.by))
    return OK


COMMAND = Command(
    name="study",
    help="ask how a trained network fares on other chips, with faults, without calibration",
    add_arguments=_arguments,
    run=_run,
    description="Train and move networks under many conditions, in parallel. A study that was stopped goes on\n"
    "with the conditions that are missing.",
    examples=("hxtorch study", "hxtorch study decalibration --seeds 5", "hxtorch study transfer --jobs 2"),
)
