"""Nodes and graphs of NIR under the path that they once had."""

from hxtorch.snn.nir.graph import Connection, FlatGraph, flatten
from hxtorch.snn.nir.nodes import INSTEAD, LINEAR, SILENT, SPIKING, Matrix, import_nir, kind

__all__ = [
    "INSTEAD",
    "LINEAR",
    "SILENT",
    "SPIKING",
    "Connection",
    "FlatGraph",
    "Matrix",
    "flatten",
    "import_nir",
    "kind",
]
