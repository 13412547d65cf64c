"""`hxtorch doctor`: what it finds in order, and that it finds what is not."""

import json
import os
from importlib.metadata import PackageNotFoundError

import pytest
import torch

from hxtorch.cli import doctor, main
from hxtorch.cli.doctor import environment, trial
from hxtorch.cli.doctor.finding import Finding, Status


def test_this_installation_is_healthy(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("Everything works.\n")
    for name in ("Python", "torch", "cache of calibrations", "threads of the twin", "self-test: virtual chip"):
        assert f"{name}: " in out


def test_quick_as_json(capsys):
    assert main(["doctor", "--quick", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is True
    names = [item["name"] for item in report["findings"]]
    assert "Python" in names and not any(name.startswith("self-test") for name in names)


def test_a_failure_is_said_and_exits_with_one(monkeypatch, capsys):
    bad = Finding("Python", Status.FAILED, "2.7", "Use a newer one.")
    monkeypatch.setattr("hxtorch.cli.commands.doctor.check_python", lambda: bad)
    assert main(["doctor", "--quick"]) == 1
    out = capsys.readouterr().out
    assert "FAIL  Python: 2.7\n      Use a newer one.\n" in out
    assert "1 of " in out


def by_name(findings):
    return {finding.name: finding for finding in findings}


def test_missing_and_unfitting_packages(monkeypatch):
    needs = ["there>=2", "absent>=1", "old>=3", "other; python_version < '3'", "spare>=1; extra == 'more'"]
    versions = {"there": "2.1", "old": "2.9"}

    def version(name):
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(environment, "requires", lambda name: needs)
    monkeypatch.setattr(environment, "version", version)
    found = by_name(doctor.check_packages())
    assert found["there"] == Finding("there", Status.OK, "2.1")
    assert found["absent"].status == found["old"].status == Status.FAILED
    assert "pip install 'absent>=1'" in found["absent"].advice
    assert found["optional parts"].found == "without more"
    assert set(found) == {"there", "absent", "old", "optional parts"}


def test_packages_that_are_not_installed_at_all():
    (finding,) = doctor.check_packages("hxtorch-of-another-world")
    assert finding.status is Status.FAILED


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("HXTORCH_CACHE_DIR", str(file))  # no folder can be made below a file
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "new"))
    found = by_name(doctor.check_caches())
    assert found["cache of calibrations"].status is Status.NOTE
    assert "HXTORCH_CACHE_DIR" in found["cache of calibrations"].advice
    assert found["cache of kernels"].status is Status.OK


def test_a_full_disk(monkeypatch):
    monkeypatch.setattr(environment, "LEAST_FREE_MB", 1e12)
    assert {finding.status for finding in doctor.check_caches()} == {Status.NOTE}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs CPU affinities")
def test_threads(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    for threads, status in ((8, Status.OK), (2, Status.NOTE), (16, Status.NOTE)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert by_name(doctor.check_threads())["threads of torch"].status is status


@pytest.mark.parametrize("broken", ["_model", "_chip", "_training"])
def test_the_self_test_reports_what_breaks(monkeypatch, broken):
    def fail():
        raise ZeroDivisionError("broken")

    for name in ("_model", "_chip", "_training"):
        monkeypatch.setattr(trial, name, fail if name == broken else lambda: ("", "fine"))
    found = list(trial.self_test())
    assert [finding.status for finding in found].count(Status.FAILED) == 1
    assert any("ZeroDivisionError: broken" in finding.found for finding in found)


def test_the_self_test_sees_a_wrong_result(monkeypatch):
    monkeypatch.setattr(trial, "MODEL_SPIKES", [1, 2])
    assert next(trial.self_test()).status is Status.FAILED
