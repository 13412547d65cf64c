"""From parameters to what a calibration aims at, and back.

A calibration has one target for each of the 512 circuits, in µs and the chip's units; parameters have values for
the neurons of a population, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hxtorch.calibration import CalibrationTarget
from hxtorch.snn.parameters.parameter import HXBaseParameter, HXParameter, Value, on_cpu, show
from hxtorch.snn.parameters.parameter_set import DESCRIPTIONS, ParameterSet
from hxtorch.twin.places.coordinates import CIRCUITS

Placed = Iterable[tuple[ParameterSet, NDArray[np.int64]]]
"""Parameters with the circuits (size,) of their neurons."""

_SECONDS_TO_US = 1e6
_SHORTEST_REFRACTORY = 0.008  # µs: one tick of the fastest clock; a model without refractory period says 0
_POTENTIALS = ("leak", "reset", "threshold")


def calibrated_values(target: CalibrationTarget, circuits: NDArray[np.int64]) -> dict[str, torch.Tensor]:
    """Hardware values of the neurons on `circuits` under a target, in the units of the parameters."""

    def per_neuron(value: Any) -> NDArray[np.float64]:
        array = np.asarray(value, dtype=np.float64)
        return np.asarray(array[circuits] if array.ndim else np.full(circuits.size, float(array)))

    def seconds(value: Any) -> torch.Tensor:
        return on_cpu(per_neuron(value) / _SECONDS_TO_US, torch.float32)

    exc, inh = seconds(target.tau_syn_exc), seconds(target.tau_syn_inh)
    gm = per_neuron(target.i_synin_gm)[0]
    values = {name: on_cpu(np.rint(per_neuron(getattr(target, name))), torch.int64) for name in _POTENTIALS}
    return {
        **values,
        "tau_mem": seconds(target.tau_mem),
        "tau_syn": exc if torch.equal(exc, inh) else torch.stack([exc, inh]),
        "i_synin_gm": on_cpu([int(gm), int(gm)], torch.int64),
        "membrane_capacitance": on_cpu(per_neuron(target.membrane_capacitance), torch.int64),
        "refractory_time": seconds(target.refractory_time),
        "synapse_dac_bias": on_cpu(int(np.asarray(target.synapse_dac_bias).flat[0]), torch.int64),
    }


def taken_over(
    parameters: ParameterSet, target: CalibrationTarget, circuits: NDArray[np.int64]
) -> tuple[dict[str, HXBaseParameter], list[str]]:
    """Parameters with the values of a target, and one line for each that the user had chosen otherwise."""
    taken, overridden = {}, []
    for name, value in calibrated_values(target, circuits).items():
        parameter = parameters.get(name)
        if parameter is None:
            continue
        if _chosen_by_user(name, parameter) and not _agrees(parameter.hardware_value, value):
            overridden.append(f"{name} {show(parameter.hardware_value)} -> {show(_short(value))}")
        taken[name] = parameter.with_hardware_value(value)
    return taken, overridden


def moved(
    parameters: ParameterSet, target: CalibrationTarget, before: NDArray[np.int64], now: NDArray[np.int64]
) -> dict[str, HXBaseParameter]:
    """Parameters whose value a target gave at earlier circuits, with that of the present ones."""
    if not _targets_differ(target, before, now):
        return {}
    given = calibrated_values(target, before)
    return {
        name: parameter.with_hardware_value(value)
        for name, value in calibrated_values(target, now).items()
        if (parameter := parameters.get(name)) is not None and _agrees(parameter.hardware_value, given[name])
    }


def target_of(placed: Placed, base: CalibrationTarget | None = None) -> CalibrationTarget:
    """Collect the hardware values of placed neurons into one target for the chip.

    Circuits that no neuron uses keep that of `base`, by default the default target. Settings that the chip
    shares have to agree, otherwise AttributeError. A holdoff longer than the refractory time: ValueError.
    """
    placed = list(placed)
    for parameters, _ in placed:  # they may have changed since the module was made
        parameters.check_holdoff()
    default = CalibrationTarget() if base is None else base
    fields: dict[str, Any] = {}
    for name, rows in _FIELDS.items():
        for field, row, scale in rows:
            array = np.broadcast_to(np.asarray(getattr(default, field), dtype=np.float64), CIRCUITS).copy()
            for parameters, circuits in placed:
                value = _array(parameters.hardware_value(name))
                array[circuits] = (value[row] if value.ndim == 2 else value) * scale
            fields[field] = array
    fields["refractory_time"] = np.maximum(fields["refractory_time"], _SHORTEST_REFRACTORY)
    fields["holdoff_time"] = np.minimum(fields["holdoff_time"], fields["refractory_time"])  # rounding
    fields |= _conductances(placed)
    fields["membrane_capacitance"] = fields["membrane_capacitance"].astype(np.int64)
    shared = {name: _shared_value(name, placed) for name in ("synapse_dac_bias", "i_synin_gm")}
    return replace(default, **fields, **{name: v for name, v in shared.items() if v is not None})


_FIELDS = {
    "leak": (("leak", 0, 1.0),),
    "reset": (("reset", 0, 1.0),),
    "threshold": (("threshold", 0, 1.0),),
    "tau_mem": (("tau_mem", 0, _SECONDS_TO_US),),
    "tau_syn": (("tau_syn_exc", 0, _SECONDS_TO_US), ("tau_syn_inh", 1, _SECONDS_TO_US)),
    "membrane_capacitance": (("membrane_capacitance", 0, 1.0),),
    "refractory_time": (("refractory_time", 0, _SECONDS_TO_US),),
    "holdoff_time": (("holdoff_time", 0, _SECONDS_TO_US),),
}


def values_key(parameters: ParameterSet, circuits: NDArray[np.int64]) -> tuple[object, ...]:
    """Equal for the same values on the chip at the same circuits."""

    def hashable(value: Value) -> object:
        return (tuple(value.shape), _array(value).tobytes()) if isinstance(value, torch.Tensor) else value

    values = tuple((name, hashable(item.hardware_value)) for name, item in parameters.items())
    return (circuits.tobytes(), values)


def _targets_differ(target: CalibrationTarget, one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Whether a target asks for something else at other circuits."""
    if np.array_equal(one, other):
        return False
    arrays = [value for value in vars(target).values() if np.ndim(value)]
    return not all(np.array_equal(array[one], array[other], equal_nan=True) for array in arrays)


