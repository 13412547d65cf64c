"""Checks of an installation: `hxtorch doctor`."""

from hxtorch.cli.doctor.environment import check_caches, check_packages, check_python, check_threads
from hxtorch.cli.doctor.finding import Finding, Status
from hxtorch.cli.doctor.trial import self_test

__all__ = [
    "Finding",
    "Status",
    "check_caches",
    "check_packages",
    "check_python",
    "check_threads",
    "self_test",
]
