"""`hxtorch reproduce`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from hxtorch.cli.command import FAILED, OK, Command, UsageError, add_chip, add_json, as_json, positive, table


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="what to reproduce; without it, all names")
    parser.add_argument("--seeds", type=positive, metavar="N", help="trainings with seeds 0..N-1")
    add_chip(parser)
    parser.add_argument("--mock", action="store_true", help="train the model alone, without a chip")
    parser.add_argument("--epochs", type=positive, metavar="N", help="epochs of each training")
    parser.add_argument("--jobs", type=positive, default=1, metavar="N", help="seeds trained at the same time")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("docs/results"),
        help="folder for result and figure (default: docs/results)",
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=Path("out/reproduce"),
        help="folder for what a stopped run goes on from (default: out/reproduce)",
    )
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    from hxtorch.reproduce import TASKS, reproduce
    from hxtorch.reproduce.results import missing

    if options.name is None:
        print(table({name: f"{task.title}; published: {task.published}" for name, task in TASKS.items()}))
        return OK
    if options.name not in TASKS:
        raise UsageError(f"there is nothing called {options.name!r} to reproduce; known: {', '.join(TASKS)}")
    result = reproduce(
        TASKS[options.name],
        seeds=options.seeds,
        chip=options.chip,
        mock=options.mock,
        epochs=options.epochs,
        jobs=options.jobs,
        out=options.out,
        state=options.state,
    )
    if options.json:
        print(as_json(asdict(result)))
    else:
        print(f"{result.title}: {result.mean:.4f} ± {result.std:.4f} over {len(result.seeds)} seeds")
        print(f"published: {result.published} ({result.source})")
        print(f"{result.seconds:.0f} s per seed; result and figure are in {options.out.resolve()}")
    try:
        return OK if missing(result, options.out) <= 0 else FAILED
    except FileNotFoundError as error:  # the training itself is done
        print(error, file=sys.stderr)
        return OK


COMMAND = Command(
    name="reproduce",
    help="train a network of a published result with the virtual chip in the loop",
    add_arguments=_arguments,
    run=_run,
    description="Train a network of a published result with the virtual chip in the loop, and write a result file\n"
    "and a figure. A run that was stopped goes on after its last epoch. Fails if the goal is missed.",
    examples=("hxtorch reproduce", "hxtorch reproduce yinyang", "hxtorch reproduce mnist16 --seeds 1 --epochs 10"),
)
