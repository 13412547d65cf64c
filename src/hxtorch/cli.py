"""The command `hxtorch`."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import hxtorch
from hxtorch.twin import VirtualChip, get_num_threads


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `hxtorch` with command line `arguments` (default: those of the process); returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.command == "demo":
        return _demo(options)
    return _info()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hxtorch", description="Spiking neural networks for the BrainScaleS-2 chip, virtual chip included."
    )
    parser.add_argument("--version", action="version", version=f"hxtorch {hxtorch.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="run the introduction on a virtual chip and draw its figures")
    demo.add_argument("--out", type=Path, default=Path("out"), help="folder for the figures (default: out)")
    demo.add_argument("--epochs", type=_positive, default=200, help="epochs of training (default: 200)")
    demo.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    demo.add_argument("--chip", type=int, help="number of the virtual chip (default: the standard one)")
    commands.add_parser("info", help="print versions and the standard chip")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _demo(options: argparse.Namespace) -> int:
    from hxtorch.demo.report import table
    from hxtorch.demo.run import run_demo  # imports torch and matplotlib, which `info` does not need

    rows = run_demo(options.out, options.epochs, options.seed, options.chip)
    print(table(rows))
    print(f"\nFive figures are in {options.out.resolve()}.")
    return 0


def _info() -> int:
    facts = {
        "hxtorch": hxtorch.__version__,
        "Python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "numba")},
        "standard chip": VirtualChip().identifier,
        "threads of the twin": str(get_num_threads()),
    }
    width = max(map(len, facts))
    print("\n".join(f"{name:{width}}  {value}" for name, value in facts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
