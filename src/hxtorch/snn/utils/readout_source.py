"""`ReadoutSource` under the name that scripts know."""

from hxtorch.snn.recording.readout_source import ReadoutSource

__all__ = ["ReadoutSource"]
