"""Showing a changing figure in a notebook without slowing down the work that it follows."""

from __future__ import annotations

import time
from io import BytesIO

from matplotlib.figure import Figure


class LiveFigure:
    """Shows `figure` in the notebook's current output, as often as that costs at most `share` of the time.

    Outside of a notebook it shows nothing.
    """

    def __init__(self, figure: Figure, *, share: float = 0.1, interval: float = 0.3) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share is {share}, but is the part of the time for drawing, in (0, 1].")
        self.figure = figure
        self.share = share
        self.interval = interval
        self._next = 0.0
        self._in_notebook = _in_notebook()

    def due(self, force: bool = False) -> bool:
        """Whether `show` would show it now."""
        return self._in_notebook and (force or time.perf_counter() >= self._next)

    def show(self, force: bool = False, *, replace: bool = False) -> bool:
        """Show the figure if it is time to, or in any case with `force`; returns whether it was shown.

        With `replace` it takes the place of what the cell has shown before.
        """
        begin = time.perf_counter()
        if not self.due(force):
            return False
        from IPython.display import Image, clear_output, display

        if replace:
            clear_output(wait=True)  # type: ignore[no-untyped-call]
        display(Image(data=png(self.figure)))  # type: ignore[no-untyped-call]
        # The arrangement of the panels stays as it is now: finding it again is half of the drawing time.
        self.figure.set_layout_engine("none")
        end = time.perf_counter()
        self._next = end + max(self.interval, (end - begin) * (1 / self.share - 1))
        return True


def png(figure: Figure) -> bytes:
    """Return the figure as the content of a PNG file."""
    data = BytesIO()
    figure.savefig(data, format="png", dpi="figure")
    return data.getvalue()


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")
