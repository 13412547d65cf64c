"""`hxtorch map`."""

from __future__ import annotations

import argparse
import runpy
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hxtorch.cli.command import FAILED, OK, Command, CommandError, add_json, as_json, positive

if TYPE_CHECKING:
    from hxtorch.mapping import MappingError, MappingReport


class _Mapped(BaseException):
    """Ends a script at the run whose mapping was asked for; no handler of the script's own errors stops it."""

    def __init__(self, result: MappingReport | MappingError) -> None:
        super().__init__()
        self.result = result


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=positive, default=1, metavar="N", help="which run of the script (default: 1)")
    parser.add_argument("--partition", action="store_true", help="spread what exceeds the chip over several runs")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="also draw the chip, for example chip.png")
    add_json(parser)
    parser.add_argument("script", type=Path, help="a Python script that builds and runs a network")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, default=[], help="what follows goes to the script, options too"
    )


def _run(options: argparse.Namespace) -> int:
    from hxtorch.mapping import MappingError

    try:
        report = mapping_of(options.script, options.arguments, options.run, options.partition)
    except MappingError as error:
        print(f"Does not fit: {error}", file=sys.stderr)
        return FAILED
    if options.figure is not None:
        from hxtorch.plots import plot_mapping  # imports matplotlib

        options.figure.parent.mkdir(parents=True, exist_ok=True)
        plot_mapping(report).savefig(options.figure, dpi=150)
    print(as_json(report.as_data()) if options.json else report)
    return OK


def mapping_of(script: Path, arguments: list[str], number: int = 1, partition: bool = False) -> MappingReport:
    """Run a script up to its `number`-th run of a network and return how that network lies on the chip.

    Runs before that one are carried out, the one itself is not.
    """
    import hxtorch.snn as hxsnn
    from hxtorch.mapping import MappingError
    from hxtorch.snn import experiment as module

    if not script.is_file():
        raise CommandError(f"There is no script {script}.")
    original, seen = module.run, 0

    def run(experiment: hxsnn.Experiment, runtime: int | None, **options: Any) -> hxsnn.ExecutionInfo | None:
        nonlocal seen
        seen += 1
        if seen < number:
            return original(experiment, runtime, **options)
        experiment.partition = experiment.partition or partition
        try:
            raise _Mapped(experiment.mapping_report())
        except MappingError as error:
            raise _Mapped(error) from None

    # Between this and the end of the script, errors are those of the script.
    before, path = sys.argv, list(sys.path)
    sys.argv, sys.path[:0] = [str(script), *arguments], [str(script.resolve().parent)]
    module.run = hxsnn.run = run
    try:
        runpy.run_path(str(script), run_name="__main__")
    except _Mapped as mapped:
        if isinstance(mapped.result, MappingError):
            raise mapped.result from None
        return mapped.result
    except SystemExit as ended:
        if ended.code not in (None, 0):
            raise CommandError(f"{script} ended with exit code {ended.code}, before run {number}.") from None
    except MappingError:
        raise
    except Exception as error:  # of any kind: the script is the user's
        shown = traceback.TracebackException.from_exception(error)
        while shown.stack and shown.stack[0].filename != str(script):
            shown.stack.pop(0)
        print("".join(shown.format()), end="", file=sys.stderr)
        raise CommandError(f"{script} failed before run {number}.") from error
    finally:
        module.run = hxsnn.run = original
        sys.argv, sys.path[:] = before, path
    raise CommandError(
        f"{script} ran to its end with {seen} runs of a network, so there is no run {number} to map."
    )


COMMAND = Command(
    name="map",
    help="show how the network of a script lies on the chip",
    add_arguments=_arguments,
    run=_run,
    description="Runs a script up to where its network would run, and shows what it takes of the chip.\n"
    "Options of `hxtorch map` stand before the script; what follows it is for the script.",
    examples=("hxtorch map train.py", "hxtorch map --figure chip.png train.py --n-hidden 246"),
)
