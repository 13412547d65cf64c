"""What a file is that was taken for a calibration, for the message that refuses it."""

from __future__ import annotations

# how files begin that may be taken for a calibration
_FOREIGN = {
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"\x89PNG": "a PNG image",
    b"\x1f\x8b": "compressed with gzip",
    b"%PDF": "a PDF document",
    b"\x7fELF": "a program",
}


def kind_of(content: bytes) -> str:
    """What content is that is neither an archive nor a pickle of today."""
    if not content:
        return "empty"
    for begin, kind in _FOREIGN.items():
        if content.startswith(begin):
            return kind
    if content[-1:] == b"." and content[:1] in b"(c]}":
        return "a pickle of protocol 0 to 2, which is not opened"
    try:
        content[:1000].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < min(len(content), 1000) - 3:  # not a character that the cut has split
            return f"of an unknown kind, beginning with the bytes {content[:4].hex(' ')}"
    return f"a text that begins with {content[:20].decode('utf-8', 'replace')!r}"
