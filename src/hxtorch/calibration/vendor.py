"""Results of the vendor's calibration tool, read as data.

Two layouts are known: a zip of three pickles (``neuron``, ``cadc``, ``targets``), as the published calibration
of setup 66 has it (Cramer et al. 2022), and one pickle of a ``SpikingCalibResult`` with target, options, CADC
result and neuron result. In both, the registers of a circuit are a block of bytes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxtorch.calibration.errors import CalibrationError
from hxtorch.calibration.pickled import Thing, UnreadablePickleError, read_pickle
from hxtorch.calibration.plain import array_of, mapping_of, time_in_us
from hxtorch.calibration.result import CalibrationResult
from hxtorch.calibration.state import refractory_registers
from hxtorch.calibration.targets import RANGES, CalibrationTarget
from hxtorch.twin import CommonConfig, NeuronConfig
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS, MAX_CAPMEM_CODE, QUADRANTS

Array = NDArray[np.int64]

VENDOR_MEMBERS = {"neuron.npy", "cadc.npy", "targets.npy"}
CADC_CHANNELS = 1024  # per hemisphere 256 causal ones, then 256 acausal ones
BLOCK_BYTES = 334  # registers of one circuit, chip revision v2
CODE_BYTES = {  # where the 16-bit little-endian codes of a circuit stand in its block
    "syn_exc_i_bias_tau": 5,
    "syn_exc_i_drop": 17,
    "syn_exc_i_shift": 29,
    "syn_exc_i_bias_gm": 41,
    "syn_inh_i_bias_tau": 56,
    "syn_inh_i_drop": 68,
    "syn_inh_i_shift": 80,
    "syn_inh_i_bias_gm": 92,
    "leak_v": 106,
    "leak_i_bias": 118,
    "reset_v": 133,
    "reset_i_bias": 145,
    "threshold_v": 161,
}
_REGISTERS = {
    "i_bias_tau_exc": "syn_exc_i_bias_tau",
    "i_shift_exc": "syn_exc_i_shift",
    "i_bias_gm_exc": "syn_exc_i_bias_gm",
    "i_bias_tau_inh": "syn_inh_i_bias_tau",
    "i_shift_inh": "syn_inh_i_shift",
    "i_bias_gm_inh": "syn_inh_i_bias_gm",
    "v_leak": "leak_v",
    "i_bias_leak": "leak_i_bias",
    "v_reset": "reset_v",
    "i_bias_reset": "reset_i_bias",
    "v_threshold": "threshold_v",
}
_CELLS_PER_BLOCK = 3120  # CapMem cells of a quadrant, numbered through
_DAC_CELL = 1168  # of them the synapse DAC's bias
_TIMES = ("tau_mem", "tau_syn", "refractory_time", "holdoff_time", "tau_icc")
_PAIRS = ("e_coba_reversal", "e_coba_reference")  # excitatory, inhibitory; not finite: current-based
_TARGETS = ("leak", "reset", "threshold", "i_synin_gm", "membrane_capacitance", "synapse_dac_bias")


@dataclass(frozen=True, eq=False)
class VendorCalibration:
    """A result of the vendor's tool as plain arrays.

    * `codes`: name -> (512,), the CapMem codes of all circuits; names as in `CODE_BYTES`.
    * `cadc_offset` (1024,): digital offsets of the CADC channels; `cadc_ramp_offset`, `cadc_ramp_slope` (4,).
    * `synapse_dac_bias` (4,): codes per quadrant, or None where the file holds none.
    * `success` (512,): circuits that the tool calls calibrated. `target`: what it aimed at.
    """

    codes: dict[str, Array]
    cadc_offset: Array
    cadc_ramp_offset: Array
    cadc_ramp_slope: Array
    synapse_dac_bias: Array | None
    success: NDArray[np.bool_]
    target: CalibrationTarget

    def result(self, chip_identifier: str) -> CalibrationResult:
        """Return the same calibration in this project's terms; a circuit reads its causal CADC channel."""
        registers: dict[str, Any] = {
            register: self.codes[name].astype(np.float64) for register, name in _REGISTERS.items()
        }
        counter, clock, scales = refractory_registers(self.target.per_circuit("refractory_time"))
        dac = np.full(QUADRANTS, self.target.synapse_dac_bias)
        if self.synapse_dac_bias is not None:
            dac = self.synapse_dac_bias.astype(np.float64)
        channels = self.cadc_offset.reshape(2, 2, COLUMNS)
        return CalibrationResult(
            target=self.target,
            chip_identifier=chip_identifier,
            neurons=NeuronConfig(
                **registers,
                membrane_capacitance=self.target.per_circuit("membrane_capacitance").astype(np.int64),
                refractory_counter=counter,
                refractory_clock=clock,
            ),
            common=CommonConfig(
                synapse_dac_bias=dac,
                refractory_clock_scale=scales,
                cadc_ramp_offset=self.cadc_ramp_offset.astype(np.float64),
                cadc_ramp_slope=self.cadc_ramp_slope.astype(np.float64),
                cadc_offset=channels[:, 0].reshape(-1).copy(),
            ),
            success={"vendor": self.success},
            residuals={},
            date="unknown",
        )


