"""Names for the arrays of the chip and of the numerics: what they hold and what their dimensions are.

A name such as `CircuitCodes` stands for an array with its type of numbers and its shape. A type checker sees the
array; the shape is for the reader, and for `tests/test_shapes.py`: if `jaxtyping` has been imported before this
package, the names are its types, with which beartype refuses other shapes at every call. Otherwise they are plain
`typing.Annotated`, which costs nothing, and nothing has to be installed.

Names of tensors are in `hxtorch.snn.shapes`. A dimension is a number or a word that stands for one number within a
call; ``_word`` may differ from array to array, ``*words`` are any number of dimensions.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "F32",
    "I32",
    "I64",
    "U8",
    "Addresses",
    "Array",
    "BatchEntries",
    "Bool",
    "BoolArray",
    "ByteArray",
    "CadcCodes",
    "CadcCounts",
    "CadcTimes",
    "CircuitCodes",
    "CircuitNumbers",
    "CircuitSwitches",
    "Circuits",
    "ColumnWeights",
    "CrossbarNodes",
    "DriverNumbers",
    "DriverSwitches",
    "Events",
    "Float",
    "Float32",
    "Float64",
    "Hemispheres",
    "Int32",
    "Int64",
    "IntArray",
    "LaneStates",
    "MadcCodes",
    "Num",
    "Numbers",
    "QuadrantCodes",
    "RecurrentRows",
    "RowPlaces",
    "Rows",
    "SampleTimes",
    "Shaped",
    "SomeCircuits",
    "SpikeColumns",
    "SpikeCounters",
    "Synapses",
    "TracedStates",
    "UInt8",
    "UInt16",
]

if TYPE_CHECKING or "jaxtyping" not in sys.modules:
    from typing import Annotated as Bool
    from typing import Annotated as Float
    from typing import Annotated as Float32
    from typing import Annotated as Float64
    from typing import Annotated as Int32
    from typing import Annotated as Int64
    from typing import Annotated as Num
    from typing import Annotated as Shaped
    from typing import Annotated as UInt8
    from typing import Annotated as UInt16
else:
    from jaxtyping import Bool, Float, Float32, Float64, Int32, Int64, Num, Shaped, UInt8, UInt16

# Arrays of any shape, by their numbers.
Array = Float64[NDArray[np.float64], "..."]
IntArray = Int64[NDArray[np.int64], "..."]
BoolArray = Bool[NDArray[np.bool_], "..."]
ByteArray = UInt8[NDArray[np.uint8], "..."]
Numbers = Num[NDArray[Any], "..."]  # whole or not
F32 = Float32[NDArray[np.float32], "..."]
I32 = Int32[NDArray[np.int32], "..."]
I64 = Int64[NDArray[np.int64], "..."]
U8 = UInt8[NDArray[np.uint8], "..."]

# Registers of the chip: 512 circuits in 2 hemispheres of 256 columns, 256 rows of synapses, 128 drivers.
CircuitCodes = Float64[NDArray[np.float64], "512"]
CircuitNumbers = Int64[NDArray[np.int64], "512"]
CircuitSwitches = Bool[NDArray[np.bool_], "512"]
QuadrantCodes = Float64[NDArray[np.float64], "4"]
Synapses = UInt8[NDArray[np.uint8], "2 256 256"]  # hemisphere, row, column
Rows = UInt8[NDArray[np.uint8], "2 256"]
DriverNumbers = UInt8[NDArray[np.uint8], "2 128"]
DriverSwitches = Bool[NDArray[np.bool_], "2 128"]
CrossbarNodes = UInt16[NDArray[np.uint16], "20 12"]

# Programs and recordings; samples are counted for themselves in each of them.
Circuits = Int64[NDArray[np.int64], "circuits"]
SomeCircuits = Int64[NDArray[np.int64], "_"]
BatchEntries = Int64[NDArray[np.int64], "entries"]
Addresses = Int64[NDArray[np.int64], "addresses"]
Events = Int64[NDArray[np.int64], "events"]  # one number for each event or spike
CadcCodes = UInt8[NDArray[np.uint8], "batch samples circuits"]
CadcTimes = Float64[NDArray[np.float64], "batch hemispheres samples"]
CadcCounts = Int64[NDArray[np.int64], "batch hemispheres"]
Hemispheres = Int64[NDArray[np.int64], "circuits"]  # to which each circuit belongs
MadcCodes = UInt16[NDArray[np.uint16], "batch samples *circuits"]
SampleTimes = Float64[NDArray[np.float64], "samples"]
TracedStates = Float32[NDArray[np.float32], "entries samples circuits"]
SpikeCounters = Int64[NDArray[np.int64], "batch 512"]

# The numerics: rows are time steps of batch entries, lanes are neurons of batch entries.
RowPlaces = Int64[NDArray[np.int64], "rows"]
SpikeColumns = Int32[NDArray[np.int32], "places"]
ColumnWeights = Float32[NDArray[np.float32], "in padded"]  # transposed, see `products.sums`
RecurrentRows = Float32[NDArray[np.float32], "neuron neuron"]
LaneStates = Float32[NDArray[np.float32], "4 lanes"]
