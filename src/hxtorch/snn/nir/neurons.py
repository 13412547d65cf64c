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

from hxtorch.shapes import Array
from hxtorch.snn.nir.config import ConversionConfig
from hxtorch.snn.nir.nodes import SPIKING, Node, kind
from hxtorch.snn.parameters.table import PARAMETERS
from hxtorch.twin.places.coordinates import MAX_WEIGHT

LEAK, THRESHOLD = 80, 150
"""CADC LSB on the chip; between them lies the distance from leak to threshold of the model."""

NO_LEAK = 1e9
"""Membrane time constant of the model in time steps where NIR has no leak: beyond float32's resolution."""

_REFERENCE_TAU = 10e-6  # s; where NIR has no membrane time constant, weights are scaled as for this one

_LEAST_TAU_SYN = 0.5e-6
"""s; where NIR leaves `tau_syn` open, the chip gets no shorter one, well within its range from 0.3 µs."""

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
    of = _Neurons(node, size, name)
    if of.kind == "Threshold" and not cfg.mock:
        raise NotImplementedError(
            f"{name!r} is a Threshold, but every neuron of the chip has a membrane that remembers. Use a LIF node, "
            "or ConversionConfig(mock=True)."
        )
    synapse, membrane = _synapse(of, cfg), _membrane(of, cfg)
    threshold, reset = _firing(of)
    low, high = _chip_range("reset")
    chip_reset = np.clip(LEAK + (THRESHOLD - LEAK) * reset / threshold, low, high)
    # on the chip a spike moves the membrane by its charge, whatever the time constants: current times tau_syn
    charge = np.ones(size) if of.has_current else synapse.tau / synapse.chip_tau
    return NeuronSettings(
        of.spiking,
        membrane.tau,
        synapse.tau,
        membrane.chip_tau,
        synapse.chip_tau,
        threshold,
        reset,
        chip_reset,
        gain=membrane.gain * synapse.gain,
        chip_scale=charge * membrane.reference / membrane.tau / threshold,
        distance=threshold,
        open_tau_syn=not of.has_current,
    )


@dataclass(frozen=True)
class _Neurons:
    """A node of neurons, and how its values are read."""

    node: Node
    size: int
    name: str

    @property
    def kind(self) -> str:
        return kind(self.node)

    @property
    def has_current(self) -> bool:
        """Whether NIR gives them a synaptic current."""
        return self.kind.startswith("Cuba")

    @property
    def spiking(self) -> bool:
        return self.kind in SPIKING

    def read(self, field: str, default: float | None = None) -> Array:
        """Values (size,) of a field; not so many, or not finite: ValueError."""
        value = getattr(self.node, field, None)
        array = np.asarray(default if value is None else value, dtype=np.float64).reshape(-1)
        if array.size not in (1, self.size) or not np.isfinite(array).all():
            raise ValueError(
                f"{field} of {self.name!r} has {array.size} values ({array[:3]} ...), expected {self.size} numbers."
            )
        return np.broadcast_to(array, (self.size,)).copy()


@dataclass(frozen=True)
class _Part:
    """Synapse or membrane of neurons: time constants of model and chip (s), and a factor on all weights.

    `reference`: the membrane time constant (s) for which weights are scaled.
    """

    tau: Array
    chip_tau: Array
    gain: Array
    reference: float = _REFERENCE_TAU


def _synapse(of: _Neurons, cfg: ConversionConfig) -> _Part:
    one = np.ones(of.size)
    if not of.has_current:
        return _Part(one * cfg.dt, one * max(cfg.dt, _LEAST_TAU_SYN), one)
    chip_tau = of.read("tau_syn") * cfg.seconds_per_unit
    tau = _model_tau(chip_tau, f"tau_syn of {of.name!r}", cfg)
    gain = of.read("w_in", 1.0)
    return _Part(tau, chip_tau, gain * cfg.dt / chip_tau if cfg.spike_jump == "ode" else gain)


def _membrane(of: _Neurons, cfg: ConversionConfig) -> _Part:
    one, gain = np.ones(of.size), of.read("r", 1.0)
    shortest, longest = _chip_range("tau_mem")
    if of.kind in ("IF", "I"):
        gain = gain * NO_LEAK * (cfg.dt / cfg.seconds_per_unit if cfg.spike_jump == "ode" else 1.0)
        return _Part(one * NO_LEAK * cfg.dt, one * longest, gain)
    if of.kind == "Threshold":
        return _Part(one * cfg.dt, one * max(cfg.dt, shortest), gain)
    chip_tau = of.read("tau_mem" if of.has_current else "tau") * cfg.seconds_per_unit
    tau = _model_tau(chip_tau, f"tau of {of.name!r}", cfg)
    return _Part(tau, chip_tau, gain, _REFERENCE_TAU if cfg.weight_scale is None else float(chip_tau.mean()))


def _firing(of: _Neurons) -> tuple[Array, Array]:
    """Threshold and reset above the leak; 1 and 0 of neurons that do not fire."""
    leak = of.read("v_leak", 0.0)
    if not of.spiking:
        return np.ones(of.size), np.zeros(of.size)
    remembers = of.kind != "Threshold"
    threshold = of.read("v_threshold" if remembers else "threshold") - leak
    reset = of.read("v_reset", 0.0) - leak if remembers else np.zeros(of.size)
    if not (threshold > 0).all() or not (reset < threshold).all():
        raise ValueError(
            f"{of.name!r} has thresholds {threshold.min():g} and resets {reset.max():g} above the leak; the chip "
            "needs leak and reset below the threshold."
        )
    return threshold, reset


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
