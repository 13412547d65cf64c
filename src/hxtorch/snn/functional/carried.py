"""Door to `memory.carried` by its old path; the package has a function of the same name."""

from hxtorch.snn.functional.memory.carried import Carried, Fill, blank, carried, part_of

__all__ = ["Carried", "Fill", "blank", "carried", "part_of"]
