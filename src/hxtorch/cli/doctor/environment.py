"""Checks of what hxtorch stands on: interpreter, packages, folders, threads."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from hxtorch._kernels.cache import kernels_folder
from hxtorch.calibration.cache import cache_folder
from hxtorch.cli.doctor.finding import Finding, Status
from hxtorch.twin import get_num_threads

OLDEST_PYTHON = (3, 11)
LEAST_FREE_MB = 200
"""Compiled kernels and some calibrations take a few MB; below this a disk is about to be full."""


def check_python() -> Finding:
    """Whether this interpreter is new enough."""
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("Python", Status.FAILED, found, "Use Python 3.11 or newer.")
    return Finding("Python", Status.OK, found)


def check_packages(name: str = "hxtorch") -> Iterator[Finding]:
    """Whether the packages that `name` needs are there in fitting versions; optional ones are noted."""
    try:
        needed = [Requirement(text) for text in requires(name) or ()]
    except PackageNotFoundError:
        yield Finding("packages", Status.FAILED, f"{name} is not installed", f"Install it: pip install {name}")
        return
    for requirement in needed:
        optional = requirement.marker is not None and "extra" in str(requirement.marker)
        if requirement.marker is not None and not optional and not requirement.marker.evaluate():
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            if not optional:
                advice = f"Install it: pip install '{requirement.name}{requirement.specifier}'"
                yield Finding(requirement.name, Status.FAILED, "not installed", advice)
            continue
        if requirement.specifier.contains(found, prereleases=True):
            if not optional:
                yield Finding(requirement.name, Status.OK, found)
        else:
            status = Status.NOTE if optional else Status.FAILED
            advice = f"pip install '{requirement.name}{requirement.specifier}'"
            yield Finding(requirement.name, status, f"{found}, expected {requirement.specifier}", advice)
    missing = sorted(_missing_extras(needed))
    if missing:
        advice = f"pip install '{name}[{','.join(missing)}]' if you want them"
        yield Finding("optional parts", Status.NOTE, f"without {', '.join(missing)}", advice)


def _missing_extras(needed: list[Requirement]) -> set[str]:
    """Names of extras of which a package is not installed."""
    missing = set()
    for requirement in needed:
        match = re.search(r"extra == ['\"]([\w-]+)['\"]", str(requirement.marker or ""))
        if match:
            try:
                version(requirement.name)
            except PackageNotFoundError:
                missing.add(match[1])
    return missing


def check_caches() -> Iterator[Finding]:
    """Whether the folders for calibrations and compiled kernels can be written, and how full the disk is."""
    for name, folder, variable in (
        ("cache of calibrations", cache_folder(), "HXTORCH_CACHE_DIR"),
        ("cache of kernels", kernels_folder(), "NUMBA_CACHE_DIR"),
    ):
        yield _check_folder(name, folder, variable)


def _check_folder(name: str, folder: Path, variable: str) -> Finding:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding(
            name,
            Status.NOTE,
            f"{folder} cannot be written ({error.strerror})",
            f"Everything works, but is computed anew in every process. Set {variable} to a folder of yours.",
        )
    files = [item for item in folder.rglob("*") if item.is_file()]
    size = sum(item.stat().st_size for item in files) / 1e6
    found = f"{folder}, {len(files)} files, {size:.1f} MB"
    free = shutil.disk_usage(folder).free / 1e6
    if free < LEAST_FREE_MB:
        return Finding(name, Status.NOTE, f"{found}; {free:.0f} MB free", "The disk is almost full.")
    return Finding(name, Status.OK, found)


def check_threads() -> Iterator[Finding]:
    """Whether the twin and torch use as many threads as there are CPUs, not more."""
    import torch

    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name, threads, advice in (
        ("threads of the twin", get_num_threads(), "hxtorch.twin.set_num_threads"),
        ("threads of torch", torch.get_num_threads(), "torch.set_num_threads or OMP_NUM_THREADS"),
    ):
        found = f"{threads} for {cpus} CPUs"
        if threads > cpus:
            yield Finding(name, Status.NOTE, found, f"More threads than CPUs slow down. Set {advice}.")
        elif threads < cpus:
            yield Finding(name, Status.NOTE, found, f"Some CPUs are idle; {advice} sets the number.")
        else:
            yield Finding(name, Status.OK, found)
