"""Tables and notes. All texts are escaped here, so callers pass plain text."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

_TABLE = "border-collapse:collapse;border:0;color:inherit;font-size:inherit;margin:0.3em 0"
_CELL = "padding:0.15em 0.9em 0.15em 0;text-align:left;vertical-align:top;border:0"


def escape(text: object) -> str:
    """`text` as it is safe to stand in HTML."""
    return html.escape(str(text))


def facts(title: str, values: Mapping[str, object], below: str = "") -> str:
    """A heading, names with their values, and ready-made HTML below."""
    return f'<div style="line-height:1.35"><strong>{escape(title)}</strong>{table(values.items())}{below}</div>'


def table(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> str:
    """A plain table; it scrolls sideways where the page is too narrow."""
    head = "".join(f'<th style="{_CELL};opacity:0.65;font-weight:normal">{escape(name)}</th>' for name in header)
    cells = (
        f'<td style="{_CELL}">' + f'</td><td style="{_CELL}">'.join(map(escape, row)) + "</td>" for row in rows
    )
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    head = f"<thead><tr>{head}</tr></thead>" if head else ""
    return f'<div style="overflow-x:auto"><table style="{_TABLE}">{head}<tbody>{body}</tbody></table></div>'


def details(summary: str, content: str, open: bool = False) -> str:
    """Ready-made HTML that unfolds below a line of text."""
    start = '<details open="">' if open else "<details>"
    return f"{start}<summary>{escape(summary)}</summary>{content}</details>"


def note(text: str) -> str:
    """A paragraph of small text."""
    return f'<p style="opacity:0.75;margin:0.3em 0;font-size:0.9em">{escape(text)}</p>'
