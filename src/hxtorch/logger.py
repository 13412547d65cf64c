"""Loggers with levels down to TRACE, on top of Python's `logging`.

A logger takes any number of arguments of any type and joins their texts with blanks, like `print`.

Examples:
    >>> import hxtorch
    >>> log = hxtorch.logger.get("my script")
    >>> log.info("accuracy", 0.98, "after", 5, "epochs")  # log.INFO(...) is the same

Nothing is shown below WARN until `default_config` is called; Python's own configuration works as well.
"""

from __future__ import annotations

import enum
import logging
import sys
from typing import TextIO


class LogLevel(enum.IntEnum):
    """How important a message is; the numbers are those of Python's `logging`."""

    TRACE = 5
    DEBUG = logging.DEBUG
    INFO = logging.INFO
    WARN = logging.WARNING
    ERROR = logging.ERROR
    FATAL = logging.CRITICAL


logging.addLevelName(LogLevel.TRACE, "TRACE")


class Logger:
    """Writes messages under a name. Every method exists in lower and in upper case."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    @property
    def name(self) -> str:
        """The name that `get` was given."""
        return self._logger.name

    @property
    def level(self) -> int:
        """Messages below this level are dropped: its own level, or that of the logger above it."""
        return self._logger.getEffectiveLevel()

    def trace(self, *message: object) -> None:
        """Write `message` at level TRACE."""
        self._write(LogLevel.TRACE, message)

    def debug(self, *message: object) -> None:
        """Write `message` at level DEBUG."""
        self._write(LogLevel.DEBUG, message)

    def info(self, *message: object) -> None:
        """Write `message` at level INFO."""
        self._write(LogLevel.INFO, message)

    def warn(self, *message: object) -> None:
        """Write `message` at level WARN."""
        self._write(LogLevel.WARN, message)

    def error(self, *message: object) -> None:
        """Write `message` at level ERROR."""
        self._write(LogLevel.ERROR, message)

    def fatal(self, *message: object) -> None:
        """Write `message` at level FATAL."""
        self._write(LogLevel.FATAL, message)

    TRACE, DEBUG, INFO, WARN, ERROR, FATAL = trace, debug, info, warn, error, fatal
    warning, WARNING = warn, warn

    def get_number_of_appenders(self) -> int:
        """How many outputs this very logger writes to; Python calls them handlers."""
        return len(self._logger.handlers)

    def _write(self, level: int, message: tuple[object, ...]) -> None:
        if self._logger.isEnabledFor(level):  # the text of a large tensor costs time
            self._logger.log(level, "%s", " ".join(map(str, message)), stacklevel=3)

    def __repr__(self) -> str:
        return f"Logger({self.name!r}, level={logging.getLevelName(self.level)})"


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the moment of writing, as notebooks and tests replace it."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(logging.Formatter("%(levelname)-5s %(asctime)s %(name)s  %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def get(name: str) -> Logger:
    """Return the logger called `name`; a dot in the name means "below", as in ``hxtorch.snn``."""
    return Logger(logging.getLogger(name))


def get_root() -> Logger:
    """Return the logger above all others."""
    return Logger(logging.getLogger())


def set_loglevel(logger: Logger | str, level: LogLevel | int) -> None:
    """Drop messages of `logger` (or of the logger with that name) that are below `level`."""
    logging.getLogger(logger if isinstance(logger, str) else logger.name).setLevel(LogLevel(level))


def default_config(level: LogLevel | int = LogLevel.INFO) -> None:
    """Write messages of `level` and above to standard error, from all loggers without a level of their own.

    Calling it again changes the level only. Outputs that were set up with Python's `logging` stay.
    """
    root = logging.getLogger()
    root.setLevel(LogLevel(level))
    if not root.handlers:
        root.addHandler(_StandardError())


def reset() -> None:
    """Undo `default_config`: no output of ours any more, and the level WARN."""
    root = logging.getLogger()
    for handler in [item for item in root.handlers if isinstance(item, _StandardError)]:
        root.removeHandler(handler)
    root.setLevel(LogLevel.WARN)
