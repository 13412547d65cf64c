"""The tables of docs/performance.md, from the result file of `training.py`."""

from __future__ import annotations

from typing import Any

BEGIN, END = "<!-- from benchmarks/results/latest.json -->", "<!-- end -->"
OTHERS = ("plain torch", "norse", "snntorch", "spikingjelly", "sinabs")


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    ms = 1e3 * seconds
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.3g}" if ms >= 0.1 else f"{ms:.2f}"


def table(report: dict[str, Any]) -> str:
    """Times, ratios, first products and memory."""
    ways = ["hxtorch", "kernels", *OTHERS, "torch.compile", "limit", "traffic"]
    names = {"kernels": "its kernels", "limit": "dense products", "traffic": "memory traffic"}
    head = [names.get(way, way) for way in ways]
    lines = [
        f"| network | {' | '.join(head)} | fastest other / hxtorch | hxtorch / dense products |",
        "|---" * (len(ways) + 3) + "|",
    ]
    for name, row in report["seconds"].items():
        fastest = min(row[way] for way in OTHERS if way in row)
        ours = row["hxtorch"]
        cells = " | ".join(_ms(row.get(way)) for way in ways)
        lines.append(f"| {name} | {cells} | {fastest / ours:.1f} | {ours / row['limit']:.2f} |")
    lines += ["", "Memory that training steps need on top of the libraries, MiB, in a process of its own:", ""]
    ways = ["hxtorch", *OTHERS]
    lines += [f"| network | {' | '.join(ways)} |", "|---" * (len(ways) + 1) + "|"]
    for name, peak in report["peak"].items():
        cells = " | ".join(f"{peak[way] / 2**20:.0f}" if way in peak else "-" for way in ways)
        lines.append(f"| {name} | {cells} |")
    lines += ["", "The forward product of the first layer alone, ms:", ""]
    kinds = ["dense float32", "from spikes", "dense int8"]
    lines += [f"| network | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    for name, row in report["products"].items():
        lines.append(f"| {name} | {' | '.join(_ms(row[kind]) for kind in kinds)} |")
    return "\n".join(lines)


def page_with_table(page: str, report: dict[str, Any]) -> str:
    """Return the text of the page with the tables between its marks replaced."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table(report)}\n\n{END}{rest.split(END, 1)[1]}"
