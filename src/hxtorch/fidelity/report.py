"""The table as text for a terminal and as a page of the documentation."""

from __future__ import annotations

from hxtorch.fidelity.measure import GROUPS, Fidelity
from hxtorch.fidelity.row import RowResult


def text(fidelity: Fidelity) -> str:
    """Aligned columns: row, published value, band, twin's mean and spread, verdict."""
    lines = [("", "published", "band", "twin", "chips", "")]
    for result in fidelity.rows:
        row = result.row
        name = f"{row.name} ({row.unit})" if row.unit else row.name
        lines.append(
            (
                name,
                f"{_short(row.published)} [{row.mark}]",
                row.band,
                _value(result),
                _count(result),
                result.verdict,
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(6)]
    table = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
    return f"{table}\n\n{summary(fidelity)}"


def summary(fidelity: Fidelity) -> str:
    """One sentence: how many rows pass, and on how many chips all do."""
    rows, chips = len(fidelity.rows), len(fidelity.chips)
    return (
        f"{rows - len(fidelity.failed)} of {rows} rows pass; all rows lie in their bands on "
        f"{fidelity.whole_chips} of {chips} chip{'s' if chips > 1 else ''}."
    )


def _short(published: str) -> str:
    return published if len(published) <= 32 else published[:31] + "…"


def _value(result: RowResult) -> str:
    digits = result.row.digits
    spread = f" ± {result.spread:.{digits}f}" if result.values.size > 1 else ""
    return f"{result.value:.{digits}f}{spread}"


def _count(result: RowResult) -> str:
    return f"{result.passed}/{result.values.size}"


INTRODUCTION = """# How the twin measures up

This page is written by `make fidelity` (the command `hxtorch fidelity --markdown docs/fidelity.md`). It measures
virtual chips as one measures silicon: set codes, run, read the CADC, the MADC and the spikes. Nothing looks into
the die. Every row compares a published number with what the same protocol gives on the twin.

* **Published**: the value with its source. Sources are the tags explained below. The mark says how sure it is:
  D documented, M measured on a chip, I inferred by arithmetic from those, **E an estimate** that waits for
  better data.
* **Band**: where the value of a chip has to lie. The last column says where the band comes from, and which
  source is followed where they disagree.
* **Twin**: mean and standard deviation over the chips; *chips*: how many of them lie in the band. A row passes if
  nine of ten do.
"""

SOURCES = """## Sources

| Tag | What it is |
|---|---|
| CALIX, CALIX-T | the vendor's calibration software, and the acceptance limits of its hardware tests |
| HALDLS, GREN (grenade), PYNN | the vendor's register descriptions, execution layer and PyNN front end |
| DEMO-x | the published demo notebooks, text or figure of notebook x |
| HXT | tests and documentation of the original hxtorch |
| CUBE66 | published calibration of one real chip (with Cramer et al., PNAS 119(4), 2022) |
| CRAMER22, STROBE | that paper, and its code |
| DELGRAD | configurations of Göltz et al., Nat. Commun. 2025 |
| JAXSNN | jaxsnn, examples for the chip |
| chip.md | the project's sheet of facts about the chip, where it had to estimate |
"""


def markdown(fidelity: Fidelity, figures: dict[str, str]) -> str:
    """Return the page; `figures` maps names of groups to paths of their pictures."""
    parts = [INTRODUCTION, f"**{summary(fidelity)}** Chips: {', '.join(fidelity.chips)}.\n"]
    if "Overview" in figures:
        parts.append(
            f"![All rows in units of their bands]({figures['Overview']})\n\n*Every row and chip: where the value "
            f"lies in "
            "its band (grey, from 0 to 1).*\n"
        )
    for group, protocols in GROUPS.items():
        measured = [item for item in protocols if item.name in fidelity.results]
        if not measured:
            continue
        parts.append(f"## {group}\n")
        for item in measured:
            parts.append(f"{item.how}\n")
            parts.append(_table(fidelity.results[item.name]))
        if group in figures:
            parts.append(f"![{group}]({figures[group]})\n")
    parts.append(SOURCES)
    return "\n".join(parts)


def _table(results: tuple[RowResult, ...]) -> str:
    lines = [
        "| Quantity | Published | Source | Band | Twin | Chips | Verdict | Why this band |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        row = result.row
        name = f"{row.name} / {row.unit}" if row.unit else row.name
        mark = f"**{row.mark}**" if row.mark == "E" else row.mark
        cells = (
            name, f"{row.published} ({mark})", row.source, row.band, _value(result), _count(result),
            result.verdict, row.why
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
