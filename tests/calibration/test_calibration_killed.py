"""A calibration that is killed leaves the old file or the new one, never a part of one."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hxtorch.calibration import CalibrationResult, load, save

SAVE_FOR_EVER = """
import sys
from dataclasses import replace
from hxtorch.calibration import load, save
first = load(sys.argv[1])
second = replace(first, date="second")
print("ready", flush=True)
while True:
    save(second, sys.argv[1])
    save(first, sys.argv[1])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
@pytest.mark.parametrize("delay", [0.0, 0.013, 0.05, 0.21])
def test_killed_while_saving(ideal: CalibrationResult, tmp_path: Path, delay: float) -> None:
    path = tmp_path / "chip.calibration"
    save(replace(ideal, date="first"), path)
    process = subprocess.Popen([sys.executable, "-c", SAVE_FOR_EVER, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(delay)
    process.kill()
    process.wait()
    process.stdout.close()
    assert load(path).date in ("first", "second")


def test_killed_while_calibrating(ideal: CalibrationResult, tmp_path: Path) -> None:
    path = tmp_path / "chip.calibration"
    save(replace(ideal, date="old"), path)
    environment = {**os.environ, "HXTORCH_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "hxtorch.cli", "calibrate", "--chip", "twin:1", "-o", str(path)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1.5)
    process.kill()
    process.wait()
    left = load(path)
    assert left.date == "old" or left.chip_identifier == "twin:1"
    for entry in (tmp_path / "cache").rglob("*.calibration"):
        assert load(entry).chip_identifier == "twin:1"
