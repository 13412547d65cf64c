"""`hxtorch calibrate`."""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from hxtorch.calibration import CalibrationOptions, CalibrationTarget, cached, calibrate, save
from hxtorch.calibration.cache import NIGHTLY
from hxtorch.calibration.report import LEGEND, as_data, failures, rates_in_band, shortcomings, summary, table
from hxtorch.cli.command import OK, Command, CommandError, UsageError, add_json, as_json, natural
from hxtorch.twin import DEFAULT_CHIP_SEED, Die, VirtualChip


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="TARGET",
        help="spiking (the default), spiking2, or NAME=NUMBER, for example tau_mem=8; may be repeated",
    )
    parser.add_argument(
        "--chip",
        type=_seed,
        default=DEFAULT_CHIP_SEED,
        metavar="twin:SEED",
        help=f"the virtual chip (default: twin:{DEFAULT_CHIP_SEED})",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="file for the result (default: the cache alone)"
    )
    parser.add_argument(
        "--trial-seed", type=natural, metavar="N", help="noise of the measurements; skips the cache"
    )
    parser.add_argument(
        "--raw-gain", action="store_true", help="write i_synin_gm as it is, do not match the inputs"
    )
    parser.add_argument("--no-refine", action="store_true", help="leave out the last round of CADC and potentials")
    add_json(parser)


def _seed(text: str) -> int:
    try:
        return natural(text.removeprefix("twin:"))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is no chip; give twin:SEED, for example twin:7") from None


def _target(words: list[str]) -> CalibrationTarget:
    """Return the target of ``spiking2 tau_mem=8``: a name, then numbers that replace some of its values."""
    target = NIGHTLY["spiking"]
    known = [item.name for item in fields(CalibrationTarget)]
    for word in words:
        name, equals, number = word.partition("=")
        if not equals:
            if name not in NIGHTLY:
                raise UsageError(f"there is no target {name!r}; known: {', '.join(NIGHTLY)}, or NAME=NUMBER")
            target = NIGHTLY[name]
            continue
        names = ["tau_syn_exc", "tau_syn_inh"] if name == "tau_syn" else [name]
        if not set(names) <= set(known):
            raise UsageError(f"a target has no {name!r}; known: {', '.join([*known, 'tau_syn'])}")
        try:
            value = float(number)
        except ValueError:
            raise UsageError(f"{word!r}: {number!r} is no number") from None
        changes: dict[str, Any] = dict.fromkeys(names, value)
        target = replace(target, **changes)
    return target


def _run(options: argparse.Namespace) -> int:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        target = _target(options.target)
    for text in dict.fromkeys(str(warning.message) for warning in caught):  # each once
        print(f"hxtorch calibrate: warning: {text}", file=sys.stderr)
    if options.output is not None and not options.output.parent.is_dir():
        raise CommandError(f"there is no folder {options.output.parent} for {options.output.name}")
    how = CalibrationOptions(gain="raw" if options.raw_gain else "matched", refine=not options.no_refine)
    chip = VirtualChip(Die.from_seed(options.chip))
    if options.trial_seed is None:
        result = cached(chip, target, options=how)
    else:
        result = calibrate(chip, target, options=how, trial_seed=options.trial_seed)
    if options.output is not None:
        save(result, options.output)
    if options.json:
        print(as_json({**as_data(result), "file": options.output}))
        return OK
    print(f"{summary(result)}\n\n{table(result)}\n{LEGEND}\n")
    print(f"{rates_in_band(result):.1%} of the leak-over-threshold rates are within -10/+15 %.")
    missed = shortcomings(result)
    print("It meets all limits." if not missed else "It misses limits:\n  " + "\n  ".join(missed))
    if result.failed.size:
        print(failures(result))
    if options.output is not None:
        print(f"Saved as {options.output}. Load it with experiment.default_execution_instance.load_calib(...).")
    return OK


COMMAND = Command(
    name="calibrate",
    help="calibrate a virtual chip by measurement and save the result",
    add_arguments=_arguments,
    run=_run,
    description="Search, by measurement, the registers with which all 512 circuits of a chip meet a target.\n"
    "Prints the spread of what remains, next to that before and to the limits that the vendor's tests accept.",
    examples=(
        "hxtorch calibrate",
        "hxtorch calibrate --chip twin:7 --target spiking2 -o chip7.calibration",
        "hxtorch calibrate --target tau_mem=8 --target tau_syn=6 --json",
    ),
)