def read_vendor_members(members: dict[str, bytes]) -> VendorCalibration:
    """Read the older layout from the contents of its three ``.npy`` members.

    Raises `UnreadablePickleError` or `CalibrationError` with the reason.
    """
    neuron, cadc, target = (_object_array(name, members[name]) for name in ("neuron", "cadc", "targets"))
    return _calibration(neuron, cadc, target)


def read_vendor_pickle(content: bytes) -> VendorCalibration:
    """Read a pickled ``SpikingCalibResult``; errors as `read_vendor_members`."""
    top = read_pickle(content)
    if not isinstance(top, Thing) or top.kind.name != "SpikingCalibResult":
        kind = str(top.kind)[:80] if isinstance(top, Thing) else type(top).__name__
        raise UnreadablePickleError(f"it holds a {kind}, but a SpikingCalibResult of calix is expected")
    held = mapping_of(top, "content")
    parts = {name: held.get(name) for name in ("target", "cadc_result", "neuron_result")}
    missing = [name for name, part in parts.items() if part is None]
    if missing:
        raise UnreadablePickleError(f"its {top.kind.name} has no {missing[0]}")
    target = parts["target"]
    inner = mapping_of(target, "target").get("neuron_target")
    return _calibration(parts["neuron_result"], parts["cadc_result"], target if inner is None else inner)


def _object_array(name: str, data: bytes) -> Any:
    """Return the one object in an .npy file of a zero-dimensional object array."""
    start = data.find(b"\n", 0, 1000) + 1
    if not data.startswith(b"\x93NUMPY") or start == 0:
        raise UnreadablePickleError(f"its member {name!r} is no array")
    outer = read_pickle(data[start:])
    state = outer.state if isinstance(outer, Thing) else None
    if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[4], list) or len(state[4]) != 1:
        raise UnreadablePickleError(f"its member {name!r} is no array of one object")
    return state[4][0]


def _calibration(neuron: Any, cadc: Any, target: Any) -> VendorCalibration:
    neuron_parts, cadc_parts = mapping_of(neuron, "neuron result"), mapping_of(cadc, "CADC result")
    dac = _dac_codes(neuron_parts)
    return VendorCalibration(
        codes=_codes(neuron_parts),
        cadc_offset=_whole(cadc_parts, "channel_offset", CADC_CHANNELS, -128, 127),
        cadc_ramp_offset=_whole(cadc_parts, "v_ramp_offset", QUADRANTS, 0, MAX_CAPMEM_CODE),
        cadc_ramp_slope=_whole(cadc_parts, "i_ramp_slope", QUADRANTS, 1, MAX_CAPMEM_CODE),
        synapse_dac_bias=dac,
        success=_success(neuron_parts),
        target=_target(mapping_of(target, "target"), dac),
    )


def _codes(parts: dict[str, Any]) -> dict[str, Array]:
    neurons = parts.get("neurons")
    if not isinstance(neurons, dict) or len(neurons) != CIRCUITS:
        raise UnreadablePickleError(f"its neuron result does not hold {CIRCUITS} circuits")
    blocks: dict[int, bytes] = {}
    for place, config in neurons.items():
        block = _bytes(config)
        if len(block) != BLOCK_BYTES:
            raise UnreadablePickleError(
                f"the registers of a circuit take {len(block)} bytes, but only the layout of {BLOCK_BYTES} is known"
            )
        blocks[_place(place, CIRCUITS)] = block
    if len(blocks) != CIRCUITS:
        raise UnreadablePickleError("it holds a circuit twice")
    table = np.frombuffer(b"".join(blocks[c] for c in range(CIRCUITS)), dtype=np.uint8).reshape(CIRCUITS, -1)
    codes = {}
    for name, place in CODE_BYTES.items():
        code = table[:, place].astype(np.int64) + 256 * table[:, place + 1].astype(np.int64)
        if code.max() > 1023:
            raise UnreadablePickleError(f"a code of {name} is {code.max()}, but CapMem codes have 10 bits")
        codes[name] = np.minimum(code, MAX_CAPMEM_CODE)
    return codes


