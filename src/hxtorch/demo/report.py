"""What the demo reached, next to the values published for a real chip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import hxtorch.snn as hxsnn
from hxtorch.demo.introduction import INPUT_STEPS, PSP_INPUT_STEP, Alignment
from hxtorch.twin.places.coordinates import CYCLES_PER_US


@dataclass(frozen=True)
class Row:
    """One quantity: its name with unit, the value reached, and the published one (empty if there is none)."""

    name: str
    reached: str
    published: str = ""


def emulation_rows(z: hxsnn.NeuronHandle) -> list[Row]:
    """Output spikes and resting and peak values of both converters."""
    assert z.spikes is not None and z.membrane_cadc is not None and z.membrane_madc is not None
    rest = INPUT_STEPS[0] - 1  # the step before the first input may already interpolate into its PSP
    cadc = _numpy(z.membrane_cadc)[:, 0, 0]
    time, code = _numpy(z.membrane_madc)[:, :, 0]
    steps = torch.nonzero(z.spikes.detach())[:, 0].tolist()
    return [
        Row("output spike (µs)", ", ".join(map(str, steps)) or "none", "32"),
        Row("CADC at rest (LSB)", f"{cadc[:rest].mean():.1f}", "-49"),
        Row("CADC peak (LSB)", f"{cadc.max():.1f}", "-3"),
        Row("MADC at rest (LSB)", f"{code[time / CYCLES_PER_US < rest].mean():.0f}", "305"),
        Row("MADC peak (LSB)", f"{code.max():.0f}", "440"),
    ]


def simulation_rows(z: hxsnn.NeuronHandle) -> list[Row]:
    """Output spikes of the model."""
    assert z.spikes is not None
    steps = torch.nonzero(z.spikes.detach())[:, 0].tolist()
    return [Row("model: output spikes (µs)", ", ".join(map(str, steps)), "22, 35")]


def alignment_rows(alignment: Alignment) -> list[Row]:
    """Threshold distance, and the PSP of the chip in units of it."""
    mean = alignment.chip.mean(axis=0)
    return [
        Row("threshold above rest (LSB)", f"{alignment.threshold_distance:.1f}", "45"),
        Row("PSP peak (thresholds)", f"{mean.max():.2f}", "0.39-0.41"),
        Row("PSP peak after input (µs)", f"{int(mean.argmax()) - PSP_INPUT_STEP}", "10"),
        Row("model: PSP peak (thresholds)", f"{alignment.model.max():.2f}", "0.39"),
    ]


def training_rows(losses: list[float]) -> list[Row]:
    """First loss, and the median of the last ten."""
    final = float(np.median(losses[-10:]))
    return [
        Row("MSE before training", f"{losses[0]:.2f}", "0.4"),
        Row(f"MSE after {len(losses)} epochs", f"{final:.1e}", "6e-03"),
    ]


def table(rows: list[Row]) -> str:
    """Lay the rows out in aligned columns."""
    name = max(len(row.name) for row in rows)
    reached = max(8, *(len(row.reached) for row in rows))
    lines = [f"{'':{name}}  {'here':>{reached}}  published"]
    lines += [f"{row.name:{name}}  {row.reached:>{reached}}  {row.published:>9}".rstrip() for row in rows]
    return "\n".join(lines)


def _numpy(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().cpu().numpy()
    return array
