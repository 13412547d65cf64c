"""Time and memory of this state of the package beside another one, in processes by turns.

    python benchmarks/compare_trees.py OTHER_CHECKOUT [--turns 5] [--slow-turns 3] [--output FILE]

The six networks of `training.py` (medians of many steps in one process, peak memory in another), the overhead of
`run`, `recompute.py` and `twin_speed.py`. The ratio is that of the smallest medians, this state over the other one.
Other programs on the machine change everything: run it alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
RESULTS = HERE / "benchmarks" / "results" / "compare_trees.json"
STEPS = {"introduction": 600, "yin-yang": 300, "large": 8}
Found = dict[str, float]


def networks() -> Found:
    """Median milliseconds of a training step of every network, in this process."""
    from training_networks import NETWORKS, input_of, with_hxtorch

    found = {}
    for name, network in NETWORKS.items():
        x, step, seconds = input_of(network), with_hxtorch(network), []
        count = STEPS.get(name, 60)
        for number in range(count):
            fresh = x.clone()
            begin = time.perf_counter()
            step(fresh)
            if number >= count // 4:
                seconds.append(time.perf_counter() - begin)
        found[f"{name} (ms)"] = 1e3 * statistics.median(seconds)
    return found


def run(tree: Path, *arguments: str) -> str:
    """What a script of a tree prints, with the package of this tree."""
    environment = os.environ | {"PYTHONPATH": f"{tree / 'src'}:{tree / 'benchmarks'}"}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=tree, capture_output=True, text=True, check=True
    ).stdout


def script(tree: Path, name: str) -> dict[str, dict[str, float]]:
    """The JSON that a benchmark of a tree writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"
        run(tree, str(tree / "benchmarks" / name), "--output", str(path))
        return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def quick(tree: Path) -> Found:
    found: Found = json.loads(run(tree, str(HERE / "benchmarks" / "compare_trees.py"), "--networks"))
    overhead = script(tree, "run_overhead.py")
    return found | {f"run, {kind} (ms)": overhead[kind]["run"] for kind in ("mock", "twin")}


def slow(tree: Path) -> Found:
    lines = run(tree, str(tree / "benchmarks" / "recompute.py"), "--output", os.devnull).splitlines()
    found: Found = {}
    for line, name in zip(lines, ("stored", "in pieces"), strict=False):
        words = line.removeprefix(name).split()
        found |= {f"recompute, {name} (s)": float(words[2]), f"recompute, {name} (MiB)": float(words[0])}
    for name, values in script(tree, "twin_speed.py").items():
        if isinstance(values, dict) and isinstance(values.get("ms_per_sample"), float):
            found[f"twin: {name} (ms per sample)"] = values["ms_per_sample"]
    return found


def peaks(tree: Path, names: list[str]) -> Found:
    training = str(tree / "benchmarks" / "training.py")
    return {f"{n} (MiB)": int(run(tree, training, "--peak", n, "hxtorch").split()[-1]) / 2**20 for n in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("other", type=Path, nargs="?")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--slow-turns", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--networks", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.networks:
        print(json.dumps(networks()))
        return
    trees = {"here": HERE, "other": options.other.resolve()}
    rows: dict[str, dict[str, list[float]]] = {}
    names = [*STEPS, "mnist 30 steps", "mnist 100 steps", "recurrent"]
    for turns, measure in ((options.turns, quick), (options.slow_turns, slow), (3, lambda t: peaks(t, names))):
        for _ in range(turns):
            for tree, path in trees.items():
                for name, value in measure(path).items():
                    rows.setdefault(name, {}).setdefault(tree, []).append(value)
    report = {
        "commits": {
            tree: subprocess.run(
                ["git", "-C", str(path), "rev-parse", "HEAD"], capture_output=True, text=True
            ).stdout.strip()
            for tree, path in trees.items()
        },
        "rows": {n: values | {"ratio": min(values["here"]) / min(values["other"])} for n, values in rows.items()},
    }  # fmt: skip
    for name, values in report["rows"].items():
        print(f"{name:45} {min(values['here']):9.3f} {min(values['other']):9.3f}  ratio {values['ratio']:.3f}")
    options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
