"""`hxtorch demo`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from hxtorch.cli.command import OK, Command, add_chip, add_json, as_json, natural, positive


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the figures (default: out)")
    parser.add_argument("--epochs", type=positive, default=200, help="epochs of training (default: 200)")
    parser.add_argument("--seed", type=natural, default=0, help="seed of everything random (default: 0)")
    add_chip(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    from hxtorch.demo.report import table
    from hxtorch.demo.run import run_demo  # imports torch and matplotlib, which other commands do not need

    rows = run_demo(options.out, options.epochs, options.seed, options.chip)
    if options.json:
        print(as_json({"figures": options.out.resolve(), "rows": [asdict(row) for row in rows]}))
    else:
        print(table(rows))
        print(f"\nFive figures are in {options.out.resolve()}.")
    return OK


COMMAND = Command(
    name="demo",
    help="run the introduction on a virtual chip and draw its figures",
    add_arguments=_arguments,
    run=_run,
    description="Run the introduction: emulate one neuron on a virtual chip, simulate it, align both, and train\n"
    "three readout neurons with the chip in the loop. Prints what was reached next to what was published.",
    examples=("hxtorch demo", "hxtorch demo --chip 82 --epochs 50 --out figures"),
)
