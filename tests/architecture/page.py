"""The drawings in docs/architecture.md: blocks between comments, written here and compared by the tests."""

from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"


def _bounds(text, name):
    begin = text.index(f"<!-- {name} -->") + len(f"<!-- {name} -->")
    return begin, text.index("<!-- end -->", begin)


def block(drawing):
    return f"\n```text\n{drawing}\n```\n"


def drawn(name):
    """What the page shows now."""
    text = PAGE.read_text(encoding="utf-8")
    begin, end = _bounds(text, name)
    return text[begin:end]


def write(name, drawing):
    text = PAGE.read_text(encoding="utf-8")
    begin, end = _bounds(text, name)
    PAGE.write_text(text[:begin] + block(drawing) + text[end:], encoding="utf-8")
