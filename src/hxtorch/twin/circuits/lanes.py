"""Circuit parameters times step: the numbers that the engine's rows hold (`hxtorch.twin.engine.layout`).

Circuits that share a membrane add up: capacitances, leak conductances (whose potential is the mean weighted by
them), constant currents and, each with its own time constants and saturation, synaptic inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.shapes import Array
from hxtorch.twin.circuits.translation import CircuitParameters
from hxtorch.twin.engine import layout as row
from hxtorch.twin.engine.layout import LANES
from hxtorch.twin.engine.membranes import Membranes
from hxtorch.twin.pattern import process

_PAD_LEAK = 80.0
_NEVER = 1e6  # threshold of lanes that do not spike


@dataclass(frozen=True, eq=False)
class LaneParameters:
    """Engine parameters of `membranes` at step `h` (µs).

    `rows` (blocks, quantities) is laid out as `hxtorch.twin.engine.layout` tells, with its state at zero;
    `features` (blocks,) tells which terms a block has (`layout.CONDUCTANCE_MODE` and so on). `scale_exc` and
    `scale_inh` (n,) turn a weight into the jump of a circuit's line, in units of its saturation (`saturation_*`,
    LSB/µs), half a step after the event. `rails` are floor, 1 / its width, ceiling, 1 / its width; `capacitance`
    (m,) is relative to that of one circuit at code 63, `spike_delay` (lanes,) in steps.
    """

    membranes: Membranes
    h: float
    rows: NDArray[np.float32]
    features: NDArray[np.int64]
    scale_exc: NDArray[np.float32]
    scale_inh: NDArray[np.float32]
    saturation_exc: NDArray[np.float32]
    saturation_inh: NDArray[np.float32]
    rails: tuple[np.float32, np.float32, np.float32, np.float32]
    capacitance: Array
    spike_delay: Array


def current_gain(h: float, tau_mem: Array, tau_syn: Array) -> Array:
    """Voltage that a decaying current adds in one step, per unit of its value in the middle of the step.

    Exact for an exponential current: integral of exp(-(h - t)/tau_m) exp(-(t - h/2)/tau_s) over the step.
    """
    difference = 1 / tau_mem - 1 / tau_syn
    x = difference * h
    # (exp(x) - 1) / x, finite where both time constants agree
    ratio = np.where(np.abs(x) < 1e-6, 1 + x / 2, np.expm1(x) / np.where(x == 0, 1, x))
    return np.asarray(h * ratio * np.exp(-h / tau_mem) * np.exp(h / (2 * tau_syn)))


def constant_gain(h: float, tau: Array) -> Array:
    """Voltage that a constant current of 1 LSB/µs adds in one step."""
    return np.asarray(tau * -np.expm1(-h / tau))


@dataclass(frozen=True, eq=False)
class _Joined:
    """Joined membranes: `share` (n,) of a circuit's own rate of change that its membrane sees, the others (m,).

    `tau_both` is the time constant while the reset conductance is on.
    """

    share: Array
    capacitance: Array
    leak: Array
    tau_mem: Array
    tau_both: Array
    static: Array
    reset_pull: Array


def lane_parameters(parameters: CircuitParameters, membranes: Membranes, h: float) -> LaneParameters:
    """Lay out the parameters of `membranes` for steps of `h` µs."""
    c, speaker = membranes.circuits, membranes.speaker
    joined = _join(parameters, membranes)
    floor, ceiling = float(parameters.floor[0]), float(parameters.ceiling[0])
    rows = _membrane_rows(parameters, membranes, joined, h)
    _add_start(rows, joined, floor, ceiling)
    lines = _line_rows(parameters, membranes, joined, h)
    saturation_exc, saturation_inh = parameters.saturation_exc[c], parameters.saturation_inh[c]
    scale_exc = parameters.drive_exc[c] * np.exp(-h / (2 * parameters.tau_exc[c])) / saturation_exc
    scale_inh = parameters.drive_inh[c] * np.exp(-h / (2 * parameters.tau_inh[c])) / saturation_inh
    return LaneParameters(
        membranes=membranes,
        h=h,
        rows=_laid_out(rows, lines, membranes),
        features=_features(parameters, membranes),
        scale_exc=scale_exc.astype(np.float32),
        scale_inh=scale_inh.astype(np.float32),
        saturation_exc=saturation_exc.astype(np.float32),
        saturation_inh=saturation_inh.astype(np.float32),
        rails=(
            np.float32(floor),
            np.float32(1 / process.FLOOR_WIDTH.value),
            np.float32(ceiling),
            np.float32(1 / process.CEILING_WIDTH.value),
        ),
        capacitance=joined.capacitance,
        spike_delay=np.pad(parameters.spike_delay[speaker] / h, (0, membranes.lanes - speaker.size)),
    )


def _join(parameters: CircuitParameters, membranes: Membranes) -> _Joined:
    """Add up the circuits of each membrane."""
    c, lane, speaker = membranes.circuits, membranes.lane, membranes.speaker

    def total(per_circuit: Array) -> Array:
        return np.bincount(lane, per_circuit, minlength=speaker.size).astype(np.float64)

    own = parameters.capacitance[c]
    capacitance = total(own)
    share = own / capacitance[lane]
    leak_conductance = own / parameters.tau_mem[c]
    tau_mem = capacitance / total(leak_conductance)
    tau_reset = parameters.tau_reset[speaker] * capacitance / parameters.capacitance[speaker]
    return _Joined(
        share=share,
        capacitance=capacitance,
        leak=total(leak_conductance * parameters.leak[c]) / total(leak_conductance),
        tau_mem=tau_mem,
        tau_both=1 / (1 / tau_mem + 1 / tau_reset),
        static=total(share * parameters.static[c]),
        reset_pull=parameters.reset[speaker] / tau_reset,
    )


def _membrane_rows(
    parameters: CircuitParameters, membranes: Membranes, joined: _Joined, h: float
) -> dict[int, Array]:
    """Rows of the membranes (m,) but for where they start."""
    speaker, leak, static = membranes.speaker, joined.leak, joined.static
    tau_mem, tau_both = joined.tau_mem, joined.tau_both
    gain, gain_held = constant_gain(h, tau_mem), constant_gain(h, tau_both)
    refractory, pause = parameters.refractory[speaker], parameters.pause[speaker]
    pull = leak / tau_mem + joined.reset_pull + np.where(pause, static, 0)
    return {
        row.LEAK: leak,
        row.TARGET: leak,
        row.DECAY: np.exp(-h / tau_mem),
        row.DECAY_NOW: np.exp(-h / tau_mem),
        row.SHUNT_NOW: np.ones_like(leak),
        row.LEAK_IN_RESET: tau_both * pull,
        row.DECAY_RESET: np.exp(-h / tau_both),
        row.SHUNT: np.where(pause, 0, gain_held / gain),
        row.STATIC_UP: np.maximum(static, 0) * gain,
        row.STATIC_DOWN: np.maximum(-static, 0) * gain,
        row.RESET_STEPS: refractory / h,
        row.HOLDOFF_STEPS: parameters.holdoff[speaker] / h,
        row.DEAD_STEPS: (refractory + parameters.spike_delay[speaker]) / h,
        row.THRESHOLD_MEAN: parameters.threshold[speaker],
        row.RATE_MEM: h / tau_mem,
        row.RATE_RESET: h / tau_both,
        **_term_rows(parameters, membranes, joined.share, h, gain),
        # half a step before and half after what the reset does to it: that this leaves the balance right
        row.EXP_IN_RESET: np.where(pause, 0, np.tanh(h / (2 * tau_both)) * (2 * tau_both / h)),
    }


def _add_start(rows: dict[int, Array], joined: _Joined, floor: float, ceiling: float) -> None:
    """Add the rows that tell where the membranes start."""
    rest = _rest(rows, joined.leak, joined.static, joined.tau_mem, floor, ceiling)
    start, threshold = rows[row.LEAK_IN_RESET], rows[row.THRESHOLD_MEAN]
    fires = rest > threshold
    rows[row.START_SPREAD] = np.where(fires, threshold - start, 0)
    rows[row.REST] = np.where(fires, start, rest)


def _laid_out(rows: dict[int, Array], lines: dict[int, Array], membranes: Membranes) -> NDArray[np.float32]:
    """All blocks, those lanes included in which no membrane is."""
    blocks = np.zeros((membranes.layers.size, membranes.stride), dtype=np.float32)
    flat = blocks.reshape(-1)
    every = np.arange(membranes.lanes)
    for potential in (row.LEAK, row.TARGET, row.REST):
        flat[membranes.place(every) + potential] = _PAD_LEAK
    flat[membranes.place(every) + row.NEXT] = -row.NEVER
    flat[membranes.place(every) + row.THRESHOLD_MEAN] = _NEVER
    flat[membranes.place(every) + row.EXP_WIDTH] = 1
    used = membranes.place(np.arange(membranes.speaker.size))
    for offset, values in rows.items():
        flat[used + offset] = values
    for offset, values in lines.items():
        flat[membranes.line_place + offset] = values
    return blocks


def _line_rows(parameters: CircuitParameters, membranes: Membranes, joined: _Joined, h: float) -> dict[int, Array]:
    """Rows of the synaptic lines of all circuits (n,)."""
    c, tau_mem = membranes.circuits, joined.tau_mem[membranes.lane]
    rows: dict[int, Array] = {}
    for kind in ("exc", "inh"):
        tau = getattr(parameters, f"tau_{kind}")[c]
        amplitude = current_gain(h, tau_mem, tau) * getattr(parameters, f"saturation_{kind}")[c]
        amplitude = amplitude * joined.share
        strength = getattr(parameters.terms, f"coba_{kind}")[c]
        reference = getattr(parameters.terms, f"coba_reference_{kind}")[c]
        upper = kind.upper()
        rows[getattr(row, f"DECAY_{upper}")] = np.exp(-h / tau)
        rows[getattr(row, f"RATE_{upper}")] = h / tau
        rows[getattr(row, f"BEAT_{upper}")] = h / tau_mem - h / tau
        rows[getattr(row, f"AMPLITUDE_{upper}")] = amplitude
        rows[getattr(row, f"COBA_{upper}")] = amplitude * strength
        rows[getattr(row, f"COBA_OFFSET_{upper}")] = amplitude * strength * reference
    return rows


def _term_rows(
    parameters: CircuitParameters, membranes: Membranes, share: Array, h: float, gain: Array
) -> dict[int, Array]:
    """Rows of adaptation and exponential current; of joined circuits, those add up that have the term on."""
    c, lane, terms = membranes.circuits, membranes.lane, parameters.terms
    lanes = membranes.speaker.size

    def total(switch: NDArray[np.bool_], values: Array) -> Array:
        return np.bincount(lane, np.where(switch[c], share * values[c], 0), minlength=lanes).astype(np.float64)

    def mean(switch: NDArray[np.bool_], values: Array, nothing: float) -> Array:
        count = np.bincount(lane, switch[c], minlength=lanes)
        plain = np.bincount(lane, np.where(switch[c], values[c], 0), minlength=lanes)
        return np.where(count > 0, plain / np.maximum(count, 1), nothing)

    width = mean(terms.exponential, terms.exp_width, 1.0)
    adapt_tau = mean(terms.adaptation, terms.adapt_tau, 1.0)
    decay = np.exp(-h / adapt_tau)
    return {
        row.EXP_WIDTH: width,
        row.EXP_ONSET: mean(terms.exponential, terms.exp_onset, _NEVER),
        row.EXP_RATE: total(terms.exponential, terms.exp_current) * (h / 2) / width,
        row.ADAPT_DECAY: decay,
        row.ADAPT_A: total(terms.adaptation, terms.adapt_a) * (1 - decay),
        row.ADAPT_REFERENCE: mean(terms.adaptation, terms.adapt_leak, 0.0),
        row.ADAPT_JUMP: total(terms.adaptation, terms.adapt_b),
        row.ADAPT_GAIN: gain,
    }


def _rest(
    rows: dict[int, Array], leak: Array, static: Array, tau_mem: Array, floor: float, ceiling: float
) -> Array:
    """Potential at which leak, constant and adaptation currents balance, within the rails."""
    a = rows[row.ADAPT_A] / (1 - rows[row.ADAPT_DECAY])
    rest = (leak + tau_mem * (static + a * rows[row.ADAPT_REFERENCE])) / (1 + tau_mem * a)
    low, high = process.FLOOR_WIDTH.value, process.CEILING_WIDTH.value
    constant = static * tau_mem
    pull = np.maximum(-constant, 0) / low
    rest = np.where((rest < floor + low) & (constant < 0), (leak + pull * floor) / (1 + pull), rest)
    pull = np.maximum(constant, 0) / high
    rest = np.where((rest > ceiling - high) & (constant > 0), (leak + pull * ceiling) / (1 + pull), rest)
    rows[row.ADAPT_START] = a * (rest - rows[row.ADAPT_REFERENCE])
    return np.asarray(rest)


def _features(parameters: CircuitParameters, membranes: Membranes) -> NDArray[np.int64]:
    """Which optional terms each block has."""
    terms, c = parameters.terms, membranes.circuits
    block = membranes.lane // LANES
    features = np.zeros(membranes.layers.size, dtype=np.int64)
    for feature, on in (
        (row.CONDUCTANCE_MODE, (terms.coba_exc != 0) | (terms.coba_inh != 0)),
        (row.WITH_ADAPTATION, terms.adaptation),
        (row.WITH_EXPONENTIAL, terms.exponential),
    ):
        features[block[on[c]]] |= feature
    return features
