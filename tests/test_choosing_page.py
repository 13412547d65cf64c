"""docs/choosing.md invents nothing: numbers of a row stand on the page that it links to."""

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
    measured, _, link = cells[-1].rpartition("([")
    page = LINK.search(link)[1]
    known = set(NUMBER.findall((DOCS / page).read_text(encoding="utf-8")))
    said = set(NUMBER.findall(measured))
    assert said <= known, f"not on {page}: {sorted(said - known)}"


def test_most_rows_have_numbers():
    assert sum(bool(NUMBER.search(cells[-1].rpartition("([")[0])) for cells in rows()) >= 15
