"""How numbers of a NIR graph become numbers of a network."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}

_LIBRARY_STEPS = {"norse": 1e-3, "snntorch": 1e-4, "sinabs": 1.0}
"""Time step that each library assumes when it writes NIR, in the unit of its own time constants."""


@dataclass(frozen=True)
class ConversionConfig:
    """How `from_nir` builds a network.

    * `dt`: time step in seconds of the chip.
    * `calib_path`: calibration to load; None calibrates for the time constants of the graph.
    * `weight_scale`: chip weight (LSB) of a weight of 1, for a neuron whose threshold is 1 above its leak; of
      neurons that differ in their membrane time constant, for the mean of these. None: what moves the membrane of
      a chip at its default settings as far as that of the model, for every time constant.
    * `trace_scale`: model units per CADC LSB, for such a neuron; None: those between leak and threshold.
    * `trace_shift`: `cadc_time_shift` in steps.
    * `cadc_recording`: record the membranes of spiking neurons; those of non-spiking ones always are.
    * `mock`: compute the model alone. `input_loopback`: return the input spikes that the chip recorded.
    * `device`: of the weights.
    * `time_unit`: what a 1 in the graph's time constants is on the chip: "s", "ms", "us", or a number of
      seconds. NIR does not say; "ms" turns 0.01 (s, in a model of biology) into 10 µs of the chip.
    * `spike_jump`: how a spike acts on a synaptic current (or on the membrane of an IF neuron). "weight": it
      jumps by ``w_in * weight``. "ode": by the Euler step of NIR's equation, ``dt / tau_syn * w_in * weight``.
    * `integration`: "euler", or "exponential" for libraries that decay by ``exp(-dt / tau)``: the model then
      takes Euler steps with the same decay, while the chip gets `tau` itself.

    `for_library` has the settings with which models of some libraries keep their numbers.
    """

    dt: float = 1e-6
    calib_path: str | Path | None = None
    weight_scale: float | None = 64.0
    trace_scale: float | None = 1 / 50
    trace_shift: float = 0.0
    cadc_recording: bool = True
    mock: bool = True
    input_loopback: bool = True
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    time_unit: str | float = "ms"
    spike_jump: str = "weight"
    integration: str = "euler"

    def __post_init__(self) -> None:
        if isinstance(self.time_unit, str) and self.time_unit not in TIME_UNITS:
            raise ValueError(
                f"time_unit is {self.time_unit!r}, but must be a number of seconds or one of "
                f"{', '.join(TIME_UNITS)}."
            )
        if self.spike_jump not in ("weight", "ode"):
            raise ValueError(f"spike_jump is {self.spike_jump!r}, but must be 'weight' or 'ode'.")
        if self.integration not in ("euler", "exponential"):
            raise ValueError(f"integration is {self.integration!r}, but must be 'euler' or 'exponential'.")
        if not self.dt > 0 or not self.seconds_per_unit > 0:
            raise ValueError("dt and time_unit must be positive.")

    @property
    def seconds_per_unit(self) -> float:
        """Seconds of the chip per unit of the graph's time constants."""
        return TIME_UNITS[self.time_unit] if isinstance(self.time_unit, str) else float(self.time_unit)

    @classmethod
    def for_library(
        cls, library: str, *, dt: float = 1e-6, library_dt: float | None = None, **options: Any
    ) -> ConversionConfig:
        """Settings for a graph written by "norse", "snntorch" or "sinabs": one step there is one `dt` here.

        `library_dt` is the time step of the model there, by default the library's own. `options` are further
        fields. Without them, weights and membranes have the scales of a chip at its default settings.

        * norse 1.1 writes ``dt / tau_mem_inv``, its time constants times its step.
        * snnTorch writes ``tau = library_dt / (1 - beta)`` and puts the jump of the current into `r` and `w_in`.
        * sinabs writes time constants in steps and decays exponentially.
        """
        if library not in _LIBRARY_STEPS:
            raise ValueError(f"There are no settings for {library!r}. Known: {', '.join(_LIBRARY_STEPS)}.")
        step = _LIBRARY_STEPS[library] if library_dt is None else library_dt
        known: dict[str, dict[str, Any]] = {
            "norse": {"time_unit": dt / step**2},
            "snntorch": {"time_unit": dt / step, "spike_jump": "ode"},
            "sinabs": {"time_unit": dt / step, "integration": "exponential"},
        }
        scales = {"weight_scale": None, "trace_scale": None}
        return cls(dt=dt, **(scales | known[library] | options))
