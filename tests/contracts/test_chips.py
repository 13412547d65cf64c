"""The virtual chip keeps the contract that any chip has to keep."""

from __future__ import annotations

from hxtorch.testing import ChipContract
from hxtorch.twin import Die, Noise, VirtualChip

IDEAL, PLAIN, OTHER = Die.ideal(), Die.from_seed(66), Die.from_seed(1)


class TestIdealChip(ChipContract):
    noisy = False

    def make_chip(self):
        return VirtualChip(IDEAL, Noise.off())


class TestChip(ChipContract):
    def make_chip(self):
        return VirtualChip(PLAIN)


class TestManyCircuitsOfAQuietChip(ChipContract):
    """A die with its fixed pattern, but no noise: programs of another size, in other steps."""

    noisy = False
    circuits = tuple(range(5, 512, 13))

    def make_chip(self):
        return VirtualChip(OTHER, Noise.off(), step=1.0)
