"""What a calibration aims at: `CalibrationTarget` with its ranges, and the targets in common use."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from hxtorch._ranges import RELIABLE
from hxtorch.calibration.errors import CalibrationError
from hxtorch.shapes import Array, Numbers
from hxtorch.twin.pattern import process as facts
from hxtorch.twin.places.coordinates import CIRCUITS, MAX_CAPMEM_CODE

Value = float | Numbers
Optional = Value | None


@dataclass(frozen=True)
class Range:
    """Range of a target: values beyond `warned` raise a warning, values beyond `hard` an error.

    `per_circuit`: whether circuits may differ. `optional`: whether it may be None; in an array of such a target,
    NaN marks the circuits that do not ask for it. `whole`: whether it is a code.
    """

    unit: str
    warned: tuple[float, float]
    hard: tuple[float, float]
    per_circuit: bool = True
    optional: bool = False
    whole: bool = False


_LONGEST = 255 * 2**16 / 250  # µs, of the refractory counter with the slowest clock
_OF_CADC = (0.0, 255.0)


def _goal(default: Any, unit: str, warned: tuple[float, float], hard: tuple[float, float], **kind: bool) -> Any:
    """Field of a target: its default with the `Range` that it has to lie in."""
    return field(default=default, metadata={"range": Range(unit, warned, hard, **kind)})


def _reversal() -> Any:
    return _goal(None, "CADC LSB", (-1e4, 1e4), (-1e4, 1e4), optional=True)


def _reference() -> Any:
    return _goal(None, "CADC LSB", RELIABLE["e_coba_reference_exc"], _OF_CADC, optional=True)


@dataclass(frozen=True, eq=False)
class CalibrationTarget:
    """What every neuron circuit should be like; one number for all circuits or an array of shape (512,).

    * `leak`, `reset`, `threshold`: potentials in CADC LSB.
    * `tau_mem`, `tau_syn_exc`, `tau_syn_inh`: time constants in µs.
    * `i_synin_gm`: bias code of the synaptic inputs. It is matched: every input is tuned to the response
      that the median excitatory input of the chip gives at this code (as in CUBE66, chip.md 4.2).
    * `membrane_capacitance`: 6-bit code. `refractory_time`: µs.
    * `synapse_dac_bias`: CapMem code, one number for the chip.
    * `holdoff_time`: µs at the end of the refractory time in which the membrane is free but cannot fire.
    * `tau_icc`: µs, time constant of a membrane with its inter-compartment conductance; None: not calibrated.
    * `e_coba_reversal_*`, `e_coba_reference_*`: CADC LSB. They make an input conductance-based: its strength
      falls from that of a current-based input at the reference potential to nothing at the reversal potential.
      None: current-based. A reversal potential without a reference takes the leak potential as the reference.

    The default is the target of the nightly calibration "spiking". Targets compare and hash by value.

    Raises `CalibrationError` for values that no circuit can reach, and warns outside the range in which
    circuits are known to work well.
    """

    leak: Value = _goal(80.0, "CADC LSB", RELIABLE["leak"], _OF_CADC)
    reset: Value = _goal(70.0, "CADC LSB", RELIABLE["reset"], _OF_CADC)
    threshold: Value = _goal(125.0, "CADC LSB", RELIABLE["threshold"], _OF_CADC)
    tau_mem: Value = _goal(10.0, "µs", RELIABLE["tau_mem"], (0.1, 2000))
    tau_syn_exc: Value = _goal(10.0, "µs", RELIABLE["tau_syn_exc"], (0.1, 100))
    tau_syn_inh: Value = _goal(10.0, "µs", RELIABLE["tau_syn_inh"], (0.1, 100))
    i_synin_gm: Value = _goal(500.0, "CapMem LSB", RELIABLE["i_synin_gm"], (1, 1022))
    membrane_capacitance: Value = _goal(
        63.0, "capacitance code", RELIABLE["membrane_capacitance"], (0, 63), whole=True
    )
    refractory_time: Value = _goal(2.0, "µs", RELIABLE["refractory_time"], (0.008, _LONGEST))
    synapse_dac_bias: float = _goal(600.0, "CapMem LSB", RELIABLE["synapse_dac_bias"], (1, 1022), per_circuit=False)
    holdoff_time: Value = _goal(0.0, "µs", RELIABLE["holdoff_time"], (0, _LONGEST))
    tau_icc: Optional = _goal(None, "µs", (0.1, 30), (0.01, 1000), optional=True)
    e_coba_reversal_exc: Optional = _reversal()
    e_coba_reversal_inh: Optional = _reversal()
    e_coba_reference_exc: Optional = _reference()
    e_coba_reference_inh: Optional = _reference()

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            limits: Range = item.metadata["range"]
            if value is None and limits.optional:
                continue
            value = _plain(item.name, value, limits)
            _check(item.name, value, limits)
            object.__setattr__(self, item.name, value)
        _check_holdoff(self)
        for sign in ("exc", "inh"):
            _check_conductance(self, sign)

    def per_circuit(self, name: str) -> Array:
        """Target `name` of every circuit, shape (512,); NaN for circuits without a target of this kind."""
        return np.broadcast_to(np.asarray(getattr(self, name), dtype=np.float64), (CIRCUITS,)).copy()

    def asks_for(self, name: str) -> bool:
        """Whether any circuit has a target `name`."""
        return bool(np.any(np.isfinite(self.per_circuit(name))))

    def coba_reference(self, sign: str) -> Array:
        """Reference potential (512,) of the conductance-based input of a sign: that of the target, or its leak."""
        reference = self.per_circuit(f"e_coba_reference_{sign}")
        return np.where(np.isfinite(reference), reference, self.per_circuit("leak"))

    def key(self) -> bytes:
        """All values as bytes: equal for equal targets and only for them."""
        return b"".join(
            f"{item.name}:{np.size(value)}:".encode() + np.asarray(value, dtype="<f8").tobytes()
            for item in fields(self)
            for value in (getattr(self, item.name),)
            if value is not None
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CalibrationTarget) and self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())


RANGES: dict[str, Range] = {item.name: item.metadata["range"] for item in fields(CalibrationTarget)}
"""Ranges of all targets (chip.md 6.1); hard limits of potentials are those of the CADC."""

OPTIONAL = frozenset(name for name, limits in RANGES.items() if limits.optional)
"""Targets that may be None; in an array of one of them, NaN marks the circuits that do not ask for it."""


def _plain(name: str, value: object, limits: Range) -> Value:
    """A float, or a read-only copy of an array with one value per circuit."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise CalibrationError(f"{name} is {value!r}, but a target is a number or an array of numbers.") from None
    if array.ndim == 0:
        return float(array)
    if not limits.per_circuit or array.shape != (CIRCUITS,):
        wanted = f"a number or ({CIRCUITS},)" if limits.per_circuit else "one number for the whole chip"
        raise CalibrationError(f"{name} has shape {array.shape}, expected {wanted}.")
    array.flags.writeable = False
    return array


