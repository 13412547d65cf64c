"""How well a die predicts recordings of a chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.chip import VirtualChip
from hxtorch.twin.die import Die, nominal_die
from hxtorch.twin.fit_data import Recorded, first_spikes, recorded_circuits
from hxtorch.twin.noise import Noise


@dataclass(frozen=True)
class Score:
    """First spikes of batch entries as a noiseless chip of a die predicts them, against the recorded ones.

    * `residual`: half the width (µs) of the central 68 % of the differences, or their median if that is larger;
      `nominal_residual` (nan if not asked for): the same of the nominal design with the same codes.
    * `agreement`: part of the (entry, circuit) pairs of which it is predicted right whether there is a spike.
    * `compared`: number of spikes that were compared.
    """

    residual: float
    agreement: float
    compared: int
    nominal_residual: float = float("nan")

    @property
    def explained(self) -> float:
        """Part of the variance of the nominal design's errors that the pattern of the die explains."""
        return 1 - (self.residual / self.nominal_residual) ** 2


def score_die(die: Die, recordings: Sequence[Recorded]) -> Score:
    """Judge a die, for example one from a calibration, by recordings that it was not made from.

    Raises ValueError for recordings without two spikes to compare.
    """
    if not recordings:
        raise ValueError("A score needs at least one recording, a pair of a program and what a chip recorded.")
    circuits = np.unique(np.concatenate([recorded_circuits(item) for item in recordings]))
    own, nominal = (
        judge(replace(d, capmem_error=0.0), recordings, circuits)
        for d in (die, nominal_die("nominal", nominal=False))
    )
    if not own.compared:
        raise ValueError("The recordings hold no spikes that the die predicts, too. Record spikes of more entries.")
    return replace(own, nominal_residual=nominal.residual)


def judge(die: Die, test: Sequence[Recorded], circuits: NDArray[np.int64]) -> Score:
    """Compare the first spikes of `circuits`; nan where there are none to compare."""
    chip = VirtualChip(die, Noise.off())
    differences, agreed, pairs = [], 0, 0
    for program, recording in test:
        if recording.spikes is None:
            continue
        own = np.intersect1d(circuits, program.record.spikes)
        seen = first_spikes(recording, program.batch_size)[:, own]
        predicted = first_spikes(chip.run(program), program.batch_size)[:, own]
        difference = predicted - seen
        differences.append(difference[np.isfinite(difference)])
        agreed += int(np.count_nonzero(np.isnan(seen) == np.isnan(predicted)))
        pairs += seen.size
    every = np.concatenate(differences) if differences else np.empty(0)
    if every.size < 2:
        return Score(float("nan"), float("nan"), 0)
    low, high = np.percentile(every, [16, 84])
    residual = float(max((high - low) / 2, np.median(np.abs(every))))
    return Score(residual, agreed / pairs, int(every.size))
