"""Which code computed a number: a fingerprint of everything that the course of a training depends on."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[2]
_ROOMS = ("_kernels", "twin", "calibration", "mapping", "snn", "examples")


@lru_cache(maxsize=1)
def code_version() -> str:
    """Fingerprint of the sources of kernels, twin, calibration, mapping, numerics and example networks (12 digits).

    It is that of the files at its first call in a process.
    """
    digest = hashlib.sha256()
    for room in _ROOMS:
        for path in sorted((_PACKAGE / room).rglob("*.py")):
            digest.update(str(path.relative_to(_PACKAGE)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
