"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Give a path to write to, in the folder of `path`, that becomes `path` at the end of the block.

    A file that is there is replaced at once. After an error it is still there as it was, and nothing else is.
    Several processes may write the same file: the last one wins. The path that is given has an ending of its own.
    """
    path = Path(path)
    part = path.with_name(f".{uuid4().hex}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())  # before the name: a machine that loses power keeps one or the other
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: str | Path, content: bytes | str) -> Path:
    """Write `content`, text as UTF-8, to `path`: all of it or nothing. Returns the path."""
    with written_whole(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(path)
