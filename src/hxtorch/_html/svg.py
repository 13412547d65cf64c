"""Drawings in SVG: lines over time, rasters of spikes, strips of values by place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxtorch._html.parts import escape

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#B97A00", "#B5608F", "#7F7F7F")
"""Readable on white and on dark; told apart with any colour vision."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 10, 8, 34  # pixels around the plot for axes and their labels
_MOST_POINTS = 1500  # of one line: more are not seen, but make the page heavy


@dataclass(frozen=True)
class Series:
    """One line: values `y` at `x`, with a name for the legend (empty: none), drawn dashed or not."""

    x: ArrayLike
    y: ArrayLike
    name: str = ""
    dashed: bool = False
    colour: str = ""


def lines(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    width: int = 480,
    height: int = 160,
    log: bool = False,
    whole: bool = False,
) -> str:
    """Lines with axes, labels and a legend; not finite values are left out.

    `log`: logarithmic y axis; `whole`: only whole numbers stand along the x axis.
    """
    curves = [_finite(item, log) for item in series]
    every_x = np.concatenate([x for x, _ in curves]) if curves else np.zeros(0)
    every_y = np.concatenate([y for _, y in curves]) if curves else np.zeros(0)
    if not every_x.size:
        return f"<p>{escape('nothing recorded')}</p>"
    frame = _Frame(*_span(every_x), *_span(every_y, margin=0.06), width, height)
    parts = [frame.axes(x_label, y_label, log, whole)]
    for index, (item, (x, y)) in enumerate(zip(series, curves)):
        step = max(1, math.ceil(x.size / _MOST_POINTS))
        points = " ".join(f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in zip(x[::step], y[::step]))
        colour = item.colour or COLOURS[index % len(COLOURS)]
        dash = ' stroke-dasharray="5 3"' if item.dashed else ""
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>')
    return _figure("".join(parts), width, height) + _legend(series)


def bars(
    edges: ArrayLike, counts: ArrayLike, x_label: str, y_label: str, width: int = 480, height: int = 130
) -> str:
    """A histogram: `counts` (n,) between `edges` (n + 1,)."""
    at, high = (np.asarray(part, dtype=np.float64).reshape(-1) for part in (edges, counts))
    if not high.size:
        return f"<p>{escape('nothing recorded')}</p>"
    frame = _Frame(float(at[0]), float(at[-1]), 0.0, max(float(high.max()) * 1.06, 1e-9), width, height)
    path = "".join(
        f"M{frame.x(a):.1f} {frame.y(0):.1f}V{frame.y(c):.1f}H{frame.x(b):.1f}V{frame.y(0):.1f}z"
        for a, b, c in zip(at, at[1:], high)
        if c > 0
    )
    return _figure(f'{frame.axes(x_label, y_label)}<path d="{path}" fill="{COLOURS[0]}"/>', width, height)


def raster(
    rows: Sequence[ArrayLike],
    end: float,
    y_label: str,
    x_label: str = "time / µs",
    width: int = 480,
    height: int | None = None,
    colour: str = "",
) -> str:
    """Times of events, one row for each neuron, the first at the bottom; time from 0 to `end`.

    Without a `height` it is as high as the marks need to be seen.
    """
    height = max(130, min(260, 4 * len(rows) + _TOP + _BOTTOM)) if height is None else height
    frame = _Frame(0.0, max(end, 1e-9), -0.5, max(len(rows), 1) - 0.5, width, height)
    half = 0.4 * (height - _TOP - _BOTTOM) / max(len(rows), 1)
    path = "".join(
        f"M{frame.x(float(time)):.1f} {frame.y(row) - half:.1f}v{2 * half:.1f}"
        for row, times in enumerate(rows)
        for time in np.asarray(times, dtype=np.float64)
    )
    mark = f'<path d="{path}" stroke="{colour or COLOURS[1]}" stroke-width="1.2" fill="none"/>'
    return _figure(frame.axes(x_label, y_label) + mark, width, height)


