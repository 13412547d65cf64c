"""Fidelity: measure a chip with the protocols of the publications and compare with what they found."""

from hxtorch.fidelity.measure import PROTOCOLS, Fidelity, measure
from hxtorch.fidelity.row import MARKS, Measured, Protocol, Row, RowResult
from hxtorch.fidelity.steps import StepRow, compare_steps

__all__ = [
    "MARKS", "PROTOCOLS", "Fidelity", "Measured", "Protocol", "Row", "RowResult", "StepRow", "compare_steps",
    "measure",
]  # fmt: skip
