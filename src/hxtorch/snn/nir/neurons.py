"""Neurons of NIR as neurons of this package.

NIR's equations, with the membrane taken relative to `v_leak`:

* CubaLIF, CubaLI:  tau_mem dv/dt = -v + r i,  tau_syn di/dt = -i + w_in * spikes
* LIF, LI:          tau dv/dt = -v + r * spikes;  IF, I:  dv/dt = r * spikes
* Threshold:        a spike where the input is above the threshold

The chip's neurons, and their model, have a synaptic current that every spike lets jump by its weight, and
``tau_mem dv/dt = -v + i``. `r`, `w_in` and time steps therefore become a `gain` of the weights. Where NIR has no
synaptic current, the model's `tau_syn` is one time step, which makes it a current of exactly one step; the
chip takes the shortest `tau_syn` with which its weights suffice (`fitted`). The membrane sees a current one
step after the spikes. A Threshold has no memory, which no circuit of the chip can do: it exists in mock mode.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hxtorch.snn.nir.config import ConversionConfig
from hxtorch.snn.nir.nodes import SPIKING, Node, kind
from hxtorch.snn.parameters.table import PARAMETERS
from hxtorch.twin.coordinates import MAX_WEIGHT

Array = NDArray[np.float64]

LEAK, THRESHOLD = 80, 150
"""CADC LSB on the chip; between them lies the distance from leak to threshold of the model."""

NO_LEAK = 1e9
"""Membrane time constant of the model in time steps where NIR has no leak: beyond float32's resolution."""

_REFERENCE_TAU = 10e-6  # s; where NIR has no membrane time constant, weights are scaled as for this one

_PUBLISHED_SCALE = 55 / 45
"""Chip weight (LSB) of a weight of 1 by CADC LSB between leak and threshold, at tau_mem = tau_syn = 10 µs and the
default biases (tutorial of the BSS-2 software, which measures 55 for 45 LSB)."""


@dataclass(frozen=True, eq=False)
class NeuronSettings:
    """One population, every array of shape (size,).

    * `tau_mem`, `tau_syn`: of the model, in s; `chip_tau_mem`, `chip_tau_syn`: of the chip.
    * `threshold`, `reset`: of the model above leak 0; None if it does not fire. `chip_reset`: CADC LSB.
    * `gain`: factor on all weights of the model. `chip_scale`: factor on these that gives the weights of the
      chip for `weight_scale` = 1. `distance`: from leak to threshold, in the model.
    * `open_tau_syn`: whether NIR leaves `tau_syn` open.
    """

    spiking: bool
    tau_mem: Array
    tau_syn: Array
    chip_tau_mem: Array
    chip_tau_syn: Array
    threshold: Array
    reset: Array
    chip_reset: Array
    gain: Array
    chip_scale: Array
    distance: Array
    open_tau_syn: bool


def weight_scale(cfg: ConversionConfig) -> float:
    """Chip weight (LSB) of a weight of 1, of a neuron with the reference time constant."""
    return _PUBLISHED_SCALE * (THRESHOLD - LEAK) if cfg.weight_scale is None else cfg.weight_scale


def trace_scale(cfg: ConversionConfig) -> float:
    """Model units per CADC LSB, of a neuron whose threshold is 1 above its leak."""
    return 1 / (THRESHOLD - LEAK) if cfg.trace_scale is None else cfg.trace_scale


