"""docs/choosing.md invents nothing: numbers of a row stand on the page that the row names."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
LINK = re.compile(r"\]\((\w+\.md)")
NUMBER = re.compile(r"(?<![a-z\d.,])\d+(?:,\d{3})*(?:\.\d+)?(?![\d.]*\w)")


def rows():
    for line in (DOCS / "choosing.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and LINK.search(cells[-1]):
            yield cells


@pytest.mark.parametrize("cells", list(rows()), ids=lambda cells: cells[0])
def test_numbers_are_those_of_the_page(cells):
    *_, measured, source = cells
    known = set(NUMBER.findall((DOCS / LINK.search(source)[1]).read_text(encoding="utf-8")))
    said = NUMBER.findall(measured)
    assert set(said) <= known, f"not on {source}: {sorted(set(said) - known)}"


def test_most_rows_have_numbers():
    assert sum(bool(NUMBER.search(cells[-2])) for cells in rows()) >= 15