def _check(name: str, value: Value, limits: Range) -> None:
    values = np.atleast_1d(value)
    if limits.optional and values.size > 1:
        values = values[~np.isnan(values)]
    low, high = limits.hard
    bad = values[~((values >= low) & (values <= high))]
    if bad.size:
        raise CalibrationError(
            f"{name} = {bad[0]:g} {limits.unit} is out of reach: the circuits allow {low:g} to {high:g}. "
            "Choose another target."
        )
    if limits.whole and np.any(values != np.rint(values)):
        raise CalibrationError(f"{name} = {values[values != np.rint(values)][0]:g} is no whole 6-bit code 0..63.")
    low, high = limits.warned
    bad = values[(values < low) | (values > high)]
    if bad.size:
        extreme = bad[np.argmax(np.maximum(low - bad, bad - high))]
        warnings.warn(
            f"{name} = {extreme:g} {limits.unit} lies outside {low:g} to {high:g}, where calibrations are "
            "known to work; circuits may fail.",
            stacklevel=4,
        )


def _check_holdoff(target: CalibrationTarget) -> None:
    holdoff, refractory = target.per_circuit("holdoff_time"), target.per_circuit("refractory_time")
    longer = np.flatnonzero(holdoff > refractory)
    if longer.size:
        c = longer[0]
        raise CalibrationError(
            f"holdoff_time = {holdoff[c]:g} µs is longer than refractory_time = {refractory[c]:g} µs, of which it "
            "is the end. Choose a longer refractory time or a shorter holdoff."
        )


def _check_conductance(target: CalibrationTarget, sign: str) -> None:
    reversal, given = target.per_circuit(f"e_coba_reversal_{sign}"), target.per_circuit(f"e_coba_reference_{sign}")
    lost = np.isfinite(given) & ~np.isfinite(reversal)
    if np.any(lost):
        raise CalibrationError(
            f"e_coba_reference_{sign} = {given[lost][0]:g} LSB without e_coba_reversal_{sign} has no effect: give "
            "both for a conductance-based input, or none."
        )
    distance = (reversal - target.coba_reference(sign)) * (1 if sign == "exc" else -1)
    wrong = np.isfinite(reversal) & ~(distance > 0)
    if np.any(wrong):
        side = "above" if sign == "exc" else "below"
        raise CalibrationError(
            f"e_coba_reversal_{sign} = {reversal[wrong][0]:g} LSB has to lie {side} the reference potential "
            f"{target.coba_reference(sign)[wrong][0]:g} LSB. Choose another reversal or reference potential."
        )
    nearest = 1 / (facts.COBA_SLOPE.value * MAX_CAPMEM_CODE)
    near = np.isfinite(reversal) & (distance < nearest)
    if np.any(near):
        warnings.warn(
            f"e_coba_reversal_{sign} = {reversal[near][0]:g} LSB lies {distance[near][0]:g} LSB from the reference "
            f"potential, but i_bias_coba_{sign} reaches no less than {nearest:.0f} LSB on a typical chip; circuits "
            "will fail.",
            stacklevel=4,
        )


SPIKING = CalibrationTarget()
"""Target of the nightly calibration "spiking": the defaults."""

SPIKING2 = CalibrationTarget(
    leak=80, reset=80, threshold=150, tau_mem=6, tau_syn_exc=6, tau_syn_inh=6, synapse_dac_bias=1000
)
"""Target of the nightly calibration "spiking2": faster, with a larger threshold distance."""
