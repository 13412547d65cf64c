"""Which calibration a run uses: the loaded one, or one made for the parameters of the modules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hxtorch import calibration
from hxtorch.calibration import CalibrationResult, CalibrationTarget
from hxtorch.snn.checks import warn_user
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.modules.population import Population
from hxtorch.snn.neuron_parameters import PARAMETERS, check_holdoff
from hxtorch.snn.parameter import HXParameter, Value, on_cpu, show
from hxtorch.twin import Chip
from hxtorch.twin.chip import fingerprint
from hxtorch.twin.coordinates import CIRCUITS

Placed = Iterable[tuple[Population, NDArray[np.int64]]]

_SECONDS_TO_US = 1e6
_SHORTEST_REFRACTORY = 0.008  # µs: one tick of the fastest clock; a model without refractory period says 0
_POTENTIALS = ("leak", "reset", "threshold")


def calibration_for(instance: ExecutionInstance, chip: Chip, placed: Placed) -> CalibrationResult:
    """Return the calibration that a run on `chip` with these placed populations uses.

    A loaded calibration wins: the populations take over its targets. Without one, the hardware values of the
    populations become the target, and the chip is calibrated if that was not done before.
    """
    placed = list(placed)
    if instance.calibration is not None:
        _check_chip(instance.calibration, chip)
        for population, circuits in placed:
            read_parameters(population, instance.calibration, circuits)
        return instance.calibration
    key = (fingerprint(chip), *(_parameter_key(p, c) for p, c in placed))
    if instance.made_calibration is None or instance.made_calibration[0] != key:
        result = calibration.cached(chip, target_of(placed), instance.calib_cache_dir)
        instance.made_calibration = (key, result)
    return instance.made_calibration[1]


def _check_chip(loaded: CalibrationResult, chip: Chip) -> None:
    twin = chip.identifier.startswith(f"twin of {loaded.chip_identifier} (")  # made by Die.from_calibration
    if loaded.chip_identifier != chip.identifier and not twin:
        warn_user(
            f"The loaded calibration was made for chip {loaded.chip_identifier!r}, but {chip.identifier!r} is "
            "connected. Its neurons will be off their targets: calibrate this chip or load its own file."
        )


# --- From a loaded calibration to parameters ----------------------------------------------------------------


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


def read_parameters(population: Population, loaded: CalibrationResult, circuits: NDArray[np.int64]) -> None:
    """Take over the targets of a loaded calibration as hardware values of a population, once.

    Of plain values the model's value changes too. A value that the user chose and the calibration overrides
    gives one warning that names both. Neurons that come to lie elsewhere later get the targets of the circuits
    there, except for values that were changed in between.
    """
    if not population.read_params_from_calibration:
        return
    before, population.calibrated_circuits = population.calibrated_circuits, circuits
    if population.calibration_read is loaded:
        if before is not None and _targets_differ(loaded.target, before, circuits):
            _move(population, loaded.target, before, circuits)
        return
    overridden = take_over(population, loaded.target, circuits)
    population.calibration_read = loaded
    if overridden:
        warn_user(
            f"{type(population).__name__}: the loaded calibration decides on the chip and overrides "
            f"{', '.join(overridden)}. Without load_calib, the chip is calibrated to the module's own values."
        )


def _targets_differ(target: CalibrationTarget, one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Whether a target asks for something else at other circuits."""
    if np.array_equal(one, other):
        return False
    arrays = [value for value in vars(target).values() if np.ndim(value)]
    return not all(np.array_equal(array[one], array[other], equal_nan=True) for array in arrays)


def _move(
    population: Population, target: CalibrationTarget, before: NDArray[np.int64], now: NDArray[np.int64]
) -> None:
    """Replace values that a target gave at earlier circuits by those of the present ones."""
    given = calibrated_values(target, before)
    for name, value in calibrated_values(target, now).items():
        parameter = population.params.get(name)
        if parameter is not None and _agrees(parameter.hardware_value, given[name]):
            setattr(population, name, parameter.with_hardware_value(value))


