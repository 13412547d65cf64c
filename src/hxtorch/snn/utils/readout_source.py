"""`ReadoutSource` under the name that scripts know."""

from hxtorch.snn.readout_source import ReadoutSource

__all__ = ["ReadoutSource"]
