"""What a reader of a report should know: signs that a run, its weights or its calibration are not as wished."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from hxtorch.snn.graph.last_run import LastRun, RanModule
from hxtorch.snn.modules.neuron import ReadoutNeuron
from hxtorch.snn.modules.population import Population
from hxtorch.snn.modules.synapse import Synapse
from hxtorch.snn.report.chip_use import ChipUse
from hxtorch.twin.places.coordinates import MAX_WEIGHT

SATURATED = 0.05
"""Part of the weights at the limit of the chip above which it is said: gradients no longer change them there."""

SILENT = 0.5
"""Part of the neurons without any spike above which it is said: they get no surrogate gradient worth the name."""


def findings(ran: LastRun, uses: list[ChipUse]) -> list[str]:
    """Sentences for the reader, the most important first."""
    found = []
    if ran.info is not None and ran.info.health.get("lost_spikes", 0):
        found.append(
            f"Spikes lost by the chip: {ran.info.health['lost_spikes']}. Fewer or slower spikes, or several "
            "execution instances, relieve its buses."
        )
    for use in uses:
        found += _calibration(use)
    for index, item in enumerate(ran.modules):
        found += [f"Module {index}: {text}" for text in _module(item, on_chip=ran.info is not None)]
    return found


def _calibration(use: ChipUse) -> Iterator[str]:
    missed = np.intersect1d(use.used, use.calibration.failed)
    if missed.size:
        names = ", ".join(map(str, missed[:10])) + (" ..." if missed.size > 10 else "")
        yield f"{missed.size} circuits in use missed the target of the calibration: {names}."


def _module(item: RanModule, on_chip: bool) -> Iterator[str]:
    module = item.module
    if isinstance(module, Synapse) and on_chip:
        with torch.no_grad():
            weight = module.weight_transform(module.weight).abs()
        share = float((weight >= MAX_WEIGHT - 0.5).float().mean())
        if share > SATURATED:
            yield f"{share:.0%} of the weights are at the chip's limit of {MAX_WEIGHT}. A smaller scale avoids it."
    spikes = item.recorded.get("spikes")
    if isinstance(module, Population) and not isinstance(module, ReadoutNeuron) and spikes is not None:
        silent = float((spikes.sum((0, 1)) == 0).float().mean())
        if silent > SILENT:
            yield f"{silent:.0%} of the neurons fired no spike."
    for name, value in item.recorded.items():
        if not bool(torch.isfinite(value).all()):
            yield f"{name} contains NaN or infinite values."
