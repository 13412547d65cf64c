"""`hxtorch doctor`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict

from hxtorch.cli.command import FAILED, OK, Command, add_json, as_json
from hxtorch.cli.doctor import (
    Finding,
    Status,
    check_caches,
    check_packages,
    check_python,
    check_threads,
    self_test,
)

_MARKS = {Status.OK: "ok  ", Status.NOTE: "note", Status.FAILED: "FAIL"}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="leave the self-test out")
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    findings = []
    for finding in _findings(options.quick):
        findings.append(finding)
        if not options.json:
            print(f"{_MARKS[finding.status]}  {finding.name}: {finding.found}", flush=True)
            if finding.advice:
                print(f"      {finding.advice}")
    failed = [finding for finding in findings if finding.status is Status.FAILED]
    if options.json:
        print(as_json({"healthy": not failed, "findings": [asdict(finding) for finding in findings]}))
    else:
        print(f"\n{len(failed)} of {len(findings)} checks failed." if failed else "\nEverything works.")
    return FAILED if failed else OK


def _findings(quick: bool) -> Iterator[Finding]:
    yield check_python()
    yield from check_packages()
    yield from check_caches()
    yield from check_threads()
    if not quick:
        yield from self_test()


COMMAND = Command(
    name="doctor",
    help="check the installation, with a self-test of some seconds",
    add_arguments=_arguments,
    run=_run,
    description="Check Python, the installed packages, the folders of the caches, the number of threads, and\n"
    "run a self-test: a neuron in the model and on the virtual chip, and a short training with the chip\n"
    "in the loop. The very first one also compiles kernels and calibrates the chip.",
    examples=("hxtorch doctor", "hxtorch doctor --quick --json"),
)
