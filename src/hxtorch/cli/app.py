"""Reads the command line and hands over to one command."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence

import hxtorch
from hxtorch.cli import commands
from hxtorch.cli.command import FAILED, INTERRUPTED, USAGE, Command, CommandError, UsageError

_EXIT_CODES = "exit codes: 0 done, 1 failed or found something wrong, 2 wrong command line"
# Errors whose text says what is wrong and what to do. Any other exception is a bug and shows its traceback.
_EXPECTED = (CommandError, ValueError, RuntimeError, OSError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `hxtorch` with command line `arguments` (default: those of the process); returns the exit code.

    A wrong command line raises SystemExit with code 2.
    """
    known = find_commands()
    parser = _parser(known)
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return USAGE
    try:
        return known[options.command].run(options)
    except KeyboardInterrupt:
        print(f"hxtorch {options.command}: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, for example `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except _EXPECTED as error:
        if options.traceback:
            raise
        print(f"hxtorch {options.command}: error: {_text(error)}", file=sys.stderr)
        if isinstance(error, UsageError):
            print(f"See hxtorch {options.command} --help.", file=sys.stderr)
            return USAGE
        return FAILED


def _text(error: Exception) -> str:
    """What an error says; the system's own without its number."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def find_commands() -> dict[str, Command]:
    """All subcommands by name, one per module of `hxtorch.cli.commands`."""
    modules = (
        importlib.import_module(f"{commands.__name__}.{item.name}")
        for item in pkgutil.iter_modules(commands.__path__)
    )
    found: list[Command] = [module.COMMAND for module in modules]
    return {command.name: command for command in sorted(found, key=lambda command: command.name)}


def _parser(known: dict[str, Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hxtorch",
        description="Spiking neural networks for the BrainScaleS-2 chip, virtual chip included.",
        epilog=f"`hxtorch COMMAND --help` explains a command. {_EXIT_CODES}",
    )
    parser.add_argument("--version", action="version", version=f"hxtorch {hxtorch.__version__}")
    parser.add_argument("--traceback", action="store_true", help="show where an error was raised")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for command in known.values():
        examples = "".join(f"\n  {line}" for line in command.examples)
        command.add_arguments(
            subparsers.add_parser(
                command.name,
                help=command.help,
                description=command.description or f"{command.help[0].upper()}{command.help[1:]}.",
                epilog=(f"examples:{examples}\n\n" if examples else "") + _EXIT_CODES,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )
    return parser
