"""The table as text for a terminal and as a page of the documentation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hxtorch.fidelity.measure import GROUPS, Fidelity
from hxtorch.fidelity.row import RowResult
from hxtorch.fidelity.steps import StepRow


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

This page is written by `make fidelity`, the command
`hxtorch fidelity --compare-step 0.25 --markdown docs/fidelity.md`. It measures virtual chips as one measures
silicon: set codes, run, read the CADC, the MADC and the spikes. Nothing looks into the die. Every row compares a
published number with what the same protocol gives on the twin.

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
| [chip.md](chip.md) | the project's sheet of facts about the chip, where it had to estimate |
"""


@dataclass(frozen=True)
class StepComparison:
    """Rows at two steps (µs) of the engine, measured `trials` times on each of the `chips`."""

    rows: tuple[StepRow, ...]
    coarse: float
    fine: float
    chips: tuple[str, ...]
    trials: int

    @property
    def changed(self) -> tuple[StepRow, ...]:
        """Rows that differ by more than their noise."""
        return tuple(row for row in self.rows if not row.unchanged)

    @property
    def largest(self) -> tuple[StepRow, ...]:
        """Rows with a spread, those that differ most in units of it first."""
        noisy = [row for row in self.rows if np.isfinite(row.in_spreads)]
        return tuple(sorted(noisy, key=lambda row: -row.in_spreads))


def steps_summary(steps: StepComparison) -> str:
    """How many rows change with the step, and by how much at most."""
    largest, widest = steps.largest[0], max(steps.rows, key=lambda row: row.in_bands)
    return (
        f"{len(steps.rows) - len(steps.changed)} of {len(steps.rows)} rows are the same with steps of "
        f"{steps.coarse:g} and {steps.fine:g} µs; the largest difference is {largest.in_spreads:.2f} of a row's "
        f"spread over trials ({largest.row.name}) and {100 * widest.in_bands:.1f} % of a band ({widest.row.name})."
    )


def steps_text(steps: StepComparison) -> str:
    """Aligned columns: row, both values, difference in spreads and in bands, verdict."""
    lines: list[tuple[str, ...]] = [
        ("", f"{steps.coarse:g} µs", f"{steps.fine:g} µs", "spread", "in spreads", "in bands", "")
    ]
    lines += [(step_name(row), *step_cells(row), "same" if row.unchanged else "changed") for row in steps.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    table = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
    return f"{table}\n\n{steps_summary(steps)}"


def step_name(row: StepRow) -> str:
    """Name of the row with its unit."""
    return f"{row.row.name} / {row.row.unit}" if row.row.unit else row.row.name


def step_cells(row: StepRow) -> tuple[str, ...]:
    """Values at both steps, spread, difference in units of spread and band."""
    digits = row.row.digits + 1
    spreads = f"{row.in_spreads:.2f}" if np.isfinite(row.in_spreads) else "no spread"
    return (
        f"{row.coarse.mean():.{digits}f}", f"{row.fine.mean():.{digits}f}", f"{row.spread:.{digits}f}", spreads,
        f"{row.in_bands:.3f}",
    )  # fmt: skip


SHOWN = 12  # rows in the table of the page


def _steps_section(steps: StepComparison) -> str:
    lines = [
        "## The engine's step\n",
        "Every row is measured with two steps of the engine, each time with new noise and a new calibration: "
        f"{steps.trials} times on each of the chips {', '.join(steps.chips)}. A row is the same if its means "
        "differ by less than four standard errors (and a hundredth of its band).\n",
        f"**{steps_summary(steps)}**\n",
        f"The {SHOWN} rows that differ most:\n",
        f"| Quantity | {steps.coarse:g} µs | {steps.fine:g} µs | Spread over trials | Difference / spread | "
        "Difference / band |",
        "|---|---|---|---|---|---|",
    ]
    lines += [f"| {step_name(row)} | " + " | ".join(step_cells(row)) + " |" for row in steps.largest[:SHOWN]]
    return "\n".join(lines) + "\n"


def markdown(fidelity: Fidelity, figures: dict[str, str], steps: StepComparison | None = None) -> str:
    """Return the page; `figures` maps names of groups to paths of their pictures."""
    parts = [INTRODUCTION, f"**{summary(fidelity)}** Chips: {', '.join(fidelity.chips)}.\n"]
    if "Overview" in figures:
        parts.append(
            f"![All rows in units of their bands]({figures['Overview']})\n\n*Every row and chip: where the value "
            "lies in its band (grey, from 0 to 1); an arrow at the border means farther out.*\n"
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
    if steps is not None:
        parts.append(_steps_section(steps))
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
