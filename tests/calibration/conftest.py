import fcntl
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from hxtorch.calibration import SPIKING, SPIKING2, CalibrationResult, CalibrationTarget, calibrate, load, save
from hxtorch.calibration.state import initial_state
from hxtorch.twin import ChipConfig, CommonConfig, Die, NeuronConfig, Program, Recording, VirtualChip
from hxtorch.twin.circuits import CircuitParameters


class Door:
    """All that a calibration may use of a chip; the chip itself is no attribute of it, under whatever name."""

    def __init__(self, chip: VirtualChip) -> None:
        self.identifier = chip.identifier
        self.nominal = chip.nominal
        self.runs = 0
        self._passed = lambda program, trial_seed: chip.run(program, trial_seed)

    def run(self, program: Program, trial_seed: int = 0) -> Recording:
        self.runs += 1
        return self._passed(program, trial_seed)


class ClosedDoor:
    """A chip in another process, without a name that would tell which: its die is out of reach."""

    identifier = "a chip behind a door"
    nominal = False

    def __init__(self, seed: int) -> None:
        command = [sys.executable, str(Path(__file__).with_name("behind_a_door.py")), str(seed)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, program: Program, trial_seed: int = 0) -> Recording:
        assert self._process.stdin is not None and self._process.stdout is not None
        pickle.dump((program, trial_seed), self._process.stdin)
        self._process.stdin.flush()
        recording = pickle.load(self._process.stdout)
        assert isinstance(recording, Recording)
        return recording

    def close(self) -> None:
        self._process.communicate()


@dataclass(frozen=True)
class Calibrated:
    """A calibrated chip with the truth about it before and after."""

    chip: VirtualChip
    target: CalibrationTarget
    result: CalibrationResult
    before: CircuitParameters
    after: CircuitParameters


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """No other process is in here meanwhile."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def truth(chip: VirtualChip, neurons: NeuronConfig, common: CommonConfig) -> CircuitParameters:
    enabled = replace(neurons, enable_threshold=np.ones(512, dtype=bool))
    return chip.parameters(ChipConfig(neurons=enabled, common=common))


def calibrated(seed: int, target: CalibrationTarget, kept: Path | None = None) -> Calibrated:
    """A chip, calibrated through the door; the result is `kept` in a file for those who ask for it again."""
    chip = VirtualChip(Die.from_seed(seed))
    if kept is not None and kept.exists():
        result = load(kept)
    else:
        result = calibrate(Door(chip), target, progress=False)
        if kept is not None:
            save(result, kept)
    start = initial_state(target)
    before = truth(chip, start.neurons, start.common)
    return Calibrated(chip, target, result, before, truth(chip, result.neurons, result.common))


@pytest.fixture(scope="session", params=[(66, SPIKING), (1, SPIKING2)], ids=["chip 66 spiking", "chip 1 spiking2"])
def case(request: pytest.FixtureRequest, shared_folder: Path) -> Calibrated:
    """Calibrated once in a run, whichever of its workers come to it."""
    seed, target = request.param
    with alone(shared_folder / f"{seed}.lock"):
        return calibrated(seed, target, shared_folder / f"{seed}.calibration")


@pytest.fixture(scope="session")
def through_the_door() -> Iterator[CalibrationResult]:
    """The calibration "spiking" of chip 66, which is in another process."""
    door = ClosedDoor(66)
    yield calibrate(door, SPIKING, progress=False)
    door.close()


@pytest.fixture(scope="session")
def ideal() -> CalibrationResult:
    return calibrate(VirtualChip(Die.ideal()))
