"""Names for the tensors of the model, as `hxtorch.shapes` has them for arrays: what their dimensions are."""

from __future__ import annotations

from torch import Tensor

from hxtorch.shapes import Float, Float32, Num, Shaped

# Signals over time.
TimeBatchNeuron = Float[Tensor, "time batch neuron"]
MeasuredSteps = Shaped[Tensor, "_time batch neuron"]  # of the chip, whose rows may be more or fewer
BatchNeuron = Float[Tensor, "batch neuron"]
StateRows = Float[Tensor, "4 batch neuron"]  # membrane, current, adaptation, remaining refractory steps
EventPropChannels = Float[Tensor, "2 time batch neuron"]  # weighted spikes, and what takes the adjoint back
GridRows = Float[Tensor, "rows batch neuron"]  # of the grid of time steps, one more than steps
MadcTrace = Float[Tensor, "2 samples *batch"]  # times and codes

# Synapses: any number of dimensions in front of the neurons.
Inputs = Num[Tensor, "*rows in"]
Outputs = Float[Tensor, "*rows out"]
Weights = Num[Tensor, "out in"]
Bias = Num[Tensor, "out"]
RecurrentWeights = Float[Tensor, "neuron neuron"]  # to, from
Signals = Num[Tensor, "*time_batch neuron"]
NeuronMask = Shaped[Tensor, "neuron"]
SpikeRows = Float[Tensor, "rows in"]
RowSums = Float[Tensor, "rows out"]  # sums over spikes, or their gradients
ColumnGradients = Float[Tensor, "in out"]
ColumnShares = Float[Tensor, "shares in padded"]

Left = Float[Tensor, "left inner"]
Right = Float[Tensor, "inner right"]
LeftRight = Float[Tensor, "left right"]

# Parameters as the kernels read them: 13 rows of `kernels.layout`, for all lanes, each neuron, or each lane.
PackedParameters = Float32[Tensor, "13 period"]

# Two tensors of one shape, or of one but for their first dimension.
Like = Shaped[Tensor, "*shape"]
Steps = Shaped[Tensor, "time *rest"]
OtherSteps = Shaped[Tensor, "_time *rest"]
