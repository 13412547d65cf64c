"""Names of the vendor's packages that scripts import: ours stand in for them where they are not installed.

This folder stands on the path of every environment with hxtorch in it, so that the names are there before hxtorch
is imported: the file `hxtorch_vendor.pth` holds the path and runs no code. Each name has a folder here that hands
over to the vendor's package, wherever that is found. To add a name: a line in `STAND_INS`, and a copy of such a
folder.
"""

from __future__ import annotations

from collections.abc import Mapping

STAND_INS: Mapping[str, str] = {"dlens_vx_v3.halco": "hxtorch.twin.places.coordinates"}
"""The vendor's module -> ours; packages around them are empty."""
