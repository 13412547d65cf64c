"""Alignment of a network on the chip with its model, by measurement, in one call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hxtorch.snn.alignment.probe import DRIVEN, LEAD, ONE_INPUT, Probe, mean, probe_of
from hxtorch.snn.alignment.weights import set_weight_scale
from hxtorch.snn.modules import Neuron, ReadoutNeuron, Synapse
from hxtorch.snn.parameters.parameter import on_cpu
from hxtorch.snn.transforms.weight_transforms import linear_saturating
from hxtorch.twin.places.coordinates import MAX_WEIGHT

_PROBE_WEIGHT = 40.0
"""Weight of one input on the chip: large against noise, small against saturation."""

_OVERDRIVE = 1.3
"""Resting membrane of a driven neuron over its threshold: rises slowly, but crosses it."""

_LARGEST_SHIFT = 3
"""Steps by which rows of the CADC may be moved: a row is read within some microseconds."""

_RESET_SEEN = 0.1
"""Of the rise towards a spike: rows that are lower than the highest by more have seen a part of the reset."""

_LEAST_DISTANCE = 1.0
"""CADC LSB between leak and threshold of a readout, whose threshold may be anything, also below its leak."""


@dataclass(frozen=True)
class LayerAlignment:
    """What was measured for a layer, and what follows.

    * `baseline`: resting membrane, in CADC LSB (raw codes, signed); `psp`: height of the response to an input
      of weight 1 on the chip, in CADC LSB.
    * `threshold`: distance from rest to threshold in CADC LSB; None for a readout.
    * `time_shift`: the `cadc_time_shift` to use. For spiking neurons that with which the rows of spikes show
      the membrane before its reset, for a readout that with which its response to an input is most like the
      model's.
    * `trace_scale`: membrane of the model per CADC LSB; `weight_scale`: weight on the chip per weight of the
      model.
    """

    baseline: float
    psp: float
    threshold: float | None
    time_shift: int
    trace_scale: float
    weight_scale: float


def align(model: nn.Module, inputs: Any, *, apply: bool = True) -> dict[str, LayerAlignment]:
    """Measure how the connected chip maps onto the model of each layer, and set the scales of the layers.

    `inputs` is any batch that `model(inputs)` runs on the chip; it shows how the layers are connected. Then
    every layer of neurons is probed with the calibration that the network uses: rest, response to one input,
    threshold. With `apply`, `trace_scale` and `cadc_time_shift` of the layers, and the scale of the synapses into
    them, are set.
    A synapse whose transform is not `linear_saturating` keeps it.

    Returns the measurements by the name of the layer within `model`. RuntimeError in mock mode and without a
    connection; ValueError if the model runs no neurons.
    """
    feeds = _connections(model, inputs)
    names = {module: name for name, module in model.named_modules() if module in feeds}
    if not names:
        raise ValueError("The model ran no neurons, so there is nothing to align.")
    measured = {module: _measure(module) for module in names}
    scales = [item.trace_scale for item in measured.values() if item.threshold is not None]
    common = sum(scales) / len(scales) if scales else None
    results = {}
    for layer, item in measured.items():
        if item.threshold is None and common is not None:  # a readout speaks the units of the spiking layers
            weight = item.weight_scale * item.trace_scale / common
            item = replace(item, trace_scale=common, weight_scale=weight)
        results[names[layer]] = item
        if apply:
            _apply(layer, feeds[layer], item)
    return results


def _apply(layer: Neuron, synapses: list[Synapse], item: LayerAlignment) -> None:
    layer.cadc_time_shift = item.time_shift
    layer.trace_scale = on_cpu(item.trace_scale, torch.float32)
    for synapse in synapses:
        transform = getattr(synapse.weight_transform, "func", synapse.weight_transform)
        if transform is linear_saturating:
            set_weight_scale(synapse, item.weight_scale)


def _connections(model: nn.Module, inputs: Any) -> dict[Neuron, list[Synapse]]:
    """Run the model once and note which synapses lead to which layer of neurons."""
    made: dict[int, Synapse] = {}
    kept: list[Any] = []  # handles, so that no number is used twice
    feeds: dict[Neuron, list[Synapse]] = {}

    def from_synapse(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        assert isinstance(module, Synapse)
        made[id(output)] = module
        kept.append(output)

    def into_layer(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        assert isinstance(module, Neuron)
        feeds.setdefault(module, []).extend(made[id(handle)] for handle in args if id(handle) in made)

    hooks: list[RemovableHandle] = []
    for module in model.modules():
        if isinstance(module, Synapse):
            hooks.append(module.register_forward_hook(from_synapse))
        elif isinstance(module, Neuron):
            hooks.append(module.register_forward_hook(into_layer))
    try:
        with torch.no_grad():
            model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    for layer in feeds:
        if layer.experiment is None or layer.experiment.mock:
            raise RuntimeError("Mock mode has no chip to align with. Use Experiment(mock=False).")
    return feeds


@dataclass(frozen=True)
class _Response:
    """How a layer without a threshold answers one input, on the chip and in its model.

    * `baseline`: resting membrane (CADC LSB). `psp`: height on the chip per weight (LSB); `model_psp`: of weight 1.
    * `shift`: the `cadc_time_shift` with which both are most alike.
    """

    baseline: float
    psp: float
    model_psp: float
    shift: int


def _measure(layer: Neuron) -> LayerAlignment:
    probe = probe_of(layer)
    response = _response(probe)
    leak, threshold = layer.params["leak"], layer.params["threshold"]
    on_chip = mean(threshold.hardware_value) - mean(leak.hardware_value)
    in_model = mean(threshold.model_value) - mean(leak.model_value)
    if isinstance(layer, ReadoutNeuron):
        measured, shift = None, response.shift
        trace_scale = (in_model if in_model > 0 else 1.0) / max(on_chip, _LEAST_DISTANCE)
    else:
        measured, shift = _threshold(probe, response, on_chip)
        trace_scale = in_model / measured
    scale = response.model_psp / (response.psp * trace_scale)
    return LayerAlignment(response.baseline, response.psp, measured, shift, trace_scale, scale)


def _response(probe: Probe) -> _Response:
    """Measure the response to one input; RuntimeError if there is none on the chip."""
    excited = probe.membranes(_PROBE_WEIGHT, ONE_INPUT, mock=False)
    inhibited = probe.membranes(-_PROBE_WEIGHT, ONE_INPUT, mock=False)
    heights = [
        (trace.mean(1) - trace[:LEAD].mean((0, 1))).mul(sign).amax(0).mean()
        for trace, sign in ((excited, 1), (inhibited, -1))
    ]
    psp = float(sum(heights)) / 2 / _PROBE_WEIGHT
    model = (probe.membranes(1.0, ONE_INPUT, mock=True) - _rest_of_model(probe)).mean((1, 2))
    if not psp > 0:
        raise RuntimeError(f"{probe.layer} does not respond to inputs on the chip: {psp:g} LSB. Is it calibrated?")
    shift = _time_shift(excited.mean((1, 2)) - inhibited.mean((1, 2)), model)
    return _Response(float(excited[:LEAD].mean()), psp, float(model.max()), shift)


def _threshold(probe: Probe, response: _Response, distance: float) -> tuple[float, int]:
    """Measure how far the threshold is above rest (CADC LSB), and with which shift rows of spikes show it.

    `distance` is what the calibration aimed at: the drive takes the membrane a little beyond it.
    """
    driven = probe.membranes(1.0, DRIVEN, mock=True) - _rest_of_model(probe)
    per_weight = float(driven.amax(0).mean()) / response.model_psp * response.psp
    weight = min(_OVERDRIVE * distance / per_weight, float(MAX_WEIGHT))
    trace, spikes = probe.spiking(weight, DRIVEN)
    peaks = trace.amax(0).mean(0) - trace[:LEAD].mean((0, 1))
    return float(peaks.mean()), _pre_spike_shift(trace, spikes)


def _rest_of_model(probe: Probe) -> float:
    return mean(probe.layer.params["leak"].model_value)


def _time_shift(chip: Tensor, model: Tensor) -> int:
    """Return the `cadc_time_shift` with which the response (T,) of the chip is most like that of the model."""
    return min(
        range(-_LARGEST_SHIFT, _LARGEST_SHIFT + 1),
        key=lambda shift: float((_unit(torch.roll(chip, -shift)) - _unit(model)).square().sum()),
    )


def _pre_spike_shift(trace: Tensor, spikes: Tensor) -> int:
    """Return the `cadc_time_shift` with which rows of spikes see the membrane before its reset.

    A surrogate gradient needs the membrane near the threshold where a spike is.
    """
    inner = spikes[_LARGEST_SHIFT : len(spikes) - _LARGEST_SHIFT].bool()
    if not bool(inner.any()):
        return 0
    rows = range(-_LARGEST_SHIFT, 1)
    heights = [float(trace[_LARGEST_SHIFT + row : len(trace) - _LARGEST_SHIFT + row][inner].mean()) for row in rows]
    whole = max(heights) - heights[-1]  # from before the reset to the row of the spike
    return max(
        row for row, height in zip(rows, heights, strict=True) if height >= max(heights) - _RESET_SEEN * whole
    )


def _unit(response: Tensor) -> Tensor:
    unit: Tensor = response / response.norm()
    return unit
