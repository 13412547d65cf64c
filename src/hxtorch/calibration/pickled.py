"""What the pickles of the vendor's calibration results may name; the reader itself builds only plain data."""

from __future__ import annotations

from typing import Any

from hxtorch._files.pickles import Name, Rules, Thing, UnreadablePickleError, read

__all__ = ["OPCODE_LIMIT", "Name", "Thing", "UnreadablePickleError", "read_pickle"]

OPCODE_LIMIT = 200_000  # a result for a whole chip takes some 12 000

_NAMES = {
    "numpy": {"ndarray", "dtype"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
    "copyreg": {"_reconstructor"},
    "copy_reg": {"_reconstructor"},
    "builtins": {"object", "bytearray"},
    "collections": {"OrderedDict"},
}
_PACKAGES = ("calix.", "quantities.", "pyhalco_hicann_dls_vx", "pyhaldls_vx", "pylola_vx", "dlens_vx_v")


def _allows(module: str, name: str) -> bool:
    return name in _NAMES.get(module, ()) or (module.startswith(_PACKAGES) and name.replace(".", "").isidentifier())


_RULES = Rules(_allows, "no calibration result needs", range(3, 6), OPCODE_LIMIT)


def read_pickle(data: bytes) -> Any:
    """Return the value of a pickle, made of plain values, lists, dictionaries, tuples, `Name` and `Thing`.

    Raises `UnreadablePickleError` for anything else: damage, names that no calibration result needs,
    instructions that plain data does not need, more than `OPCODE_LIMIT` instructions.
    """
    return read(data, _RULES)
