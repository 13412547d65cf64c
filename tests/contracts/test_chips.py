"""The virtual chip keeps the contract that any chip has to keep."""

from __future__ import annotations

from hxtorch.testing import ChipContract
from hxtorch.twin import Die, Noise, VirtualChip


class TestIdealChip(ChipContract):
    noisy = False

    def make_chip(self):
        return VirtualChip(Die.ideal(), Noise.off())


class TestChip(ChipContract):
    def make_chip(self):
        return VirtualChip(Die.from_seed(66))


class TestManyCircuitsOfAQuietChip(ChipContract):
    """A die with its fixed pattern, but no noise: programs of another size, in other steps."""

    noisy = False
    circuits = tuple(range(5, 512, 13))

    def make_chip(self):
        return VirtualChip(Die.from_seed(1), Noise.off(), step=1.0)