def _bytes(config: Any) -> bytes:
    """Return the block of bytes that is the state of a container of the vendor."""
    state = config.state if isinstance(config, Thing) else None
    if isinstance(state, tuple) and len(state) == 1:
        state = state[0]
    if not isinstance(state, bytes):
        raise UnreadablePickleError("the registers of a circuit are no block of bytes")
    return state


def _place(coordinate: Any, count: int) -> int:
    number = coordinate.state if isinstance(coordinate, Thing) else coordinate
    if type(number) is not int or not 0 <= number < count:
        raise UnreadablePickleError("it holds a coordinate that is not on the chip")
    return number


def _dac_codes(parts: dict[str, Any]) -> Array | None:
    """Codes of the synapse DAC per quadrant, if the common cells are in the file."""
    codes = np.zeros(QUADRANTS, dtype=np.int64)
    found = 0
    common = parts.get("cocos")
    for place, container in common.items() if isinstance(common, dict) else ():
        if not isinstance(place, Thing) or place.kind.name != "CapMemCellOnDLS":
            continue
        quadrant, cell = divmod(_place(place, _CELLS_PER_BLOCK * QUADRANTS), _CELLS_PER_BLOCK)
        if cell == _DAC_CELL:
            block = _bytes(container)
            codes[quadrant] = min(int.from_bytes(block[8:10], "little"), MAX_CAPMEM_CODE)
            found += 1
    return codes if found == QUADRANTS and codes.min() > 0 else None


def _success(parts: dict[str, Any]) -> NDArray[np.bool_]:
    """Success per circuit; files that say nothing (the published one) mean that all succeeded."""
    success = np.ones(CIRCUITS, dtype=np.bool_)
    given = parts.get("success")
    for place, good in given.items() if isinstance(given, dict) else ():
        if isinstance(place, Thing | int) and isinstance(good, bool):
            success[_place(place, CIRCUITS)] = good
    return success


def _whole(parts: dict[str, Any], name: str, size: int, low: int, high: int) -> Array:
    values = array_of(parts.get(name), name)
    if values.shape != (size,) or not np.all((values >= low) & (values <= high)):
        raise UnreadablePickleError(f"its {name} is not {size} codes {low} to {high}")
    return values.astype(np.int64)


def _target(given: dict[str, Any], dac: Array | None) -> CalibrationTarget:
    """Return the target; what a file does not say keeps its default, the DAC's bias the mean of its codes."""
    values: dict[str, Any] = {}
    for name in _TARGETS:
        if name in given and given[name] is not None:
            values[name] = _one_or_all(array_of(given[name], name), name)
    for name in _TIMES:
        if name in given and given[name] is not None:
            values[name] = _one_or_all(time_in_us(given[name], name), name)
    tau = values.pop("tau_syn", None)
    if tau is not None:
        pair = tau if np.ndim(tau) and np.shape(tau)[0] == 2 else (tau, tau)
        values["tau_syn_exc"], values["tau_syn_inh"] = pair[0], pair[1]
    for name in _PAIRS:
        if name in given and given[name] is not None:
            values |= _pair(name, array_of(given[name], name))
    if "synapse_dac_bias" not in values and dac is not None:
        values["synapse_dac_bias"] = float(dac.mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whoever made the calibration was warned
        return replace(CalibrationTarget(), **{name: values[name] for name in values if name in RANGES})


def _pair(name: str, values: NDArray[np.float64]) -> dict[str, Any]:
    """Targets of both inputs as far as they are finite."""
    rows = values if values.ndim and values.shape[0] == 2 else np.stack([values, values])
    kept = {}
    for sign, row in zip(("exc", "inh"), rows, strict=True):
        row = np.where(np.isfinite(row), row, np.nan).reshape(-1)
        if np.any(np.isfinite(row)):
            kept[f"{name}_{sign}"] = float(row[0]) if row.size == 1 else row
    return kept


def _one_or_all(values: NDArray[np.float64], name: str) -> Any:
    if values.size == 1:
        return float(values.reshape(-1)[0])
    if values.shape in ((CIRCUITS,), (2, CIRCUITS)) or (name == "tau_syn" and values.shape == (2,)):
        return values
    raise CalibrationError(f"its target {name} has shape {values.shape}, expected one number or one per circuit.")
