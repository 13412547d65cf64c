"""Files as the vendor's tool writes them, made here with stand-ins for its classes."""

import contextlib
import io
import pickle
import sys
import types
import zipfile
from collections.abc import Iterator

import numpy as np

from hxtorch.calibration.vendor import BLOCK_BYTES, CODE_BYTES

MODULES = (
    "calix.common.cadc", "calix.hagen.neuron", "calix.spiking", "calix.spiking.neuron",
    "pyhalco_hicann_dls_vx_v3", "pylola_vx_v3", "pyhaldls_vx_v3",
    "quantities.quantity", "quantities.unitquantity", "quantities.dimensionality",
)  # fmt: skip


@contextlib.contextmanager
def vendor_modules() -> Iterator[None]:
    """Modules of the vendor that pickle can name, as long as the block runs."""
    before = dict(sys.modules)
    for name in MODULES:
        for i in range(name.count(".") + 1):
            part = ".".join(name.split(".")[: i + 1])
            sys.modules.setdefault(part, types.ModuleType(part))
    try:
        yield
    finally:
        for name in set(sys.modules) - set(before):
            del sys.modules[name]


def made(module: str, name: str, state: object) -> object:
    """An object of a class that its module has under this name."""
    kind = getattr(sys.modules[module], name, None)
    if kind is None:
        kind = type(name, (), {"__module__": module, "__getstate__": lambda self: self.held})
        setattr(sys.modules[module], name, kind)
    item = object.__new__(kind)
    item.held = state
    return item


def block(codes: dict[str, int]) -> bytes:
    data = bytearray(BLOCK_BYTES)
    for name, place in CODE_BYTES.items():
        data[place : place + 2] = int(codes[name]).to_bytes(2, "little")
    return bytes(data)


def some_codes(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.integers(1, 1023, 512) for name in CODE_BYTES}


def neuron_result(codes: dict[str, np.ndarray], dac: tuple[int, ...] = (990, 1000, 950, 970), **more: object):
    places = [made("pyhalco_hicann_dls_vx_v3", "AtomicNeuronOnDLS", int(i)) for i in range(512)]
    blocks = [block({name: values[i] for name, values in codes.items()}) for i in range(512)]
    neurons = {
        place: made("pylola_vx_v3", "AtomicNeuron", (data,)) for place, data in zip(places, blocks, strict=True)
    }
    cells = {
        made("pyhalco_hicann_dls_vx_v3", "CapMemCellOnDLS", 1168 + 3120 * q): made(
            "pyhaldls_vx_v3", "CapMemCell", (bytes(8) + int(code).to_bytes(8, "little"),)
        )
        for q, code in enumerate(dac)
    }
    success = {place: i != 5 for i, place in enumerate(places)}
    return {"neurons": neurons, "cocos": cells, "success": success, **more}


def cadc_result(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "v_ramp_offset": np.array([40, 25, 34, 26]),
        "i_ramp_slope": np.array([389, 379, 348, 359]),
        "channel_offset": rng.integers(-30, 31, 1024),
        "success": np.ones(1024, dtype=bool),
    }


TARGET = {
    "leak": 80, "reset": 75, "threshold": 150, "tau_mem": 6e-6, "tau_syn": 5e-6, "i_synin_gm": 500,
    "membrane_capacitance": 63, "refractory_time": 2.0,
}  # fmt: skip


def older_layout(codes: dict[str, np.ndarray], **changes: object) -> bytes:
    """The zip of three pickles of the published calibration."""
    with vendor_modules():
        parts = {
            "neuron": made("calix.hagen.neuron", "NeuronCalibResult", neuron_result(codes)),
            "cadc": made("calix.common.cadc", "CADCCalibResult", cadc_result()),
            "targets": TARGET,
        }
        members = {}
        for name, part in {**parts, **changes}.items():
            array = np.empty((), dtype=object)
            array[()] = part
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=True)
            members[f"{name}.npy"] = buffer.getvalue()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def quantity(value: float | np.ndarray, unit: str) -> object:
    """A quantity with a unit, in the parts that the package `quantities` pickles it in."""
    array = np.asarray(value, dtype=float)

    class Reduced:
        def __reduce__(self) -> tuple[object, ...]:
            maker = made_function("quantities.quantity", "_reconstruct_quantity")
            kind = type(made("quantities.quantity", "Quantity", None))
            state = (1, array.shape, array.dtype, False, array.tobytes(), Units())
            return maker, (kind, np.ndarray, (0,), b"b"), state

    class Units:
        def __reduce__(self) -> tuple[object, ...]:
            kind = type(made("quantities.dimensionality", "Dimensionality", None))
            return kind, (), None, None, iter([(Unit(), 1)])

    class Unit:
        def __reduce__(self) -> tuple[object, ...]:
            return type(made("quantities.unitquantity", "UnitTime", None)), (unit, None, unit[:2], None, [], None)

    return Reduced()


def made_function(module: str, name: str) -> object:
    function = types.FunctionType((lambda *args: None).__code__, {}, name)
    function.__module__, function.__qualname__ = module, name
    setattr(sys.modules[module], name, function)
    return function


def spiking_result(codes: dict[str, np.ndarray], protocol: int = 4, **target: object) -> bytes:
    """A pickled SpikingCalibResult with target, options, CADC result and neuron result."""
    with vendor_modules():
        held = {**TARGET, "tau_mem": quantity(6, "microsecond"), "tau_syn": quantity([[5.0] * 512, [4.0] * 512],
                "microsecond"), "refractory_time": quantity(0.002, "millisecond"),
                "synapse_dac_bias": 900, **target}  # fmt: skip
        result = {
            "target": made("calix.spiking", "SpikingCalibTarget", {
                "neuron_target": made("calix.spiking.neuron", "NeuronCalibTarget", held)
            }),
            "options": made("calix.spiking", "SpikingCalibOptions", {"refine_potentials": True}),
            "cadc_result": made("calix.common.cadc", "CADCCalibResult", cadc_result()),
            "neuron_result": made("calix.spiking.neuron", "NeuronCalibResult", neuron_result(codes)),
            "stp_result": None,
            "correlation_result": None,
        }  # fmt: skip
        return pickle.dumps(made("calix.spiking", "SpikingCalibResult", result), protocol=protocol)