def settings(node: Node, size: int, name: str, cfg: ConversionConfig) -> NeuronSettings:
    """Settings of the `size` neurons of a NIR node; values that no neuron can have: ValueError."""

    def read(field: str, default: float | None = None) -> Array:
        value = getattr(node, field, None)
        value = default if value is None else value
        array = np.asarray(value, dtype=np.float64).reshape(-1)
        if array.size not in (1, size) or not np.isfinite(array).all():
            raise ValueError(
                f"{field} of {name!r} has {array.size} values ({array[:3]} ...), expected {size} numbers."
            )
        return np.broadcast_to(array, (size,)).copy()

    kind_ = kind(node)
    spiking = kind_ in SPIKING
    shortest_syn, _ = _chip_range("tau_syn")
    shortest_mem, longest_mem = _chip_range("tau_mem")
    one = np.ones(size)
    if kind_ == "Threshold" and not cfg.mock:
        raise NotImplementedError(
            f"{name!r} is a Threshold, but every neuron of the chip has a membrane that remembers. Use a LIF node, "
            "or ConversionConfig(mock=True)."
        )
    chip_tau_syn = one * max(cfg.dt, 0.5e-6, shortest_syn)
    tau_syn, r, w_in = one * cfg.dt, read("r", 1.0), one
    if kind_ in ("CubaLIF", "CubaLI"):
        chip_tau_syn = read("tau_syn") * cfg.seconds_per_unit
        tau_syn = _model_tau(chip_tau_syn, f"tau_syn of {name!r}", cfg)
        w_in = read("w_in", 1.0)
        if cfg.spike_jump == "ode":
            w_in = w_in * cfg.dt / chip_tau_syn
    if kind_ in ("IF", "I"):
        chip_tau_mem, tau_mem, reference = one * longest_mem, one * NO_LEAK * cfg.dt, _REFERENCE_TAU
        r = r * NO_LEAK * (cfg.dt / cfg.seconds_per_unit if cfg.spike_jump == "ode" else 1.0)
    elif kind_ == "Threshold":
        chip_tau_mem, tau_mem, reference = one * max(cfg.dt, shortest_mem), one * cfg.dt, _REFERENCE_TAU
    else:
        chip_tau_mem = read("tau_mem" if kind_.startswith("Cuba") else "tau") * cfg.seconds_per_unit
        tau_mem = _model_tau(chip_tau_mem, f"tau of {name!r}", cfg)
        reference = _REFERENCE_TAU if cfg.weight_scale is None else float(chip_tau_mem.mean())
    leak = read("v_leak", 0.0)
    threshold, reset = one, 0 * one
    if spiking:
        threshold = read("threshold" if kind_ == "Threshold" else "v_threshold") - leak
        reset = read("v_reset", 0.0) - leak if kind_ != "Threshold" else reset
        if not (threshold > 0).all() or not (reset < threshold).all():
            raise ValueError(
                f"{name!r} has thresholds {threshold.min():g} and resets {reset.max():g} above the leak; the chip "
                "needs leak and reset below the threshold."
            )
    low, high = _chip_range("reset")
    chip_reset = np.clip(LEAK + (THRESHOLD - LEAK) * reset / threshold, low, high)
    # on the chip a spike moves the membrane by its charge, whatever the time constants: current times tau_syn
    charge = (tau_syn / chip_tau_syn) if not kind_.startswith("Cuba") else one
    return NeuronSettings(
        spiking,
        tau_mem,
        tau_syn,
        chip_tau_mem,
        chip_tau_syn,
        threshold,
        reset,
        chip_reset,
        gain=r * w_in,
        chip_scale=charge * reference / tau_mem / threshold,
        distance=threshold,
        open_tau_syn=not kind_.startswith("Cuba"),
    )


def fitted(item: NeuronSettings, largest: Array) -> NeuronSettings:
    """Longer synaptic time constants on the chip for neurons whose weights would exceed its range.

    `largest` (size,): magnitude of the largest weight on the chip with `item`. A spike moves the membrane by
    its charge, current times `tau_syn`, so that a longer `tau_syn` needs smaller weights. Only for neurons
    whose `tau_syn` NIR leaves open; it stays below `tau_mem`.
    """
    _, longest = _chip_range("tau_syn")
    most = np.maximum(np.minimum(longest, item.chip_tau_mem) / item.chip_tau_syn, 1.0)
    factor = np.clip(largest / MAX_WEIGHT, 1.0, most) if item.open_tau_syn else np.ones_like(largest)
    return replace(item, chip_tau_syn=item.chip_tau_syn * factor, chip_scale=item.chip_scale / factor)


def _model_tau(tau: Array, name: str, cfg: ConversionConfig) -> Array:
    """Time constant of Euler steps; shorter than a step: ValueError."""
    if cfg.integration == "exponential":
        tau = cfg.dt / -np.expm1(-cfg.dt / tau)
    if (tau < cfg.dt * (1 - 1e-9)).any():
        raise ValueError(
            f"{name} is {tau.min():.3g} s on the chip, shorter than the time step of {cfg.dt:g} s. "
            "Choose a shorter dt, or a longer time_unit (see ConversionConfig)."
        )
    return tau


def _chip_range(name: str) -> tuple[float, float]:
    limits = PARAMETERS[name].chip_range
    assert limits is not None
    return limits
