"""What is recorded of a population on the chip, and how it becomes an observable of the model."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar, overload

import numpy as np
import torch
from torch import Tensor

from hxtorch.snn.recording.observables import HardwareObservables, by_neuron, check_mode, postprocess_cadc
from hxtorch.snn.recording.readout_source import ReadoutSource, check_readout_source

TraceValue = float | Tensor | Mapping[Any, float]
T = TypeVar("T")


@dataclass(eq=False)
class Recording:
    """What is recorded of `size` neurons; values are checked when they are set.

    * `enable_*_recording`: what the chip records; `record_neuron_id`: the neuron, or pair, that the MADC samples.
    * `cadc_readout_source`, `madc_readout_source`: what the converters look at.
    * `cadc_time_shift`, `shift_cadc_to_first`, `trace_offset`, `trace_scale`: how the CADC trace is aligned with
      the model, in this order (`hxtorch.snn.recording.observables.postprocess_cadc`).
    * `interpolation_mode`: "linear" or "nn", how CADC samples come onto the grid of time steps.
    """

    size: int
    enable_spike_recording: bool = True
    enable_cadc_recording: bool = True
    enable_cadc_recording_placement_in_dram: bool = False
    cadc_readout_source: ReadoutSource = ReadoutSource.VOLTAGE
    enable_madc_recording: bool = False
    record_neuron_id: int | tuple[int, int] | None = None
    madc_readout_source: ReadoutSource = ReadoutSource.VOLTAGE
    trace_offset: TraceValue = 0.0
    trace_scale: TraceValue = 1.0
    cadc_time_shift: int = 0
    shift_cadc_to_first: bool = False
    interpolation_mode: str = "linear"

    def __post_init__(self) -> None:
        if self.enable_madc_recording:
            _check_madc(self.record_neuron_id, self.size)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("cadc_readout_source", "madc_readout_source"):
            check_readout_source(name, value)
        elif name in ("trace_offset", "trace_scale"):
            value = _trace_value(name, value, self.size)
        elif name == "cadc_time_shift":
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise TypeError(f"cadc_time_shift is {value!r}, but must be a whole number of time steps.")
            value = int(value)
        elif name == "interpolation_mode":
            check_mode(value)
        super().__setattr__(name, value)

    @property
    def on_chip(self) -> tuple[Any, ...]:
        """The settings that the chip has to know."""
        return (
            self.enable_spike_recording,
            self.enable_cadc_recording,
            self.enable_cadc_recording_placement_in_dram,
            self.enable_madc_recording,
            self.record_neuron_id,
        )

    def cadc_trace(self, measured: HardwareObservables, runtime: float, dt: float) -> Tensor | None:
        """The CADC trace (T, B, size) on the time grid, shifted, offset and scaled; None if there is none.

        `runtime` and `dt` are in seconds.
        """
        if measured.cadc is None:
            return None
        offset: Tensor | float = 0.0
        if not self.shift_cadc_to_first:
            offset = by_neuron(self.trace_offset, measured.neurons, "trace_offset")  # type: ignore[arg-type]
        scale = by_neuron(self.trace_scale, measured.neurons, "trace_scale")  # type: ignore[arg-type]
        dense = measured.cadc.to_dense(runtime, dt, self.interpolation_mode)
        return postprocess_cadc(dense, self.cadc_time_shift, self.shift_cadc_to_first, offset, scale)


RECORDING_OPTIONS: Mapping[str, Any] = {item.name: item.default for item in fields(Recording)[1:]}
"""The options with their defaults."""


class RecordingOption(Generic[T]):
    """An option of `recording` as an attribute of the population itself."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, population: None, owner: type) -> RecordingOption[T]: ...

    @overload
    def __get__(self, population: Any, owner: type) -> T: ...

    def __get__(self, population: Any, owner: type) -> Any:
        """The option of a population."""
        return self if population is None else getattr(population.recording, self.name)

    def __set__(self, population: Any, value: T) -> None:
        setattr(population.recording, self.name, value)


def _check_madc(neuron: int | tuple[int, int] | None, size: int) -> None:
    if neuron is None:
        raise ValueError(
            "enable_madc_recording needs record_neuron_id, the index of the neuron to record (or a pair)."
        )
    chosen = neuron if isinstance(neuron, (tuple, list)) else (neuron,)
    if not 1 <= len(chosen) <= 2 or len(set(chosen)) != len(chosen):
        raise ValueError(f"record_neuron_id is {neuron}, but the MADC records one neuron or two different ones.")
    for index in chosen:
        if isinstance(index, bool) or not isinstance(index, (int, np.integer)) or not 0 <= index < size:
            raise ValueError(f"record_neuron_id is {neuron}, but must name neurons of 0..{size - 1}.")


def _trace_value(name: str, value: TraceValue, size: int) -> Tensor | dict[Hashable, float]:
    if isinstance(value, Mapping):
        return dict(value)
    # On the CPU also within ``with torch.device(...)``: it is a setting, not a state.
    device = value.device if isinstance(value, Tensor) else "cpu"
    tensor = torch.as_tensor(value, dtype=torch.float32, device=device).detach()
    if tensor.shape not in ((), (1,), (size,)):
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, expected () or ({size},).")
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"{name} contains NaN or infinite values. Give finite ones.")
    return tensor
