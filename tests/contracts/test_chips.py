"""The virtual chip keeps the contract that any chip has to keep."""

from __future__ import annotations

from hxtorch.testing import ChipContract
from hxtorch.twin import Die, Noise, VirtualChip


class TestIdealChip(ChipContract):
    noisy = False

    def make_chip(self):
        return VirtualChip(Die.ideal(), Noise.off())


class TestIdealDieWithNoise(ChipContract):
    def make_chip(self):
        return VirtualChip(Die.ideal())


class TestChip(ChipContract):
    def make_chip(self):
        return VirtualChip(Die.from_seed(66))


class TestQuietChip(ChipContract):
    """A die with its fixed pattern, but no noise, at a finer step."""

    noisy = False

    def make_chip(self):
        return VirtualChip(Die.from_seed(1), Noise.off(), step=0.25)
