"""What the site does with pages: formulas as MathML, figures and tables that suit small and dark screens.

Formulas become MathML when the site is built: browsers show it without loading anything. Figures know their size,
so that nothing jumps while a page loads, and open at full size when touched; where `name-narrow.png` lies beside
`name.png`, a phone gets that one. Cells with much text keep a width at which they can be read; names in code may
be broken at their dots and underscores; what was printed as a table keeps its columns.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_IMAGE = re.compile(r'<img alt="([^"]*)" src="([^"]*)"\s*/?>')
_CELL = re.compile(r"<td([^>]*)>(.*?)</td>", re.DOTALL)
WIDE_TABLES = ("fidelity.md", "results.md", "performance.md")  # get the room of the table of contents
_NAME = re.compile(r"(?<!<span></span>)<code>([^<]*)</code>")  # not that of a whole block
_BREAKABLE = re.compile(r"([._/(])(?=[a-zA-Z])")
_OUTPUT = re.compile(r'<div class="language-text highlight">(.*?)</div>', re.DOTALL)
_COLUMNS = re.compile(r"^\S.*\S {3,}\S.*\S {3,}\S", re.MULTILINE)
WIDE_FIGURE, LARGE_FIGURE = 1.4, 1100  # width over height, or pixels, beyond which a phone scrolls a figure
LONG_CELL, SOME_TEXT, NUMBER, LONG_NAME = 90, 24, 14, 30  # letters


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace ``$$...$$`` and ``$...$`` outside of code; give pages with wide tables their room."""
    if page.file.src_uri in WIDE_TABLES:
        page.meta["hide"] = ["toc"]
    parts = _CODE.split(markdown)
    parts[::2] = [_formulas(part) for part in parts[::2]]
    return "".join(parts)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Dress figures and long cells of tables."""
    folder = Path(page.file.abs_src_path).parent
    html = _IMAGE.sub(lambda match: _figure(folder, match[1], match[2]), html)
    html = _CELL.sub(lambda match: f"<td{match[1]}{_width(match[2])}>{match[2]}</td>", html)
    html = _OUTPUT.sub(_printed, html)
    html = _NAME.sub(_name, html)
    return f'<div class="wide-tables">{html}</div>' if page.file.src_uri in WIDE_TABLES else html


def _name(match: re.Match[str]) -> str:
    """Code within a sentence, with places to break it if it is too long for a phone."""
    text = match[1] if len(match[1]) <= LONG_NAME else _BREAKABLE.sub(r"\1<wbr>", match[1])
    return f"<code>{text}</code>"


def _printed(match: re.Match[str]) -> str:
    """A block of what an example prints, marked if it has columns."""
    kind = "columns " if _COLUMNS.search(re.sub(r"<[^>]*>", "", match[1])) else ""
    return f'<div class="language-text {kind}highlight">{match[1]}</div>'


def _formulas(text: str) -> str:
    text = re.sub(
        r"\$\$(.+?)\$\$",
        lambda match: f'<div class="formula">{convert(match[1].strip(), display="block")}</div>',
        text,
        flags=re.DOTALL,
    )
    return re.sub(r"(?<![\\\w])\$([^$\n]+?)\$(?!\w)", lambda match: f"<span>{convert(match[1])}</span>", text)


def _figure(folder: Path, alt: str, source: str) -> str:
    """A figure that links to itself; sources are relative to the folder of the page."""
    path = folder / source
    if path.suffix != ".png" or not path.exists():
        return f'<img alt="{alt}" src="{source}">'
    width, height = _size(path)
    image = f'<img alt="{alt}" src="{source}" width="{width}" height="{height}">'
    narrow = path.with_name(f"{path.stem}-narrow.png")
    kind = "figure"
    if narrow.exists():
        other = source.removesuffix(".png") + "-narrow.png"
        w, h = _size(narrow)
        phone = f'<source media="(max-width: 600px)" srcset="{other}" width="{w}" height="{h}">'
        image = f"<picture>{phone}{image}</picture>"
    elif width > WIDE_FIGURE * height or width > LARGE_FIGURE:
        kind += " wide"
    return f'<a class="{kind}" href="{source}">{image}</a>'


def _size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG in pixels, from its header."""
    with path.open("rb") as file:
        width, height = struct.unpack(">II", file.read(24)[16:])
    return width, height


def _width(cell: str) -> str:
    length = len(re.sub(r"<[^>]*>", "", cell))
    for kind, least in (("long", LONG_CELL), ("some", SOME_TEXT)):
        if length > least:
            return f' class="{kind}"'
    return ' class="short"' if 0 < length <= NUMBER else ""
