"""`hxtorch results`."""

from __future__ import annotations

import argparse
from pathlib import Path

from hxtorch._files.whole import write_whole
from hxtorch.cli.command import OK, Command, CommandError


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("docs/results"), help="result files (default: docs/results)"
    )


def _run(options: argparse.Namespace) -> int:
    from hxtorch.reproduce.results import results_page

    if not options.folder.is_dir():
        raise CommandError(f"there is no folder {options.folder}; `hxtorch reproduce NAME` makes it")
    folder = options.folder.resolve()
    page = folder.parent / f"{folder.name}.md"
    print(write_whole(page, results_page(folder)))
    return OK


COMMAND = Command(
    name="results",
    help="write the page of all results from their files",
    add_arguments=_arguments,
    run=_run,
    examples=("hxtorch results", "hxtorch results docs/results"),
)
