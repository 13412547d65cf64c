"""One look for all figures: colours, sizes, and small pieces that several figures draw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

# After Okabe and Ito's palette: told apart with any colour vision, and in grey print by lightness. Every
# colour has a contrast of at least 3 with the white and with the dark background, so lines need no theme.
CHIP = "#0072B2"  # what was measured with the CADC
CHIP_FAST = "#2B93D1"  # what was measured with the MADC
MODEL = "#D55E00"
INPUT = "#7F7F7F"
SPIKE = "#D5402B"
SERIES = ("#0072B2", "#B97A00", "#009E73", "#B5608F")

LIGHT, DARK = "#FFFFFF", "#17191C"
"""Backgrounds of the themes."""

_theme: ContextVar[str] = ContextVar("hxtorch_plots_theme", default="light")

_SETTINGS: Any = {  # matplotlib types the keys one by one
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.labelsize": 9.0,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.4,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "figure.dpi": 110.0,
    "savefig.facecolor": "white",
}


_DARK: Any = {
    **dict.fromkeys(("figure.facecolor", "savefig.facecolor", "axes.facecolor"), DARK),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), "#E8E8E8"),
    "axes.edgecolor": "#9A9A9A",
    "grid.color": "#33363B",
}


@contextmanager
def theme(name: str) -> Iterator[None]:
    """Draw the figures made inside for a white page (``"light"``) or for a dark screen (``"dark"``)."""
    if name not in ("light", "dark"):
        raise ValueError(f"There is no theme {name!r}. Choose 'light' or 'dark'.")
    token = _theme.set(name)
    try:
        yield
    finally:
        _theme.reset(token)


@contextmanager
def house_style() -> Iterator[None]:
    """Use the package's look for everything drawn inside; afterwards the user's settings hold again."""
    with mpl.rc_context(_SETTINGS | (_DARK if _theme.get() == "dark" else {})):
        yield


def ink() -> str:
    """Colour of text and of lines that shall look like text: black, or almost white on a dark screen."""
    return "#000000" if _theme.get() == "light" else "#E8E8E8"


def diverging() -> Colormap:
    """Colours of signed values: blue below, red above, the background's colour at zero."""
    middle = LIGHT if _theme.get() == "light" else DARK
    return LinearSegmentedColormap.from_list("hxtorch", [CHIP, middle, SPIKE])


class NotebookFigure(Figure):
    """A figure that a notebook shows as a picture, also where pyplot was never used."""

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png", dpi=self.dpi)
        return buffer.getvalue()


def new_figure(width: float, height: float, figure: Figure | None = None) -> Figure:
    """Return an empty figure of `width` x `height` inches.

    With `figure`, that one is emptied and used, for example one that pyplot shows.
    """
    if figure is None:
        return NotebookFigure(figsize=(width, height), layout="constrained")
    figure.clear()
    figure.set_facecolor(mpl.rcParams["figure.facecolor"])
    figure.set_size_inches(width, height)
    figure.set_layout_engine("constrained")
    return figure


def time_axis(axes: Axes, end: float, label: bool = True) -> None:
    """Let the x axis run from 0 to `end` in µs; with `label` it says so."""
    axes.set_xlim(0, round(end, 6))  # dt in seconds times 1e6 misses whole numbers by a hair
    if label:
        axes.set_xlabel("time / µs")
    else:
        axes.tick_params(labelbottom=False)


def raster(
    axes: Axes, times: Sequence[NDArray[np.floating[Any]]], colours: Sequence[str], labels: Sequence[str]
) -> None:
    """Draw rows of spike times in µs as short lines, the first row on top."""
    for row, (events, colour) in enumerate(zip(times, colours, strict=True)):
        axes.vlines(events, -row - 0.38, -row + 0.38, color=colour, linewidth=1.4)
    axes.set_ylim(-len(times) + 0.4, 0.6)
    axes.set_yticks([-row for row in range(len(times))], labels)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
