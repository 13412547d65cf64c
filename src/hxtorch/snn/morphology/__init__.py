"""How neurons lie on the chip: their shapes, their places, and the registers of their circuits."""

from hxtorch.snn.morphology.morphology import Block, Morphology, Places, SingleCompartmentNeuron

__all__ = ["Block", "Morphology", "Places", "SingleCompartmentNeuron"]
