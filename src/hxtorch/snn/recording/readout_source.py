"""What the converters of the chip look at."""

from __future__ import annotations

from enum import Enum, auto


class ReadoutSource(Enum):
    """The membrane, or the adaptation."""

    VOLTAGE = auto()
    ADAPTATION = auto()


def check_readout_source(name: str, source: ReadoutSource) -> None:
    """Refuse what is no source (TypeError) and the adaptation, which is not recorded (NotImplementedError)."""
    if not isinstance(source, ReadoutSource):
        raise TypeError(f"{name} is {source!r}, but must be ReadoutSource.VOLTAGE or ReadoutSource.ADAPTATION.")
    if source is ReadoutSource.ADAPTATION:
        raise NotImplementedError(
            f"{name} is ReadoutSource.ADAPTATION, but only the membrane is recorded from the chip. Use "
            "ReadoutSource.VOLTAGE; `adaptation_cadc` holds the adaptation of the model."
        )