def _chosen_by_user(name: str, parameter: HXBaseParameter) -> bool:
    """Whether a hardware value was given on purpose: it is no default, or it differs from the model's."""
    if name == "refractory_time" and _agrees(parameter.hardware_value, 1e-6):
        return False
    default = DESCRIPTIONS[name].default
    return not isinstance(parameter, HXParameter) or not _agrees(parameter.hardware_value, default)


def _agrees(value: Any, other: Any) -> bool:
    a, b = (on_cpu(item, torch.float64).detach() for item in (value, other))
    return bool(torch.isclose(a, b, rtol=1e-4, atol=0).all())


def _short(value: torch.Tensor) -> Value:
    """One number if all neurons have the same."""
    first = value.reshape(-1)[0]
    return float(first) if bool((value == first).all()) else value


def _array(value: Value) -> NDArray[np.float64]:
    """A value of any device as an array."""
    return np.asarray(value.detach().cpu().double() if isinstance(value, torch.Tensor) else value, np.float64)


def _conductances(placed: list[tuple[ParameterSet, NDArray[np.int64]]]) -> dict[str, Any]:
    """Targets of the populations that ask for conductance-based inputs; row 0 is excitatory, row 1 inhibitory."""
    wanted: dict[str, Any] = {}
    for name in ("e_coba_reversal", "e_coba_reference"):
        for parameters, circuits in placed:
            parameter = parameters.get(name)
            value = None if parameter is None else parameter.hardware_value
            if value is None:
                continue
            pair = _array(value)
            if name == "e_coba_reversal" and (pair.ndim == 0 or pair.shape[0] != 2):
                raise AttributeError(
                    "'e_coba_reversal' needs two rows, the excitatory and the inhibitory reversal potential (nan: "
                    f"current-based), but has the shape {pair.shape}. Give a tensor of shape (2,) or (2, size)."
                )
            rows = pair if pair.ndim and pair.shape[0] == 2 else (pair, pair)
            for sign, row in zip(("exc", "inh"), rows, strict=True):
                array = wanted.setdefault(f"{name}_{sign}", np.full(CIRCUITS, np.nan))
                array[circuits] = row
    for sign in ("exc", "inh"):  # a reference alone changes nothing
        reference, reversal = (wanted.get(f"e_coba_{n}_{sign}") for n in ("reference", "reversal"))
        if reference is not None:
            lost = np.ones(CIRCUITS, dtype=np.bool_) if reversal is None else np.isnan(reversal)
            reference[lost] = np.nan
    return wanted


def _shared_value(name: str, placed: list[tuple[ParameterSet, NDArray[np.int64]]]) -> float | None:
    """Return the one value of a setting that the chip shares between all neurons."""
    label = "i_synin_gm[0]" if name == "i_synin_gm" else name
    values = np.concatenate([_array(p.hardware_value(name)).reshape(-1) for p, _ in placed])
    if values.size and not np.all(values == values[0]):
        raise AttributeError(
            f"'{label}' requires same value for all neurons, but the modules ask for "
            f"{', '.join(f'{v:g}' for v in np.unique(values))}. Give all modules of an execution instance the same."
        )
    return float(values[0]) if values.size else None
