"""The virtual chip: takes a `Program`, gives a `Recording`, like the real one."""

from __future__ import annotations

from typing import Protocol

from hxtorch.twin.circuits import CircuitParameters
from hxtorch.twin.die import Die
from hxtorch.twin.emulation.emulator import DEFAULT_STEP as DEFAULT_STEP
from hxtorch.twin.emulation.emulator import STIFF_PARTS as STIFF_PARTS
from hxtorch.twin.emulation.emulator import Emulator
from hxtorch.twin.pattern.noise import Noise
from hxtorch.twin.program import Program, Recording
from hxtorch.twin.program.config import ChipConfig

DEFAULT_CHIP_SEED = 13  # its first neuron resembles that of the published introduction


class Chip(Protocol):
    """What the rest of the library knows of a chip: a name, and that it runs programs."""

    @property
    def identifier(self) -> str:
        """Name of this chip; calibrations belong to it."""
        ...

    @property
    def nominal(self) -> bool:
        """Whether the chip is the mathematical model, whose nominal translation of codes is exact."""
        ...

    def run(self, program: Program, trial_seed: int = 0) -> Recording:
        """Emulate a program."""
        ...


class VirtualChip:
    """A BrainScaleS-2 chip in software: one `die` with temporal `noise`.

    `step` is the integration step in µs; results depend on it to second order only. The same program with
    the same `trial_seed` gives the same recording, whatever the number of threads.
    """

    def __init__(self, die: Die | None = None, noise: Noise | None = None, step: float = DEFAULT_STEP) -> None:
        if not 0 < step <= 1:
            raise ValueError(f"The integration step is {step} µs, but it lies in (0, 1].")
        self.die = die if die is not None else Die.from_seed(DEFAULT_CHIP_SEED)
        self.noise = noise if noise is not None else Noise()
        self.step = step
        self._emulator = Emulator()

    @property
    def identifier(self) -> str:
        """Name of the die."""
        return self.die.identifier

    @property
    def nominal(self) -> bool:
        """Whether the die is ideal."""
        return self.die.nominal

    def __repr__(self) -> str:
        return f"VirtualChip({self.die.identifier!r})"

    def parameters(self, config: ChipConfig) -> CircuitParameters:
        """Physical parameters of the circuits under `config`: what no real chip would tell."""
        return self._emulator.parameters(config, self.die)

    def run(self, program: Program, trial_seed: int = 0) -> Recording:
        """Emulate `program` and return what it asked to record."""
        return self._emulator.run(program, self.die, self.noise, self.step, trial_seed)


def fingerprint(chip: Chip) -> str:
    """What a calibration of `chip` depends on besides its target; more than a name for a virtual chip.

    Dies of one name may differ (`dataclasses.replace`), and the temporal noise moves what a calibration measures.
    So does the step of the integration, a little.
    """
    if not isinstance(chip, VirtualChip):
        return chip.identifier
    return f"{chip.identifier} {chip.die.fingerprint} {chip.noise} {chip.step}"


def at_usual_step(chip: Chip) -> Chip:
    """The same chip, a virtual one with the default step of its integration."""
    return VirtualChip(chip.die, chip.noise) if isinstance(chip, VirtualChip) else chip
