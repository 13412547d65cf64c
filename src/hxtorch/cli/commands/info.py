"""`hxtorch info`."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import version

import hxtorch
from hxtorch.cli.command import OK, Command, add_json, as_json, table
from hxtorch.twin import VirtualChip, get_num_threads


def _run(options: argparse.Namespace) -> int:
    facts = {
        "hxtorch": hxtorch.__version__,
        "Python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "numba")},
        "standard chip": VirtualChip().identifier,
        "threads of the twin": get_num_threads(),
    }
    print(as_json(facts) if options.json else table(facts))
    return OK


COMMAND = Command(
    name="info",
    help="print versions and the standard chip",
    add_arguments=add_json,
    run=_run,
    examples=("hxtorch info", "hxtorch info --json"),
)
