"""The tables of docs/performance.md are those of the result file in the repository."""

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_page_shows_the_result_file() -> None:
    spec = importlib.util.spec_from_file_location("training_table", ROOT / "benchmarks" / "training_table.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    report = json.loads((ROOT / "benchmarks" / "results" / "latest.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert module.page_with_table(page, report) == page, "run: python benchmarks/training.py --docs"
    assert len(report["seconds"]) == 6
    assert all(name in page for name in report["seconds"])
