"""`hxtorch calibration show`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hxtorch.calibration import CalibrationResult, load
from hxtorch.calibration.report import LEGEND, as_data, failures, rates_in_band, summary, table
from hxtorch.cli.command import OK, Command, add_json, as_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="print the content of a calibration file and draw it")
    show.add_argument("file", type=Path, help="a file of this project or of the vendor's tool")
    show.add_argument("--figures", type=Path, metavar="DIR", help="folder for a figure (default: none is drawn)")
    add_json(show)


def _run(options: argparse.Namespace) -> int:
    result = load(options.file)
    figures = _draw(result, options.figures, options.file.stem) if options.figures is not None else []
    if options.json:
        print(as_json({**as_data(result), "figures": figures}))
        return OK
    print(f"{summary(result)}\n\n{_target(result)}\n")
    if result.residuals:
        print(f"{table(result)}\n{LEGEND}\n")
        print(f"{rates_in_band(result):.1%} of the leak-over-threshold rates are within -10/+15 %.")
    if result.failed.size:
        print(failures(result))
    for path in figures:
        print(f"Figure: {path}")
    return OK


def _target(result: CalibrationResult) -> str:
    def shown(value: object) -> str:
        array = np.asarray(value, dtype=np.float64)
        array = array[np.isfinite(array)] if array.ndim else array
        return f"{float(array):g}" if array.ndim == 0 else f"{array.min():g} to {array.max():g}"

    asked = {name: value for name, value in vars(result.target).items() if value is not None}
    return "Target: " + ", ".join(f"{name} {shown(value)}" for name, value in asked.items())


def _draw(result: CalibrationResult, folder: Path, stem: str) -> list[Path]:
    from hxtorch.plots import plot_calibration  # imports matplotlib

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}_calibration.png"
    plot_calibration(result).savefig(path, dpi=150)
    return [path.resolve()]


COMMAND = Command(
    name="calibration",
    help="show what is in a calibration file",
    add_arguments=_arguments,
    run=_run,
    examples=(
        "hxtorch calibration show chip7.calibration",
        "hxtorch calibration show chip7.calibration --figures out",
    ),
)
