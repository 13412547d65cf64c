from dataclasses import dataclass, replace

import numpy as np
import pytest

from hxtorch.calibration import SPIKING, SPIKING2, CalibrationResult, CalibrationTarget, calibrate
from hxtorch.calibration.state import initial_state
from hxtorch.twin import ChipConfig, CommonConfig, Die, NeuronConfig, Program, Recording, VirtualChip
from hxtorch.twin.circuits import CircuitParameters


class Door:
    """All that a calibration may use of a chip."""

    def __init__(self, chip: VirtualChip) -> None:
        self.__chip = chip
        self.identifier = chip.identifier
        self.nominal = chip.nominal
        self.runs = 0

    def run(self, program: Program, trial_seed: int = 0) -> Recording:
        self.runs += 1
        return self.__chip.run(program, trial_seed)


@dataclass(frozen=True)
class Calibrated:
    """A calibrated chip with the truth about it before and after."""

    chip: VirtualChip
    target: CalibrationTarget
    result: CalibrationResult
    before: CircuitParameters
    after: CircuitParameters


def truth(chip: VirtualChip, neurons: NeuronConfig, common: CommonConfig) -> CircuitParameters:
    enabled = replace(neurons, enable_threshold=np.ones(512, dtype=bool))
    return chip.parameters(ChipConfig(neurons=enabled, common=common))


def calibrated(seed: int, target: CalibrationTarget) -> Calibrated:
    chip = VirtualChip(Die.from_seed(seed))
    result = calibrate(Door(chip), target, progress=False)
    start = initial_state(target)
    before = truth(chip, start.neurons, start.common)
    return Calibrated(chip, target, result, before, truth(chip, result.neurons, result.common))


@pytest.fixture(scope="session", params=[(66, SPIKING), (1, SPIKING2)], ids=["chip 66 spiking", "chip 1 spiking2"])
def case(request: pytest.FixtureRequest) -> Calibrated:
    return calibrated(*request.param)


@pytest.fixture(scope="session")
def ideal() -> CalibrationResult:
    return calibrate(VirtualChip(Die.ideal()))
