"""Where modules have gone that once had another path: scripts and saved networks keep the old one.

A module that moved as a whole is the same module under both paths. A new name of the old path would be a second
copy of its classes.
"""

from __future__ import annotations

from collections.abc import Mapping

MOVED: Mapping[str, str] = {
    "hxtorch.twin.kernels": "hxtorch._kernels.compilation",
}
