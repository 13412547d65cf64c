"""Dies as files (`hxtorch.twin.pattern.file`, `Die.save`, `Die.load`)."""

from pathlib import Path

from hxtorch.twin.die import Die
from hxtorch.twin.pattern.file import FORMAT, VERSION, DieFileError

__all__ = ["FORMAT", "VERSION", "DieFileError", "load_die", "save_die"]


def save_die(die: Die, path: str | Path) -> Path:
    """Write `die` to `path`; a file that is there is replaced at once or not at all."""
    return die.save(path)


def load_die(path: str | Path) -> Die:
    """Read a die that `save_die` wrote. `DieFileError` for anything else; nothing in a file is ever executed."""
    return Die.load(path)