def strip(values: ArrayLike, centre: float = 0.0, width: int = 480, row_height: int = 12, title: str = "") -> str:
    """Values by place, (rows, columns), blue below `centre` and red above; darker is farther."""
    array = np.atleast_2d(np.asarray(values, dtype=np.float64)) - centre
    spread = max(float(np.nanmax(np.abs(array))) if array.size else 0.0, 1e-12)
    cell = width / array.shape[1]
    rectangles = "".join(
        f'<rect x="{column * cell:.2f}" y="{row * row_height}" width="{cell + 0.3:.2f}" height="{row_height}" '
        f'fill="{"#D5402B" if value > 0 else "#0072B2"}" fill-opacity="{abs(value) / spread:.2f}"/>'
        for row, line in enumerate(array)
        for column, value in enumerate(line)
        if abs(value) > 0.02 * spread
    )
    height = array.shape[0] * row_height
    outline = f"M0.5 0.5h{width - 1}v{height - 1}h{1 - width}z"
    frame = f'<path d="{outline}" fill="none" stroke="currentColor" stroke-opacity="0.35"/>'
    return _figure(rectangles + frame, width, height, title)


class _Frame:
    """Maps values to pixels."""

    def __init__(self, x0: float, x1: float, y0: float, y1: float, width: int, height: int) -> None:
        self.x0, self.x1, self.y0, self.y1 = x0, x1, y0, y1
        self.width, self.height = width, height

    def x(self, value: float) -> float:
        return _LEFT + (value - self.x0) / (self.x1 - self.x0) * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y0) / (self.y1 - self.y0)
        return self.height - _BOTTOM - share * (self.height - _TOP - _BOTTOM)

    def axes(self, x_label: str, y_label: str, log: bool = False, whole: bool = False) -> str:
        bottom, right = self.height - _BOTTOM, self.width - _RIGHT
        parts = [
            f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="currentColor" stroke-opacity="0.6"/>'
        ]
        for value in _ticks(self.x0, self.x1, whole=whole):
            parts.append(_text(self.x(value), bottom + 14, f"{value:g}", "middle"))
        for value in _ticks(self.y0, self.y1, 4, whole=log):
            at = self.y(value)
            label = f"{10**value:g}" if log else f"{value:g}"
            parts.append(f'<path d="M{_LEFT} {at:.1f}H{right}" stroke="currentColor" stroke-opacity="0.13"/>')
            parts.append(_text(_LEFT - 6, at + 4, label, "end"))
        parts.append(_text((_LEFT + right) / 2, self.height - 4, x_label, "middle"))
        middle = (_TOP + bottom) / 2
        parts.append(_text(13, middle, y_label, "middle", f' transform="rotate(-90 13 {middle:.1f})"'))
        return "".join(parts)


def _figure(content: str, width: int, height: int, title: str = "") -> str:
    label = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" xmlns="http://www.w3.org/2000/svg" style="width:100%;'
        f'max-width:{1.25 * width:g}px;height:auto;display:block;font-family:sans-serif;font-size:11px">'
        f"{label}{content}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor"{more}>{escape(text)}</text>'


def _legend(series: Sequence[Series]) -> str:
    items = "".join(
        f'<span style="color:{item.colour or COLOURS[index % len(COLOURS)]};margin-right:1.2em;white-space:nowrap">'
        f"{'╌╌' if item.dashed else '━━'} {escape(item.name)}</span> "
        for index, item in enumerate(series)
        if item.name
    )
    return f'<div style="font-size:0.85em;margin-left:3.5em">{items}</div>' if items else ""


def _finite(item: Series, log: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = (np.asarray(part, dtype=np.float64).reshape(-1) for part in (item.x, item.y))
    good = np.isfinite(y) & ((y > 0) | (not log))
    return x[good], np.log10(y[good]) if log else y[good]


def _span(values: NDArray[np.float64], margin: float = 0.0) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = margin * (high - low) if high > low else max(abs(high) * 0.1, 0.5)
    return low - room, high + room


def _ticks(low: float, high: float, count: int = 6, whole: bool = False) -> list[float]:
    """Round numbers between `low` and `high`."""
    step = 10.0 ** math.floor(math.log10((high - low) / count))
    step *= next((factor for factor in (1, 2, 5) if (high - low) / (step * factor) <= count), 10)
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]
