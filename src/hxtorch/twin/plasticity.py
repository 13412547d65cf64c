"""Door of an older path: `circuits.plasticity` translates codes, `engine.plasticity` weakens events."""

from hxtorch.twin.circuits.plasticity import plasticity_parameters
from hxtorch.twin.engine.plasticity import Array, Plasticity, efficacy, no_plasticity

__all__ = ["Array", "Plasticity", "efficacy", "no_plasticity", "plasticity_parameters"]
