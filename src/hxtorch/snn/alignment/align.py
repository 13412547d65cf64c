"""Alignment of a network on the chip with its model, by measurement, in one call."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hxtorch.snn.alignment.weights import set_weight_scale
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.experiment import Experiment, run
from hxtorch.snn.handles.handle import NeuronHandle
from hxtorch.snn.modules import LI, LIF, Neuron, ReadoutNeuron, Synapse
from hxtorch.snn.parameters.parameter import Value, on_cpu
from hxtorch.snn.transforms.weight_transforms import linear_saturating

_BATCH = 40  # trials that are averaged
_LEAD = 5  # steps before the first input
_PROBE_WEIGHT = 40.0  # on the chip: large against noise, small against saturation
_LARGEST_SHIFT = 3  # steps
_OVERDRIVE = 1.3  # resting membrane of a driven neuron over its threshold: rises slowly, but crosses it


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


def _measure(layer: Neuron) -> LayerAlignment:
    instance = layer.execution_instance
    assert isinstance(instance, ExecutionInstance)  # it ran on the chip
    made = instance.made_calibration
    calibration = instance.calibration if instance.calibration is not None else made[1] if made else None
    tau = (_mean(layer.params["tau_mem"].model_value) + _mean(layer.params["tau_syn"].model_value)) / 2
    steps = _LEAD + max(10, round(6 * tau / layer.dt))

    modern = isinstance(layer, LIF | LI)  # their model has a capacitance
    integrator: type[Neuron] = LI if modern else ReadoutNeuron
    spiking: type[Neuron] = LIF if modern else Neuron

    def run_probe(kind: type[Neuron], weight: float, at: Callable[[Tensor], None], mock: bool) -> Any:
        exp = Experiment(mock=mock, dt=layer.dt)
        if not mock:
            exp.default_execution_instance.calibration = calibration
        synapse = Synapse(1, layer.size, exp)
        nn.init.constant_(synapse.weight, weight)
        options: dict[str, Any] = {**layer.params}
        neurons = kind(
            layer.size,
            exp,
            **options,
            neuron_structure=layer.neuron_structure,
            placement_constraint=None if mock else layer.placement_constraint,
        )
        spikes = torch.zeros(steps, 1 if mock else _BATCH, 1)
        at(spikes)
        with torch.no_grad(), _quiet():
            handle: Any = neurons(synapse(NeuronHandle(spikes)))
            run(exp, steps)
        return handle

    def probe_spiking(weight: float) -> tuple[Tensor, Tensor]:
        handle = run_probe(spiking, weight, driven, False)
        assert isinstance(handle.spikes, Tensor) and isinstance(handle.membrane_cadc, Tensor)
        return handle.membrane_cadc, handle.spikes

    def probe(kind: type[Neuron], weight: float, at: Callable[[Tensor], None], mock: bool) -> Tensor:
        """Membranes (T, B, size): raw codes of the chip, or those of the model."""
        membranes = run_probe(kind, weight, at, mock).membrane_cadc
        assert isinstance(membranes, Tensor)
        return membranes

    def one_input(spikes: Tensor) -> None:
        spikes[_LEAD] = 1

    def driven(spikes: Tensor) -> None:
        spikes[_LEAD:] = 1

    excited = probe(integrator, _PROBE_WEIGHT, one_input, False)
    inhibited = probe(integrator, -_PROBE_WEIGHT, one_input, False)
    baseline = float(excited[:_LEAD].mean())
    heights = [
        (trace.mean(1) - trace[:_LEAD].mean((0, 1))).mul(sign).amax(0).mean()
        for trace, sign in ((excited, 1), (inhibited, -1))
    ]
    psp = float(sum(heights)) / 2 / _PROBE_WEIGHT
    rest = _mean(layer.params["leak"].model_value)
    response = (probe(integrator, 1.0, one_input, True) - rest).mean((1, 2))
    model_psp = float(response.max())
    shift = _time_shift(excited.mean((1, 2)) - inhibited.mean((1, 2)), response)
    if not psp > 0:
        raise RuntimeError(f"{layer} does not respond to inputs on the chip: {psp:g} LSB. Is it calibrated?")
    hardware_distance = _mean(layer.params["threshold"].hardware_value) - _mean(layer.params["leak"].hardware_value)
    model_distance = _mean(layer.params["threshold"].model_value) - rest
    threshold = None
    if isinstance(layer, ReadoutNeuron):
        trace_scale = (model_distance if model_distance > 0 else 1.0) / max(hardware_distance, 1.0)
    else:
        per_weight = float((probe(integrator, 1.0, driven, True) - rest).amax(0).mean()) / model_psp * psp
        weight = min(_OVERDRIVE * hardware_distance / per_weight, 63.0)
        trace, spikes = probe_spiking(weight)
        shift = _pre_spike_shift(trace, spikes)
        peaks = trace.amax(0).mean(0) - trace[:_LEAD].mean((0, 1))
        threshold = float(peaks.mean())
        trace_scale = model_distance / threshold
    return LayerAlignment(baseline, psp, threshold, shift, trace_scale, model_psp / (psp * trace_scale))


def _mean(value: Value) -> float:
    return float(on_cpu(value, torch.float64).mean())


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
    return max(row for row, height in zip(rows, heights, strict=True) if height >= max(heights) - 0.1 * whole)


def _unit(response: Tensor) -> Tensor:
    unit: Tensor = response / response.norm()
    return unit


@contextmanager
def _quiet() -> Iterator[None]:
    """A probe takes over a calibration on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
