"""Temporal noise: everything that changes from one trial to the next on the same chip (chip.md 4.5, 9.4)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class Noise:
    """Strengths of the temporal noise; every one can be set to zero on its own.

    The marks are those of `hxtorch.twin.pattern.process`: M measured, D documented, E estimate.

    * `membrane` (CADC LSB, M): Ornstein-Uhlenbeck noise of the leak potential. A silent membrane follows it with
      its time constant; one that fires starts every interval anew. So one noise explains both a silent neuron with
      a strong leak (a third of the variance of 1.65 MADC LSB, correlated over 12 µs, DEMO ts_00) and the small
      jitter of intervals (17 ns at 6 µs, 41 ns at 13 µs, DEMO ts_00).
    * `membrane_time` (µs, M): its correlation time.
    * `cadc` (LSB, E) and `madc` (LSB, M): white noise of one conversion.
    * `run_offset` (CADC LSB, M): shift of a neuron's CADC baseline from run to run.
    * `threshold` (CADC LSB, M): jitter of the comparator from spike to spike.
    * `charge` (relative, E): jitter of the charge of one synaptic event.
    * `spike_loss` (probability, E): chance that the record of a spike is lost on its way off the chip.
    * `link_load` (factor, D/E): how much of the link's real load counts for further losses
      (`hxtorch.twin.engine.link`): 1 as on the chip, 0 for a link of any bandwidth.
    * `cadc_phase` (fraction, D): the first CADC sample falls anywhere in this part of one sampling period.
    """

    membrane: float = 0.34
    membrane_time: float = 12.0
    cadc: float = 0.7
    madc: float = 1.35
    run_offset: float = 0.8
    threshold: float = 0.1
    charge: float = 0.01
    spike_loss: float = 0.002
    link_load: float = 1.0
    cadc_phase: float = 1.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not value >= 0:
                raise ValueError(f"Noise.{item.name} is {value}, but a noise strength is at least 0.")
        if self.membrane_time == 0:
            raise ValueError("Noise.membrane_time is 0 µs, but a correlation time is positive.")
        for name in ("spike_loss", "cadc_phase"):
            if getattr(self, name) > 1:
                raise ValueError(f"Noise.{name} is {getattr(self, name)}, but it is at most 1.")

    @classmethod
    def off(cls) -> Noise:
        """No temporal noise at all: every trial gives the same result."""
        return cls().without(*_STRENGTHS)

    def without(self, *names: str) -> Noise:
        """Return a copy in which the named effects are switched off."""
        unknown = sorted(set(names) - set(_STRENGTHS))
        if unknown:
            raise ValueError(f"There is no noise called {', '.join(unknown)}. Known: {', '.join(_STRENGTHS)}.")
        return replace(self, **dict.fromkeys(names, 0.0))


_STRENGTHS = tuple(item.name for item in fields(Noise) if item.name != "membrane_time")
