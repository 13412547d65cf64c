"""What a subcommand is, and what several of them need.

A file of `hxtorch.cli.commands` holds one `COMMAND`. It is imported at every call of `hxtorch`, so its
imports of torch, matplotlib and the like belong inside of its functions.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hxtorch.twin import DEFAULT_CHIP_SEED

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done; it failed or found something wrong; wrong command line; stopped with Ctrl-C."""


@dataclass(frozen=True)
class Command:
    """One subcommand.

    * `name`: what is typed after `hxtorch`; `help`: one line in the list of commands.
    * `add_arguments(parser)` declares its options; a parser may also get subcommands of its own.
    * `run(options)` does the work and returns the exit code.
    * `description`: a paragraph above the options of `--help`; `examples`: command lines below them.
    """

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    description: str = ""
    examples: tuple[str, ...] = ()


class CommandError(Exception):
    """A command cannot do what was asked; its text is shown without traceback, the exit code is `FAILED`."""


class UsageError(CommandError):
    """The command line names something that does not exist; the exit code is `USAGE`."""


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--json`` for scripts."""
    parser.add_argument("--json", action="store_true", help="print JSON for scripts instead of text")


def add_chip(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--chip SEED``; None is the standard chip."""
    parser.add_argument(
        "--chip", type=natural, metavar="SEED", help=f"number of the virtual chip (default: {DEFAULT_CHIP_SEED})"
    )


def positive(text: str) -> int:
    """Read a whole number above zero, a `type` for argparse."""
    return _whole(text, 1)


def natural(text: str) -> int:
    """Read a whole number of zero or more, a `type` for argparse."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {least}")
    return number


def table(facts: Mapping[str, object]) -> str:
    """Lay out names and values in two columns."""
    width = max(map(len, facts), default=0)
    return "\n".join(f"{name:{width}}  {value}" for name, value in facts.items())


def as_json(value: Any) -> str:
    """`value` as JSON text; arrays become lists, NaN and infinite numbers null."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
