"""docs/chip.md: what cites it finds its section, and its numbers are those of the code."""

import re
from dataclasses import fields
from fractions import Fraction
from pathlib import Path

import pytest

from hxtorch.calibration import CalibrationTarget
from hxtorch.calibration.report import CADC_LIMIT, RATE_BAND, RATE_LIMIT, RATIO_LIMITS, SUCCESS_LIMIT
from hxtorch.calibration.targets import RANGES
from hxtorch.twin import Noise
from hxtorch.twin.pattern import process
from hxtorch.twin.places import coordinates

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "chip.md").read_text(encoding="utf-8")
SECTIONS = set(re.findall(r"^###? (\d+(?:\.\d+)?) ", PAGE, re.MULTILINE))
WITH_CITATIONS = sorted(
    path
    for folder, kind in (("src", "*.py"), ("tests", "*.py"), ("benchmarks", "*.py"), ("docs", "*.md"))
    for path in (ROOT / folder).rglob(kind)
    if path not in (Path(__file__), ROOT / "docs" / "chip.md")
)
# "chip.md 4.5, 9.4", also over the end of a line; not a link or a path
CITATION = re.compile(r"(?<!\]\()(?<![\[/])\bchip\.md\b((?: ?(?:,|and)? ?\d+\.\d+)*)")
VALUE = re.compile(r"`([A-Z][A-Z_a-z.]+)` (-?[\d.e-]+(?:/\d+)?) \(([DMIE])\)")


def citations(path):
    text = re.sub(r"\"?\s*\n\s*(?:#|f?\")?\s*", " ", path.read_text(encoding="utf-8"))
    return [re.findall(r"\d+\.\d+", numbers) for numbers in CITATION.findall(text)]


CITING = [path for path in WITH_CITATIONS if citations(path)]


@pytest.mark.parametrize("path", CITING, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_citations_name_sections_of_the_page(path):
    for sections in citations(path):
        assert sections, f"{path} cites chip.md without a section"
        assert set(sections) <= SECTIONS, f"{path} cites chip.md {sections}"


def test_citations_are_found():
    """Guards the test itself."""
    assert len(CITING) >= 20
    assert sum(len(citations(path)) for path in CITING) >= 30


def shown_values():
    """Name, value and mark of everything that the page says to be in the code."""
    return [(name, float(Fraction(value)), mark) for name, value, mark in VALUE.findall(PAGE)]


def test_constants_of_the_twin_are_on_the_page_as_they_are():
    facts = process.facts()
    shown = {name: (value, mark) for name, value, mark in shown_values() if name in facts}
    assert shown == {name: (pytest.approx(fact.value, rel=1e-3), fact.mark) for name, fact in facts.items()}


def test_noise_is_on_the_page_as_it_is():
    shown = [(name, value, mark) for name, value, mark in shown_values() if name.startswith("Noise.")]
    assert {name for name, _, _ in shown} == {f"Noise.{item.name}" for item in fields(Noise)}
    for name, value, mark in shown:
        field = name.removeprefix("Noise.")
        assert value == getattr(Noise(), field), name
        said = re.search(rf"`{field}`[^()]*\(([^)]*)\)", Noise.__doc__)
        assert mark in said[1], f"{name} has the mark {mark}, its docstring says {said[1]}"


def test_counts_are_on_the_page_as_they_are():
    others = [item for item in shown_values() if item[0] not in process.facts() and "." not in item[0]]
    assert len(others) >= 14
    for name, value, _ in others:
        assert value == getattr(coordinates, name), name


def test_every_name_with_a_number_is_looked_at():
    assert len(re.findall(r"`[A-Z_]{3,}` ", PAGE)) == len(
        [name for name, _, _ in shown_values() if not name.startswith("Noise.")]
    )


def table(section):
    """Rows of the first table of a section, without its head."""
    text = PAGE.split(f"### {section} ")[1].split("\n### ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return rows[2:]


def numbers(cell):
    return tuple(float(number) for number in cell.split(" to "))


def test_ranges_of_targets_are_those_of_the_code():
    shown = {row[0]: row[1:] for row in table("6.1")}
    assert set(shown) == set(RANGES)
    for name, (default, warned, hard, unit) in shown.items():
        assert numbers(warned) == RANGES[name].warned, name
        assert numbers(hard) == pytest.approx(RANGES[name].hard), name
        assert unit == RANGES[name].unit
        value = getattr(CalibrationTarget(), name)
        assert default == "none" if value is None else float(default) == value


def test_limits_of_calibrations_are_those_of_the_code():
    assert {row[0]: float(row[1]) for row in table("4.3")} == RATIO_LIMITS
    text = " ".join(PAGE.split("### 4.3 ")[1].split("### 4.4")[0].split())
    low, high = RATE_BAND
    assert f"spread below {CADC_LIMIT:g} LSB" in text
    assert f"{RATE_LIMIT:.0%}".replace("%", " %") in text
    assert f"within {100 * low:g} and +{100 * high:g} % of" in text
    assert f"More than {100 * SUCCESS_LIMIT:g} % of the neurons succeed" in PAGE
