"""hxtorch: spiking neural networks for the BrainScaleS-2 chip in PyTorch, with a virtual chip included.

Write networks with `hxtorch.snn`, connect to a chip with `init_hardware`, run them with `hxtorch.snn.run`.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from hxtorch import logger
from hxtorch._alias import install_alias, install_moved, install_stand_ins
from hxtorch._moved import MOVED
from hxtorch._vendor import STAND_INS
from hxtorch.connection import (
    CalibrationPath,
    HWDBPath,
    get_unique_identifier,
    init_hardware,
    init_hardware_minimal,
    release_hardware,
)
from hxtorch.spikes import Connection, dense_spikes_to_list, extract_n_spikes, weight_to_connection

try:
    __version__ = version("hxtorch")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"

__all__ = [
    "CalibrationPath",
    "Connection",
    "HWDBPath",
    "__version__",
    "dense_spikes_to_list",
    "extract_n_spikes",
    "get_unique_identifier",
    "init_hardware",
    "init_hardware_minimal",
    "logger",
    "release_hardware",
    "weight_to_connection",
]

install_moved(MOVED)
install_alias("hxtorch.spiking", "hxtorch.snn")
install_alias("hxtorch.ann", "hxtorch.perceptron")
install_stand_ins(STAND_INS)

# They need torch or matplotlib, which take seconds to import: only on first use.
_ON_FIRST_USE = ("ann", "calibration", "perceptron", "plots", "snn", "spiking", "study")


def __getattr__(name: str) -> ModuleType:
    if name in _ON_FIRST_USE:
        return importlib.import_module(f"hxtorch.{name}")
    raise AttributeError(f"module 'hxtorch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_FIRST_USE})
