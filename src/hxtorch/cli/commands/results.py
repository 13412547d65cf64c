"""`hxtorch results`."""

from __future__ import annotations

import argparse
from pathlib import Path

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
    partial = page.with_name(f".{page.name}")
    partial.write_text(results_page(folder), encoding="utf-8")
    partial.replace(page)
    print(page)
    return OK


COMMAND = Command(
    name="results",
    help="write the page of all results from their files",
    add_arguments=_arguments,
    run=_run,
    examples=("hxtorch results", "hxtorch results docs/results"),
)
