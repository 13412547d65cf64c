"""What a run on the chip tells about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ExecutionInfo:
    """Returned by `run` for a run on the chip.

    * `time`: seconds by name: "preparation" and "chip" as they passed here, "realtime" what the entries of the
      batch and the waits between them take on a real chip (`Experiment.inter_batch_entry_wait`).
    * `health`: counters of what went wrong on the chip, by name, for example lost spikes.
    """

    time: Mapping[str, float] = field(default_factory=dict)
    health: Mapping[str, int] = field(default_factory=dict)