def take_over(population: Population, target: CalibrationTarget, circuits: NDArray[np.int64]) -> list[str]:
    """Give a population the values of a target; returns one line for each that the user had chosen otherwise."""
    overridden = []
    for name, value in calibrated_values(target, circuits).items():
        if name not in population.params:
            continue
        parameter = population.params[name]
        if _chosen_by_user(name, parameter) and not _agrees(parameter.hardware_value, value):
            overridden.append(f"{name} {show(parameter.hardware_value)} -> {show(_short(value))}")
        setattr(population, name, parameter.with_hardware_value(value))
    return overridden


def _chosen_by_user(name: str, parameter: Any) -> bool:
    """Whether a hardware value was given on purpose: it is no default, or it differs from the model's."""
    if name == "refractory_time" and _agrees(parameter.hardware_value, 1e-6):
        return False
    default = PARAMETERS[name].default
    return not isinstance(parameter, HXParameter) or not _agrees(parameter.hardware_value, default)


def _agrees(value: Any, other: Any) -> bool:
    a, b = (on_cpu(item, torch.float64).detach() for item in (value, other))
    return bool(torch.isclose(a, b, rtol=1e-4, atol=0).all())


def _short(value: torch.Tensor) -> Value:
    """One number if all neurons have the same."""
    first = value.reshape(-1)[0]
    return float(first) if bool((value == first).all()) else value


# --- From parameters to a target ----------------------------------------------------------------------------


def _parameter_key(population: Population, circuits: NDArray[np.int64]) -> tuple[object, ...]:
    def hashable(value: Value) -> object:
        return (tuple(value.shape), _array(value).tobytes()) if isinstance(value, torch.Tensor) else value

    values = tuple((name, hashable(p.hardware_value)) for name, p in population.params.items())
    return (circuits.tobytes(), values)


def _array(value: Value) -> NDArray[np.float64]:
    """A value of any device as an array."""
    return np.asarray(value.detach().cpu().double() if isinstance(value, torch.Tensor) else value, np.float64)


def target_of(placed: Placed, base: CalibrationTarget | None = None) -> CalibrationTarget:
    """Collect the hardware values of placed populations into one target for the chip.

    Circuits that no population uses keep that of `base`, by default the default target. Settings that the chip
    shares have to agree, otherwise AttributeError. A holdoff longer than the refractory time: ValueError.
    """
    placed = list(placed)
    for population, _ in placed:  # parameters may have changed since the module was made
        check_holdoff(population.params, population.short_name)
    default = CalibrationTarget() if base is None else base
    fields: dict[str, Any] = {}
    for name, rows in _FIELDS.items():
        for field, row, scale in rows:
            array = np.broadcast_to(np.asarray(getattr(default, field), dtype=np.float64), CIRCUITS).copy()
            for population, circuits in placed:
                value = _array(population.params[name].hardware_value)
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


def _conductances(placed: list[tuple[Population, NDArray[np.int64]]]) -> dict[str, Any]:
    """Targets of the populations that ask for conductance-based inputs; row 0 is excitatory, row 1 inhibitory."""
    wanted: dict[str, Any] = {}
    for name in ("e_coba_reversal", "e_coba_reference"):
        for population, circuits in placed:
            parameter = population.params.get(name)
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


def _shared_value(name: str, placed: list[tuple[Population, NDArray[np.int64]]]) -> float | None:
    """Return the one value of a setting that the chip shares between all neurons."""
    label = "i_synin_gm[0]" if name == "i_synin_gm" else name
    values = np.concatenate([_array(p.params[name].hardware_value).reshape(-1) for p, _ in placed])
    if values.size and not np.all(values == values[0]):
        raise AttributeError(
            f"'{label}' requires same value for all neurons, but the modules ask for "
            f"{', '.join(f'{v:g}' for v in np.unique(values))}. Give all modules of an execution instance the same."
        )
    return float(values[0]) if values.size else None
