"""The page around the sections of a report: head, style, navigation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hxtorch._html import escape


@dataclass(frozen=True)
class Section:
    """A part of the report: its anchor, its heading, and ready-made HTML."""

    key: str
    title: str
    content: str


# One column that suits a phone as well as a wide screen; tables and drawings scroll or shrink in their own box.
_STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --ink: #1b1b1f;
  --line: #d9d9de; --soft: #f5f5f7; --link: #00578a; }
@media (prefers-color-scheme: dark) {
  :root { --back: #17191c; --ink: #e8e8e8; --line: #3a3d42; --soft: #1f2226; --link: #7cc0ee; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main, header, footer { max-width: 60rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 0.2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0.6rem; padding-top: 0.8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 0.4rem; overflow-wrap: anywhere; }
a { color: var(--link); }
nav { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; margin: 0.8rem 0; }
table { font-size: 0.93rem; }
svg { max-width: 100%; }
details { margin: 0.4rem 0; }
summary { cursor: pointer; }
.flow { display: flex; flex-wrap: wrap; gap: 0.5rem 1.15rem; align-items: stretch; list-style: none; padding: 0; }
.flow li { border: 1px solid var(--line); background: var(--soft); border-radius: 6px; padding: 0.35rem 0.7rem;
  overflow-wrap: anywhere; max-width: 100%; position: relative; }
.flow small { display: block; opacity: 0.75; }
.flow li:not(:last-child)::after { content: "→"; position: absolute; right: -1.05rem; top: 0.9rem; opacity: 0.6; }
.warnings { padding: 0.7rem 1rem; border-left: 4px solid #d5402b; background: var(--soft);
  list-style: none; margin: 0; }
.warnings li + li { margin-top: 0.4rem; }
.fine { border-color: #009e73; }
footer { margin-top: 2.5rem; padding-bottom: 2rem; font-size: 0.85rem; opacity: 0.75; }
@media print { nav { display: none; } details > * { display: block; } }
"""


def page(title: str, subtitle: str, sections: Sequence[Section], footer: str) -> str:
    """The whole document. Texts are escaped, the content of sections is not."""
    links = "".join(f'<a href="#{escape(item.key)}">{escape(item.title)}</a>' for item in sections)
    body = "".join(
        f'<section id="{escape(item.key)}"><h2>{escape(item.title)}</h2>{item.content}</section>'
        for item in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<header><h1>{escape(title)}</h1><div>{escape(subtitle)}</div><nav>{links}</nav></header>"
        f"<main>{body}</main><footer>{escape(footer)}</footer></body></html>\n"
    )
