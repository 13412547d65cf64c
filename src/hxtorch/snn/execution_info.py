"""What a run on the chip tells about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ExecutionInfo:
    """Returned by `run` for a run on the chip.

    * `time`: seconds that parts of the run took, by name.
    * `health`: counters of what went wrong on the chip, by name, for example lost spikes.
    """

    time: Mapping[str, float] = field(default_factory=dict)
    health: Mapping[str, int] = field(default_factory=dict)
