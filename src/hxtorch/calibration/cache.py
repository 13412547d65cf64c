"""Calibrations made once per chip and target, and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import platformdirs

from hxtorch.calibration.calibrate import calibrate
from hxtorch.calibration.errors import CalibrationError
from hxtorch.calibration.files import load, save
from hxtorch.calibration.options import CalibrationOptions
from hxtorch.calibration.result import VERSION, CalibrationResult
from hxtorch.calibration.targets import SPIKING, SPIKING2, CalibrationTarget
from hxtorch.twin import Chip
from hxtorch.twin.chip import fingerprint
from hxtorch.twin.pattern import process

NIGHTLY = {"spiking": SPIKING, "spiking2": SPIKING2}
"""Targets of the nightly calibrations by name."""

TRIAL_SEED = 3
"""Noise of the measurements. Like the standard chip it is chosen so that this chip's first neuron resembles the one
that was published: a calibration leaves a residual, by chance (`benchmarks/choose_default_chip.py --trials`)."""


def cache_folder() -> Path:
    """Folder of cached calibrations: ``$HXTORCH_CACHE_DIR``, else the user's cache folder of the system."""
    chosen = os.environ.get("HXTORCH_CACHE_DIR")
    return (Path(chosen) if chosen else Path(platformdirs.user_cache_dir("hxtorch"))) / "calibration"


def cached(
    chip: Chip,
    target: CalibrationTarget = SPIKING,
    folder: str | Path | None = None,
    options: CalibrationOptions = CalibrationOptions(),  # noqa: B008  # frozen
) -> CalibrationResult:
    """Calibration of `chip` for `target` with `options`, from the cache or made now and cached.

    A virtual chip is known by all of its die, its noise and its step, not by its name alone. An entry that cannot
    be read is made again; without a writable `folder` (default: `cache_folder()`) the
    calibration is made every time.
    """
    if chip.nominal:
        return calibrate(chip, target, options=options)  # takes no search
    path = (cache_folder() if folder is None else Path(folder)) / f"{_key(chip, target, options)}.calibration"
    try:
        result = load(path)
    except CalibrationError:
        pass  # missing or damaged: calibrate
    else:
        wanted = (target, options, chip.identifier, VERSION)
        if (result.target, result.options, result.chip_identifier, result.version) == wanted:
            return result
    result = calibrate(chip, target, options=options, trial_seed=TRIAL_SEED)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(result, path)
    except (OSError, CalibrationError):
        pass  # a cache is a convenience: the result is as good without it
    return result


def nightly(name: str, chip: Chip) -> CalibrationResult:
    """Calibration "spiking" or "spiking2" of `chip`, cached.

    Raises `CalibrationError` for other names.
    """
    if name not in NIGHTLY:
        raise CalibrationError(f"There is no nightly calibration {name!r}. Known: {', '.join(NIGHTLY)}.")
    return cached(chip, NIGHTLY[name])


def _key(chip: Chip, target: CalibrationTarget, options: CalibrationOptions) -> str:
    # the facts hold the nominal codes a calibration starts from: with others it is another calibration
    facts = repr(sorted(process.facts().items())).encode()
    parts = (target.key(), repr(options).encode(), fingerprint(chip).encode(), str(VERSION).encode(), facts)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:32]
