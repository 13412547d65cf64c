"""What is different from a calibrated chip as it is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields

from hxtorch.twin import DEFAULT_CHIP_SEED


@dataclass(frozen=True)
class Condition:
    """One chip, and what is wrong with it.

    * `chip`: seed of the virtual chip.
    * `dead_neurons`, `dead_synapses`, `dead_columns`: share of circuits that never spike, of synapses without
      effect, and of columns all of whose synapses have none (0..1).
    * `decalibration`: relative standard deviation by which time constants and threshold of every circuit are
      off after the calibration.
    * `noise`: factor on all temporal noise.
    * `seed`: which circuits and synapses it hits, and the seed of a training.
    """

    chip: int = DEFAULT_CHIP_SEED
    dead_neurons: float = 0.0
    dead_synapses: float = 0.0
    dead_columns: float = 0.0
    decalibration: float = 0.0
    noise: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("dead_neurons", "dead_synapses", "dead_columns"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but a share lies in 0..1.")
        for name in ("decalibration", "noise"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, but a strength is at least 0.")


def conditions(**values: Sequence[float] | float) -> list[Condition]:
    """Return every combination of the given values, the last name varying fastest; others are the default.

    An unknown name: TypeError.
    """
    known = {item.name for item in fields(Condition)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise TypeError(f"A condition has no {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
    lists = [value if isinstance(value, Sequence) else [value] for value in values.values()]
    return [Condition(**dict(zip(values, chosen, strict=True))) for chosen in itertools.product(*lists)]  # type: ignore[arg-type]
