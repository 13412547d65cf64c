"""How well a die predicts recordings of a chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.emulation.emulator import Emulator
from hxtorch.twin.fitting.data import Recorded, first_spikes, has_feedback, observe, recorded_circuits
from hxtorch.twin.pattern.fixed_pattern import FixedPattern, nominal_pattern
from hxtorch.twin.pattern.noise import Noise

_NOTHING = float("nan")


@dataclass(frozen=True)
class Score:
    """First spikes and membranes as a noiseless chip of a die predicts them, against the recorded ones.

    * `residual`: half the width (µs) of the central 68 % of the differences of first spikes, or their median if
      that is larger; `nominal_residual`: the same of the nominal design with the same codes.
    * `membrane_residual`, `nominal_membrane_residual`: likewise of CADC samples before a first spike, in LSB.
    * `agreement`: part of the (entry, circuit) pairs of which it is predicted right whether there is a spike.
    * `compared`: number of spikes that were compared.

    What was not recorded, or not asked for, is nan. Membranes of neurons that excite each other are not compared.
    """

    residual: float
    agreement: float
    compared: int
    membrane_residual: float = _NOTHING
    nominal_residual: float = _NOTHING
    nominal_membrane_residual: float = _NOTHING

    @property
    def explained(self) -> float:
        """Part of the variance of the nominal design's errors in spikes, else membranes, that the die explains."""
        if np.isfinite(self.residual):
            return 1 - (self.residual / self.nominal_residual) ** 2
        return 1 - (self.membrane_residual / self.nominal_membrane_residual) ** 2


def score_die(die: FixedPattern, recordings: Sequence[Recorded]) -> Score:
    """Judge a die, for example one from a calibration, by recordings that it was not made from.

    Raises ValueError for recordings without two spikes or CADC samples to compare.
    """
    if not recordings:
        raise ValueError("A score needs at least one recording, a pair of a program and what a chip recorded.")
    circuits = np.unique(np.concatenate([recorded_circuits(item) for item in recordings]))
    own, nominal = (
        judge(replace(d, capmem_error=0.0), recordings, circuits) for d in (die, nominal_pattern("nominal"))
    )
    if not own.compared and not np.isfinite(own.membrane_residual):
        raise ValueError(
            "The recordings hold neither spikes that the die predicts, too, nor CADC samples. Record more entries."
        )
    return replace(own, nominal_residual=nominal.residual, nominal_membrane_residual=nominal.membrane_residual)


def judge(die: FixedPattern, test: Sequence[Recorded], circuits: NDArray[np.int64]) -> Score:
    """Compare the first spikes and CADC samples of `circuits`; nan where there are none to compare."""
    emulator = Emulator()
    differences, agreed, pairs = [np.empty(0)], 0, 0
    levels = [np.empty(0)]
    for program, recording in test:
        if recording.cadc is not None and not has_feedback(program):
            seen = observe((program, recording), circuits, np.random.default_rng(0))
            levels.append(seen.residual(die, seen.predict(die))[seen.kind == 1])
        if recording.spikes is None:
            continue
        own = np.intersect1d(circuits, program.record.spikes)
        first = first_spikes(recording, program.batch_size)[:, own]
        predicted = first_spikes(emulator.run(program, die, Noise.off()), program.batch_size)[:, own]
        difference = predicted - first
        differences.append(difference[np.isfinite(difference)])
        agreed += int(np.count_nonzero(np.isnan(first) == np.isnan(predicted)))
        pairs += first.size
    every = np.concatenate(differences)
    membrane = _width(np.concatenate(levels))
    if every.size < 2:
        return Score(_NOTHING, _NOTHING, 0, membrane)
    return Score(_width(every), agreed / pairs, int(every.size), membrane)


def _width(differences: NDArray[np.float64]) -> float:
    """Half the width of the central 68 %, or the median size if that is larger; nan for less than two."""
    if differences.size < 2:
        return _NOTHING
    low, high = np.percentile(differences, [16, 84])
    return float(max((high - low) / 2, np.median(np.abs(differences))))
