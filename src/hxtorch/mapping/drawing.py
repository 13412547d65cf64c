"""A small drawing of the chip: who uses which circuits and synapses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hxtorch._html import escape
from hxtorch._html.svg import COLOURS
from hxtorch.twin.places.coordinates import COLUMNS, HEMISPHERES

_BLOCK = 4  # rows and columns that share a rectangle
_WIDTH, _ARRAY, _STRIP = 640, 110, 14  # pixels


def chip_svg(owner: NDArray[np.int64], source: NDArray[np.int64], names: Sequence[str]) -> str:
    """Circuits coloured by the layer they belong to, synapses by the population they hear.

    `owner` (512,) and `source` (hemisphere, row, column) number the `names`, -1 is nobody.
    """
    parts: list[str] = []
    tops = (0, _ARRAY + 2 * _STRIP + 6)  # of the arrays; the circuits lie between them
    for hemisphere in range(HEMISPHERES):
        array = source[hemisphere][::-1] if hemisphere == 0 else source[hemisphere]  # row 0 next to the circuits
        parts += _blocks(array, tops[hemisphere], _ARRAY)
        strip = owner.reshape(HEMISPHERES, COLUMNS)[hemisphere : hemisphere + 1]
        parts += _blocks(np.repeat(strip, _BLOCK, axis=0), _ARRAY + 2 + hemisphere * (_STRIP + 2), _STRIP)
    height = 2 * _ARRAY + 2 * _STRIP + 6
    frames = "".join(
        f'<rect x="0" y="{y}" width="{_WIDTH}" height="{h}" fill="none" stroke="currentColor" opacity="0.3"/>'
        for y, h in (
            (tops[0], _ARRAY), (_ARRAY + 2, _STRIP), (_ARRAY + 4 + _STRIP, _STRIP), (tops[1], _ARRAY)
        )
    )  # fmt: skip
    shown = sorted(set(np.unique(owner).tolist()) | set(np.unique(source).tolist()) - {-1})
    legend = "".join(
        f'<span style="color:{_colour(i)};margin-right:1.2em">■ {escape(names[i])}</span>' for i in shown if i >= 0
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img" xmlns="http://www.w3.org/2000/svg" '
        f'style="max-width:100%;height:auto;display:block"><title>the chip: synapses and circuits of the top '
        f"hemisphere, circuits and synapses of the bottom one</title>{''.join(parts)}{frames}</svg>"
        f'<div style="font-size:0.85em">{legend}</div>'
    )


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _blocks(array: NDArray[np.int64], top: int, height: int) -> Iterator[str]:
    """Rectangles of `array` (rows, 256): colour of the most frequent user, paler where few synapses are used."""
    rows, columns = array.shape[0] // _BLOCK, COLUMNS // _BLOCK
    cells = array.reshape(rows, _BLOCK, columns, _BLOCK).swapaxes(1, 2).reshape(rows, columns, -1)
    used = (cells >= 0).mean(axis=-1)
    count = int(array.max(initial=-1)) + 1
    frequent = np.stack([(cells == i).sum(axis=-1) for i in range(max(1, count))]).argmax(axis=0)
    dx, dy = _WIDTH / columns, height / rows
    for row in range(rows):
        column = 0
        while column < columns:
            number, share, begin = int(frequent[row, column]), round(float(used[row, column]), 1), column
            while column < columns and (int(frequent[row, column]), round(float(used[row, column]), 1)) == (
                number,
                share,
            ):
                column += 1
            if share:
                yield (
                    f'<rect x="{begin * dx:.1f}" y="{top + row * dy:.1f}" width="{(column - begin) * dx:.1f}" '
                    f'height="{dy + 0.2:.1f}" fill="{_colour(number)}" fill-opacity="{share:g}"/>'
                )
