"""Run thousands of random sequences, or look for the first failing one of each kind.

    python tests/properties/run_many.py --sequences 20000 --twin 2000 --processes 2 --out result.json
    PYTHONPATH=/another/src python tests/properties/run_many.py --find
    python tests/properties/run_many.py --replay "Sequence(nets=(...), actions=(...))"

The result is JSON: versions, seeds, how many sequences contained what kind, and every failing sequence in a form
that --replay takes. The exit status is 1 if one failed (with --find: if a kind was not found).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(Path(__file__).parent))

from sequences import description
from sequences.description import KINDS, Sequence, contains
from sequences.draw import chip_sequences, sequences
from sequences.runner import Outcome, kinds_of, play, smaller

CHUNK = 100  # sequences that one process draws at a time
SHOWN = 20  # failing sequences that are made smaller and kept


@dataclass
class Tally:
    """What came of many sequences."""

    counts: Counter[str] = field(default_factory=Counter)
    containing: Counter[str] = field(default_factory=Counter)
    faults: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add what came of others."""
        self.counts += other.counts
        self.containing += other.containing
        self.faults += other.faults

    def note(self, sequence: Sequence, outcome: Outcome) -> None:
        """Count one sequence."""
        self.counts["sequences"] += 1
        self.counts["on the twin"] += bool(sequence.chip)
        self.counts["actions"] += len(sequence.actions)
        self.counts["given up for rounding"] += outcome.flip
        self.counts += outcome.counts
        self.containing.update(f"kind {kind}" for kind in KINDS if contains(sequence, kind))
        if outcome.fault is not None:
            self.counts["failed"] += 1
            self.faults.append({"fault": outcome.fault, "sequence": repr(sequence)})


class Found(Exception):
    """Ends the drawing of sequences."""


def draw(strategy: Any, count: int, number: int, use: Callable[[Sequence], None]) -> None:
    """Give `count` random sequences to `use`; the same ones for the same `number`."""

    @seed(number)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(sequence: Sequence) -> None:
        use(sequence)

    each()


def chunk(number: int, count: int, twin: bool) -> Tally:
    """Draw and run some sequences: all kinds mixed, or in turn one kind alone."""
    torch.set_num_threads(1)
    tally = Tally()
    if twin:
        strategy = chip_sequences()
    else:
        strategy = sequences((0, 0, 0, *KINDS)[number % (3 + len(KINDS))])
    draw(strategy, count, number, lambda sequence: tally.note(sequence, play(sequence)))
    return tally


def run_all(count: int, twin: int, processes: int, first: int) -> Tally:
    """Run `count` sequences, `twin` of them on the virtual chip."""
    plan = [(min(CHUNK, count - twin - done), False) for done in range(0, count - twin, CHUNK)]
    plan += [(min(CHUNK, twin - done), True) for done in range(0, twin, CHUNK)]
    tally, began = Tally(), time.time()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(chunk, first + n, size, on_twin) for n, (size, on_twin) in enumerate(plan)]
        for job in as_completed(jobs):
            tally.add(job.result())
            done = tally.counts["sequences"]
            print(f"{done} sequences, {tally.counts['failed']} failed, {time.time() - began:.0f} s", flush=True)
    for fault in tally.faults[:SHOWN]:
        short = smaller(eval_sequence(fault["sequence"]))
        fault |= {"smaller": repr(short), "kinds": kinds_of(short)}
        print(f'{fault["fault"]}\n    --replay "{short}"', flush=True)
    return tally


def find(kind: int, limit: int, first: int) -> dict[str, Any]:
    """Draw sequences of one kind until one fails, and passes without what belongs to the kind."""
    seen, began = Counter[str](), time.time()
    result: dict[str, Any] = {"kind": kind, "found after": None}

    def use(sequence: Sequence) -> None:
        seen["all"] += 1
        outcome = play(sequence)
        if outcome.fault is None:
            return
        seen["failed"] += 1
        short = smaller(sequence)
        kinds = kinds_of(short)
        if kind in kinds:
            again = play(short)
            result.update(
                {"found after": seen["all"], "fault": again.fault, "kinds": kinds, "sequence": repr(short)}
            )
            raise Found

    with suppress(Found):
        draw(sequences(kind, pure=True), limit, first, use)
    return result | {"sequences": seen["all"], "seconds": round(time.time() - began, 1)}


def find_mixed(limit: int, first: int) -> dict[str, int]:
    """Draw sequences of all kinds at once: after how many of them each kind was found."""
    found: dict[str, int] = {}
    seen = Counter[str]()

    def use(sequence: Sequence) -> None:
        seen["all"] += 1
        if play(sequence).fault is not None:
            for kind in kinds_of(smaller(sequence)):
                if str(kind) not in found:
                    found[str(kind)] = seen["all"]
                    print(f"mixed: kind {kind} found after {seen['all']} sequences", flush=True)
        if len(found) == len(KINDS):
            raise Found

    with suppress(Found):
        draw(sequences(), limit, first, use)
    return found


def eval_sequence(text: str) -> Sequence:
    """The sequence that was printed as `text`."""
    made = eval(text, {"__builtins__": {}}, dict(vars(description)))
    assert isinstance(made, Sequence)
    return made


def versions() -> dict[str, str]:
    """What ran: commit of the package's source, torch, hypothesis."""
    import hypothesis

    import hxtorch

    folder = Path(hxtorch.__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True).stdout.strip()

    return {
        "package": str(folder),
        "commit": git("rev-parse", "HEAD"),
        "changed files": git("status", "--short", "."),
        "torch": torch.__version__,
        "hypothesis": hypothesis.__version__,
        "python": sys.version.split()[0],
    }


def main() -> int:
    """Read the command line, run, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=1000, help="how many, those on the twin included")
    parser.add_argument("--twin", type=int, default=0, help="how many of them on the virtual chip")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where the result is written as JSON")
    parser.add_argument("--find", action="store_true", help="after how many sequences is each kind found?")
    parser.add_argument("--replay", help="run one sequence, as it was printed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.time()
    result: dict[str, Any] = {"versions": versions(), "seed": options.seed}
    if options.replay:
        outcome = play(eval_sequence(options.replay))
        print(outcome.fault or "right")
        return int(outcome.fault is not None)
    if options.find:
        result["kinds"] = [find(kind, options.sequences, options.seed) for kind in KINDS]
        for item in result["kinds"]:
            print(json.dumps(item), flush=True)
        result["mixed"] = find_mixed(options.sequences, options.seed)
        failed = any(item["found after"] is None for item in result["kinds"])
    else:
        tally = run_all(options.sequences, options.twin, options.processes, options.seed)
        result |= {"counts": tally.counts, "containing": tally.containing, "faults": tally.faults}
        failed = bool(tally.faults)
    result["seconds"] = round(time.time() - began, 1)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    else:
        print(json.dumps({key: value for key, value in result.items() if key != "faults"}, indent=1))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
