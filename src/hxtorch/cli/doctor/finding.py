"""What a check found."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Status(enum.StrEnum):
    """How a check ended; `FAILED` lets `hxtorch doctor` exit with 1."""

    OK = "ok"
    NOTE = "note"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One checked thing: its name, how the check ended, what was found, and what to do about it."""

    name: str
    status: Status
    found: str
    advice: str = ""
