"""Fidelity: measure a chip with the protocols of the publications and compare with what they found."""

from hxtorch.fidelity.measure import PROTOCOLS, Fidelity, measure
from hxtorch.fidelity.row import MARKS, Measured, Protocol, Row, RowResult

__all__ = ["MARKS", "PROTOCOLS", "Fidelity", "Measured", "Protocol", "Row", "RowResult", "measure"]
