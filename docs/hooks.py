"""Formulas of the pages become MathML when the site is built: browsers show it without loading anything."""

from __future__ import annotations

import re
from typing import Any

from latex2mathml.converter import convert

_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace ``$$...$$`` and ``$...$`` outside of code."""
    parts = _CODE.split(markdown)
    parts[::2] = [_formulas(part) for part in parts[::2]]
    return "".join(parts)


def _formulas(text: str) -> str:
    text = re.sub(
        r"\$\$(.+?)\$\$",
        lambda match: f'<div class="formula">{convert(match[1].strip(), display="block")}</div>',
        text,
        flags=re.DOTALL,
    )
    return re.sub(r"(?<![\\\w])\$([^$\n]+?)\$(?!\w)", lambda match: f"<span>{convert(match[1])}</span>", text)
