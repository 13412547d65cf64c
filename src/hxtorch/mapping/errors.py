"""The error of a network that does not fit."""


class MappingError(RuntimeError):
    """A network does not fit the chip; the message says which resource is short and what would fit."""
