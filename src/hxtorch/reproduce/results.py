"""Files of results, and the page that is made of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hxtorch._files.whole import write_whole, written_whole

_DPI = 130


@dataclass(frozen=True)
class Result:
    """What a command reached, beside what was published.

    * `values`: test accuracy (0..1) of every seed after the last epoch; `mean`, `std` (of the sample).
    * `goal`: what is to be reached; 0 if there is none. With the name of a `control` it is the difference to the
      mean of that training.
    * `chip`: seed of the virtual chip, None for mock mode; `settings`: of the training.
    * `seconds`: wall time of one seed on the machine that ran it, `cpu_seconds`: what its process spent on all
      cores (0: not measured). The second one tells more where others used the machine too.
    * `command`: what made this file; `calibration`: version of the calibration of its chip (0: not noted, or mock).
    """

    name: str
    title: str
    published: str
    source: str
    goal: float
    mean: float
    std: float
    values: list[float]
    seeds: list[int]
    chip: int | None
    epochs: int
    settings: dict[str, Any]
    seconds: float
    command: str
    control: str = ""
    cpu_seconds: float = 0.0
    calibration: int = 0


def save_result(result: Result, folder: Path, figure: Figure | None = None) -> None:
    """Write ``NAME.json`` and, of a figure, ``NAME.png`` into `folder`; each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    if figure is not None:
        with written_whole(folder / f"{result.name}.png") as part:
            figure.savefig(part, format="png", dpi=_DPI)
    write_whole(folder / f"{result.name}.json", json.dumps(asdict(result), indent=1) + "\n")


def load_results(folder: Path) -> list[Result]:
    """Read all results in a folder, by name. A file that is none: ValueError with its name."""
    results = []
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("kind") == "study":
            continue
        try:
            results.append(Result(**content))
        except TypeError as error:
            raise ValueError(f"{path} is no file of a result: {error}") from error
    return results


def results_page(folder: Path) -> str:
    """Return the page of all results and studies in `folder` as Markdown; links are relative to its parent."""
    lines = [
        "# Results",
        "",
        "Trained with the virtual chip in the loop, calibrated, with its default noise, unless marked otherwise.",
        "Accuracies are those of the test set after the last epoch, as mean ± standard deviation over seeds.",
        "Every number on this page comes from a file that a command wrote; the command stands above the figure.",
        "`hxtorch results` writes the page.",
        "",
        "| Training | Published | Goal | Reached | Seeds | Epochs | Time per seed |",
        "|---|---|---|---|---|---|---|",
    ]
    results = load_results(folder)
    means = {item.name: item.mean for item in results}
    for item in results:
        goal, reached = _goal_and_reached(item, means)
        where = "" if item.chip is not None else " (mock)"
        lines.append(
            f"| [{item.title}]({folder.name}/{item.name}.json){where} | {item.published} ({item.source}) | "
            f"{goal} | {reached} | {len(item.seeds)} | "
            f"{item.epochs} | {_time(item)} |"
        )
    for item in results:
        figure = f"![{item.title}]({folder.name}/{item.name}.png)"
        lines += ["", f"## {item.title}", "", f"`{item.command}`", "", figure]
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("kind") == "study":
            lines += ["", f"## {content['title']}", "", f"`{content['command']}`", ""]
            if content.get("published"):
                lines += [f"Published: {content['published']}.", ""]
            lines += [content["table"], "", f"![{content['title']}]({folder.name}/{path.stem}.png)"]
    return "\n".join(lines) + "\n"


def missing(result: Result, folder: Path) -> float:
    """Return what `result` lacks to its goal, at most 0 if it is reached, with the control in `folder`.

    No result of the control there: FileNotFoundError.
    """
    if not result.control:
        return result.goal - result.mean
    means = {item.name: item.mean for item in load_results(folder)}
    if result.control not in means:
        raise FileNotFoundError(
            f"The goal is a difference to {result.control}, of which {folder} holds no result: run "
            f"`hxtorch reproduce {result.control}` as well."
        )
    return means[result.control] + result.goal - result.mean


def _goal_and_reached(item: Result, means: dict[str, float]) -> tuple[str, str]:
    if not item.control:
        return f"{item.goal:.3f}" if item.goal else "", _spread(item)
    reached = _spread(item)
    if item.control in means:
        reached += f" ({item.mean - means[item.control]:+.4f})"
    return f"`{item.control}` {item.goal:+.3f}", reached


def _time(item: Result) -> str:
    return f"{item.seconds:.0f} s" + (f", CPU {item.cpu_seconds:.0f} s" if item.cpu_seconds else "")


def _spread(item: Result) -> str:
    return f"{item.mean:.4f} ± {item.std:.4f}" if len(item.values) > 1 else f"{item.mean:.4f}"
