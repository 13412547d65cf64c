"""`dlens_vx_v3.halco` for machines without the vendor's package: `hxtorch.twin.places.coordinates`.

Where the vendor's package is found elsewhere on the path, it takes the place of this one.
"""

import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path

_HERE = Path(__file__).resolve().parent.parent
_vendor = PathFinder.find_spec(__name__, [entry for entry in sys.path if Path(entry or ".").resolve() != _HERE])

if _vendor is not None and _vendor.loader is not None and _vendor.origin != __spec__.origin:
    sys.modules[__name__] = importlib.util.module_from_spec(_vendor)
    _vendor.loader.exec_module(sys.modules[__name__])
else:
    from hxtorch.twin.places import coordinates as halco

    sys.modules[f"{__name__}.halco"] = halco
    __all__ = ["halco"]
