"""Which virtual chip resembles the published one? Run the introduction on many, print those within its bands.

Any change to the distributions or random streams of a die, to the registers or to the calibration draws the
residual of every neuron anew, so that the first neuron of the standard chip may leave the bands. Then choose
another `calibration.cache.TRIAL_SEED` or, if none will do, another `DEFAULT_CHIP_SEED` with

    python benchmarks/choose_default_chip.py --chips 1 --first 13 --trials 10
    python benchmarks/choose_default_chip.py --chips 150
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
import torch

import hxtorch
from hxtorch import calibration
from hxtorch.calibration.cache import TRIAL_SEED
from hxtorch.connection import require_chip
from hxtorch.demo import introduction as intro
from hxtorch.twin.places.coordinates import CYCLES_PER_US

BANDS = {  # what the introduction has to show, and the published value
    "rest": (-50.0, -46.0, -49.0),
    "peak": (-14.0, 2.0, -3.0),
    "minimum": (-63.0, -50.0, -55.0),
    "MADC rest": (290.0, 320.0, 305.0),
    "MADC peak": (420.0, 460.0, 440.0),
    "distance": (41.0, 49.0, 45.0),
    "PSP": (0.36, 0.46, 0.40),
    "spike": (21.0, 34.0, 32.0),
}


def values(seed: int, trial: int, repeats: int) -> dict[str, np.ndarray]:
    """Every quantity (repeats,) of one chip, calibrated with the trial seed; the spike is nan where there is not
    exactly one."""
    hxtorch.init_hardware(seed)
    calibrated = calibration.calibrate(require_chip(), trial_seed=trial, progress=False)
    found: dict[str, list[float]] = {name: [] for name in BANDS}
    for repeat in range(repeats):
        torch.manual_seed(repeat)
        z = intro.emulate(calibrated, intro.input_spikes(*intro.INPUT_STEPS), 63)
        cadc, (time, code) = z.membrane_cadc.detach().numpy()[:, 0, 0], z.membrane_madc.numpy()[:, :, 0]
        steps = torch.nonzero(z.spikes.detach())[:, 0]
        aligned = intro.align(calibrated)
        found["rest"].append(cadc[:9].mean())
        found["peak"].append(cadc.max())
        found["minimum"].append(cadc.min())
        found["MADC rest"].append(code[time / CYCLES_PER_US < 9].mean())
        found["MADC peak"].append(code.max())
        found["distance"].append(aligned.threshold_distance)
        found["PSP"].append(aligned.chip.mean(axis=0).max())
        found["spike"].append(float(steps[0]) if len(steps) == 1 else np.nan)
    hxtorch.release_hardware()
    return {name: np.array(item) for name, item in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chips", type=int, default=150)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=10, help="trials of the chips that pass the first two")
    parser.add_argument("--trials", type=int, default=1, help="trial seeds of the calibration, from 0 on")
    options = parser.parse_args()
    chips = range(options.first, options.first + options.chips)
    trials = range(options.trials) if options.trials > 1 else [TRIAL_SEED]
    for seed, trial in itertools.product(chips, trials):
        for repeats in (2, options.repeats):
            found = values(seed, trial, repeats)
            inside = [np.all((found[n] >= low) & (found[n] <= high)) for n, (low, high, _) in BANDS.items()]
            if not all(inside):
                break
        else:
            away = np.mean([abs(found[n].mean() - at) / (high - low) for n, (low, high, at) in BANDS.items()])
            shown = ", ".join(f"{n} {item.min():.2f}..{item.max():.2f}" for n, item in found.items())
            print(f"{away:.3f}  chip {seed}, trial seed {trial}: {shown}", flush=True)


if __name__ == "__main__":
    main()
