"""Exchange with other simulators in NIR, the neuromorphic intermediate representation."""

from hxtorch.snn.nir.config import ConversionConfig
from hxtorch.snn.nir.data import from_nir_data, to_nir_data
from hxtorch.snn.nir.read import NIRNetwork, from_nir
from hxtorch.snn.nir.write import SNN, to_nir

__all__ = ["SNN", "ConversionConfig", "NIRNetwork", "from_nir", "from_nir_data", "to_nir", "to_nir_data"]
