"""`hxtorch fidelity`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hxtorch._files.whole import write_whole
from hxtorch.cli.command import FAILED, OK, Command, CommandError, UsageError, add_json, as_json, natural, positive
from hxtorch.twin import DEFAULT_CHIP_SEED, Die, VirtualChip
from hxtorch.twin.chip import DEFAULT_STEP

if TYPE_CHECKING:
    from hxtorch.fidelity.report import StepComparison


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--chips",
        type=positive,
        default=10,
        metavar="N",
        help=f"measure N chips: the standard one ({DEFAULT_CHIP_SEED}), then 1, 2, ... (default: 10)",
    )
    parser.add_argument("--seeds", type=natural, nargs="+", metavar="SEED", help="measure these chips instead")
    parser.add_argument(
        "--rows", nargs="+", default=[], metavar="NAME", help="measure only rows of these names, * as in a shell"
    )
    parser.add_argument("--step", type=_step, default=DEFAULT_STEP, help="integration step of the twin in µs")
    parser.add_argument(
        "--compare-step",
        type=_step,
        metavar="STEP",
        help="measure the rows also with this step (µs), several times, and tell which rows change",
    )
    parser.add_argument(
        "--trials", type=_trials, default=3, metavar="N", help="times that --compare-step measures (default: 3)"
    )
    parser.add_argument(
        "--compare-chips",
        type=positive,
        default=3,
        metavar="N",
        help="--compare-step uses the first N of the chips (default: 3)",
    )
    parser.add_argument("--seed", type=natural, default=0, help="seed of the temporal noise (default: 0)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the page, with figures beside it")
    add_json(parser)


def _step(text: str) -> float:
    try:
        step = float(text)
    except ValueError:
        step = 0.0
    if not 0 < step <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no step above 0 and up to 1 µs")
    return step


def _trials(text: str) -> int:
    if not (text.isdecimal() and int(text) >= 2):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of trials from 2 on, which a spread needs")
    return int(text)


def chip_seeds(number: int) -> list[int]:
    """The standard chip, and then the first seeds."""
    others = (seed for seed in range(1, number + 1) if seed != DEFAULT_CHIP_SEED)
    return [DEFAULT_CHIP_SEED, *others][:number]


def _run(options: argparse.Namespace) -> int:
    from hxtorch.fidelity import measure, report
    from hxtorch.fidelity.measure import chosen_protocols

    if options.markdown is not None and not options.markdown.parent.is_dir():
        raise CommandError(f"There is no folder {options.markdown.parent}. Create it or choose another file.")
    try:
        chosen_protocols(options.rows)
    except ValueError as error:
        raise UsageError(str(error)) from None
    seeds = options.seeds or chip_seeds(options.chips)
    found = measure(
        [VirtualChip(Die.from_seed(seed), step=options.step) for seed in seeds],
        options.rows,
        trial_seed=options.seed,
    )
    steps = _compared(options, seeds[: options.compare_chips]) if options.compare_step is not None else None
    if options.markdown is not None:
        from hxtorch.fidelity.figures import write_figures  # imports matplotlib

        paths = write_figures(found, options.markdown.parent / "images")
        figures = {group: path.relative_to(options.markdown.parent).as_posix() for group, path in paths.items()}
        write_whole(options.markdown, report.markdown(found, figures, steps))
    if options.json:
        print(
            as_json(
                {
                    "chips": found.chips,
                    "whole_chips": found.whole_chips,
                    "rows": [row.as_dict() for row in found.rows],
                    "steps": None if steps is None else [row.as_dict() for row in steps.rows],
                }
            )
        )
    else:
        print(report.text(found))
        if steps is not None:
            print(f"\n{report.steps_text(steps)}")
    return FAILED if found.failed or (steps is not None and steps.changed) else OK


def _compared(options: argparse.Namespace, seeds: list[int]) -> StepComparison:
    """Measure the chips of `seeds` with both steps."""
    from hxtorch.fidelity import compare_steps
    from hxtorch.fidelity.report import StepComparison

    coarse, fine = max(options.step, options.compare_step), min(options.step, options.compare_step)
    dies = [Die.from_seed(seed) for seed in seeds]
    pairs = [(VirtualChip(die, step=coarse), VirtualChip(die, step=fine)) for die in dies]
    rows = compare_steps(pairs, options.rows, trials=options.trials)
    return StepComparison(rows, coarse, fine, tuple(die.identifier for die in dies), options.trials)


COMMAND = Command(
    name="fidelity",
    help="measure the twin with the protocols of the publications, and compare",
    add_arguments=_arguments,
    run=_run,
    description="Measure virtual chips as one measures silicon (set codes, run, read) and print a table: "
    "published value\n"
    "with source and mark (D documented, M measured, I inferred, E estimate), band, value of the twin, verdict.\n"
    "The exit code is 1 if a row fails, or changes with the step of --compare-step.",
    examples=(
        "hxtorch fidelity --chips 2",
        "hxtorch fidelity --rows 'PSP*' 'MADC*' --json",
        "hxtorch fidelity --chips 1 --compare-step 0.25",
        "hxtorch fidelity --compare-step 0.25 --markdown docs/fidelity.md",
    ),
)
