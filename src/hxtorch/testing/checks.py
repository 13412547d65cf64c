"""What all contracts share."""

from __future__ import annotations


def require(condition: object, message: str) -> None:
    """AssertionError with `message` unless `condition` holds, also where Python drops ``assert`` (option -O)."""
    if not condition:
        raise AssertionError(message)
