"""Raw data of one population from the chip, and its way onto the grid of time steps.

A grid over a run of ``steps`` time steps has ``steps + 1`` rows; row r belongs to the time r * dt. Times of
raw data are in cycles of the 125 MHz clock (8 ns). CADC codes 0..255 become signed values -128..127.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hxtorch.shapes import CadcCodes, CadcCounts, CadcTimes, Events, Hemispheres, MadcCodes, SampleTimes
from hxtorch.snn.handles.handle import Handle
from hxtorch.snn.recording.interpolation import interpolate
from hxtorch.snn.shapes import GridRows, MadcTrace, TimeBatchNeuron
from hxtorch.twin.places.coordinates import CYCLES_PER_US, LogicalNeuronOnDLS, Ranged, circuits_of

CYCLES_PER_SECOND = CYCLES_PER_US * 1e6
CADC_ZERO = 128  # CADC code of the signed value 0
INTERPOLATION_MODES = ("linear", "nn")


def grid_rows(runtime_s: float, dt_s: float) -> int:
    """Rows of the grid: ``ceil(runtime/dt) + 1``, safe against the rounding of the quotient."""
    return math.ceil(runtime_s / dt_s - 1e-6) + 1


@dataclass(frozen=True)
class SpikeHandle:
    """Spikes of a population: `entry` (batch), `time` (cycles) and `neuron`."""

    entry: Events
    time: Events
    neuron: Events
    batch_size: int
    population_size: int

    def to_dense(self, runtime_s: float, dt_s: float) -> GridRows:
        """0 or 1 as float32.

        A spike falls into row round(t/dt), half away from zero; later than the grid it is dropped, several
        in one row are one.
        """
        rows = grid_rows(runtime_s, dt_s)
        # The small constant keeps half steps on their side where dt is no exact binary number.
        row = np.floor(self.time / (dt_s * CYCLES_PER_SECOND) + 0.5 + 1e-9).astype(np.int64)
        keep = (row >= 0) & (row < rows)
        dense = np.zeros((rows, self.batch_size, self.population_size), dtype=np.float32)
        dense[row[keep], self.entry[keep], self.neuron[keep]] = 1
        return torch.from_numpy(dense)


@dataclass(frozen=True)
class CADCHandle:
    """CADC samples of a population.

    * `value`: codes 0..255; a circuit is a neuron.
    * `time`: cycles.
    * `count`: number of valid samples.
    * `hemisphere`: 0 or 1 for every neuron; neurons of several runs count on, two for each run.
    """

    value: CadcCodes
    time: CadcTimes
    count: CadcCounts
    hemisphere: Hemispheres

    @property
    def batch_size(self) -> int:
        """Number of batch entries."""
        return int(self.value.shape[0])

    @property
    def population_size(self) -> int:
        """Number of neurons."""
        return int(self.value.shape[2])

    def to_dense(self, runtime_s: float, dt_s: float, mode: str = "linear") -> GridRows:
        """Signed values on the grid, float32.

        "linear" interpolates between samples, "nn" takes the nearest (a tie goes to the later one); both
        are constant before the first and after the last sample. Another mode: RuntimeError.
        """
        check_mode(mode)
        used = np.unique(self.hemisphere)
        if self.count.size and not self.count[:, used].all():
            raise RuntimeError(
                f"The CADC took no sample within the run of {runtime_s * 1e6:g} us. Make the run longer."
            )
        rows = grid_rows(runtime_s, dt_s)
        dense = np.empty((rows, self.batch_size, self.population_size), dtype=np.float32)
        interpolate(
            self.value,
            self.time,
            self.count,
            self.hemisphere,
            dt_s * CYCLES_PER_SECOND,
            mode == "nn",
            dense,
        )
        return torch.from_numpy(dense)

    def to_raw(self) -> tuple[Tensor, Tensor]:
        """Signed values (n, B, N) as float32 and their times (n, B, N) in whole cycles.

        n is the smallest number of samples over all batch entries and neurons.
        """
        counts = self.count[:, np.unique(self.hemisphere)]
        n = int(counts.min()) if counts.size else 0
        values = self.value[:, :n].astype(np.float32).swapaxes(0, 1) - CADC_ZERO
        times = np.rint(self.time[:, :, :n]).astype(np.int64)[:, self.hemisphere].transpose(2, 0, 1)
        return torch.from_numpy(values), torch.from_numpy(times.copy())


@dataclass(frozen=True)
class MADCHandle:
    """MADC samples: `time` in cycles and 10-bit `value`, of one neuron or of up to two."""

    time: SampleTimes
    value: MadcCodes

    def to_raw(self) -> Tensor:
        """Float32 (2, S, B), or (2, S, B, 2) for a pair: row 0 the times in cycles, row 1 the codes."""
        value = self.value.astype(np.float32).swapaxes(0, 1)
        if value.shape[2:] == (1,):  # one neuron, in the layout of several
            value = value[..., 0]
        time = self.time.astype(np.float32).reshape(-1, *[1] * (value.ndim - 1))
        return torch.from_numpy(np.stack([np.broadcast_to(time, value.shape), value]))


@dataclass(frozen=True)
class HardwareObservables:
    """Raw data of one population; what was not recorded is None.

    `neurons` names the places of the neurons on the chip; it resolves offsets and scales given by place.
    """

    spikes: SpikeHandle | None = None
    cadc: CADCHandle | None = None
    madc: MADCHandle | None = None
    neurons: Iterable[Any] | None = None


@dataclass(eq=False)
class AnalogObservable(Handle):
    """What the chip recorded of one potential: CADC trace and MADC samples."""

    cadc: TimeBatchNeuron | None = None
    madc: MadcTrace | None = None


class _Potentials:
    """What was recorded of a population under the names of today."""

    __slots__ = ()
    cadc: Tensor | None
    madc: Tensor | None

    @property
    def voltage(self) -> AnalogObservable:
        """Of the membrane."""
        return AnalogObservable(self.cadc, self.madc)

    @property
    def adaptation(self) -> AnalogObservable:
        """Of the adaptation, which is not recorded."""
        return AnalogObservable()


class _NeuronData(NamedTuple):
    spikes: TimeBatchNeuron | None = None
    cadc: TimeBatchNeuron | None = None
    madc: MadcTrace | None = None


class _ReadoutData(NamedTuple):
    cadc: TimeBatchNeuron | None = None
    madc: MadcTrace | None = None


class NeuronData(_NeuronData, _Potentials):
    """Processed data of a spiking population, the `hw_data` of its `forward_func`.

    It unpacks as spikes, CADC and MADC, and has them under the names of today: `spikes`, `voltage`, `adaptation`.
    """

    __slots__ = ()


class ReadoutData(_ReadoutData, _Potentials):
    """Processed data of a non-spiking population, the `hw_data` of its `forward_func`; it has no spikes."""

    __slots__ = ()
    spikes: None = None


def neuron_data(hw_data: Any) -> NeuronData:
    """`hw_data` of any form as `NeuronData`: None, a tuple, or a handle with `spikes` and `voltage`."""
    if hw_data is None:
        return NeuronData()
    if isinstance(hw_data, ReadoutData):
        return NeuronData(None, *hw_data)
    if isinstance(hw_data, tuple):
        return NeuronData(*hw_data)
    voltage = getattr(hw_data, "voltage", None) or AnalogObservable()
    return NeuronData(getattr(hw_data, "spikes", None), voltage.cadc, voltage.madc)


def readout_data(hw_data: Any) -> ReadoutData:
    """`hw_data` of any form as `ReadoutData`: None, a tuple (cadc, madc), or a handle with `voltage`."""
    if isinstance(hw_data, tuple) and not isinstance(hw_data, NeuronData):
        return ReadoutData(*hw_data)
    return ReadoutData(*neuron_data(hw_data)[1:])


def postprocess_cadc(
    trace: GridRows,
    time_shift: int = 0,
    shift_to_first: bool = False,
    offset: Tensor | float = 0.0,
    scale: Tensor | float = 1.0,
) -> GridRows:
    """Align a CADC trace with the model: shift in time, then offset, then scale.

    A `time_shift` of k > 0 moves the trace to earlier times by k rows, k < 0 to later times; the rows that
    become free repeat the last or the first row. Then row 0 is subtracted with `shift_to_first`, else
    `offset`; `offset` and `scale` are numbers or (N,).
    """
    rows = trace.shape[0]
    shift = max(-rows, min(time_shift, rows))
    if shift > 0:
        trace = torch.cat([trace[shift:], trace[-1:].expand(shift, *trace.shape[1:])])
    elif shift < 0:
        trace = torch.cat([trace[:1].expand(-shift, *trace.shape[1:]), trace[:shift]])
    return (trace - (trace[0] if shift_to_first else offset)) * scale


def by_neuron(value: Tensor | Mapping[Hashable, float], neurons: Iterable[Any] | None, name: str) -> Tensor:
    """A tensor () or (N,), looked up at the places of the `neurons` if `value` is given by place.

    Places are circuit numbers, coordinates, or all circuits of a neuron.
    """
    if isinstance(value, Tensor):
        return value
    if neurons is None:
        raise ValueError(f"{name} has no value for unplaced neurons.")
    by_place = {_place(key): number for key, number in value.items()}
    found = []
    for neuron in map(_place, neurons):
        key = neuron if neuron in by_place or not isinstance(neuron, tuple) else neuron[:1]
        if key not in by_place:
            raise ValueError(f"{name} has no value for {neuron}.")
        found.append(by_place[key])
    return torch.tensor(found, dtype=torch.float32, device="cpu")


def _place(given: Any) -> Hashable:
    """Circuits of a place as a tuple; anything else as it is."""
    if isinstance(given, np.ndarray):
        return tuple(given.tolist())
    if isinstance(given, int | np.integer | Ranged | LogicalNeuronOnDLS | tuple | list):
        return circuits_of(given)
    return given  # type: ignore[no-any-return]


def check_mode(mode: str) -> None:
    """RuntimeError for an unknown interpolation mode."""
    if mode not in INTERPOLATION_MODES:
        raise RuntimeError(f"Mode '{mode}' is not supported yet. Supported modes are: 'linear', 'nn'.")
