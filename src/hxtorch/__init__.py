"""hxtorch: spiking neural networks for the BrainScaleS-2 chip in PyTorch, with a virtual chip included.

Write networks with `hxtorch.snn`, connect to a chip with `init_hardware`, run them with `hxtorch.snn.run`.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from hxtorch._alias import install_alias
from hxtorch.connection import get_unique_identifier, init_hardware, release_hardware

try:
    __version__ = version("hxtorch")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"

__all__ = ["__version__", "get_unique_identifier", "init_hardware", "release_hardware"]

install_alias("hxtorch.spiking", "hxtorch.snn")


def __getattr__(name: str) -> ModuleType:
    # hxtorch.snn needs torch, which takes a second or two to import: only on first use
    if name in ("snn", "spiking"):
        return importlib.import_module(f"hxtorch.{name}")
    raise AttributeError(f"module 'hxtorch' has no attribute {name!r}")
