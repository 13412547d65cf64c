"""The command `hxtorch`. Every file in `hxtorch.cli.commands` is one subcommand; adding a file adds a command."""

from hxtorch.cli.app import main

__all__ = ["main"]
