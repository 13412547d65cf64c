"""Neurons and synapses with the gradient of EventProp (see `hxtorch.snn.functional.integrators.eventprop`)."""

from __future__ import annotations

from hxtorch.snn import functional as F
from hxtorch.snn.handles.handle import NeuronHandle, SynapseHandle
from hxtorch.snn.modules.aelif import LIF
from hxtorch.snn.modules.neuron import Neuron
from hxtorch.snn.modules.synapse import Synapse
from hxtorch.snn.recording.observables import NeuronData, neuron_data


class EventPropSynapse(Synapse):
    """Synapses in front of `EventPropLIF`: `graded_spikes` (2, T, B, out) carry a channel for the adjoint."""

    def forward_func(self, input: NeuronHandle) -> SynapseHandle:
        """Weighted sum of the `spikes` (T, B, in), stacked with zeros."""
        given = input.peek("spikes")
        assert given is not None
        spikes = F.carried(given).operand().to(self.weight)
        # A copy of the weights: they may change before backward.
        product = F.EventPropSynapseFunction.apply(spikes, self.weight.clone(), None)  # type: ignore[no-untyped-call]
        return SynapseHandle(product)


class EventPropLIF(LIF):
    """`LIF` with the gradient of EventProp; reads exactly one `EventPropSynapse`.

    The model has c = tau_mem and no refractory period. Its gradient reaches the input alone, no parameters.

    `smallest_slope`: None, or what the slope of the membrane at a spike counts as at least in the gradient, in
    units of threshold - leak per tau_mem. Spikes that hardly reached the threshold have gradients without limit
    otherwise (see `hxtorch.snn.functional.EventPropLIFFunction`).
    """

    smallest_slope: float | None = None
    model_use = Neuron.model_use  # neither capacitance nor refractory period

    def forward_func(self, *input: SynapseHandle, hw_data: NeuronData | None = None) -> NeuronHandle:
        """Integrate the input (2, T, B, size); spikes and membrane of the chip are passed through."""
        if len(input) != 1:
            raise ValueError(f"{type(self).__name__} reads exactly one synapse, got {len(input)}.")
        x = input[0].graded_spikes
        if x is None or x.ndim != 4:
            raise ValueError(
                f"{type(self).__name__} reads what an EventPropSynapse gives, (2, time, batch, neuron)."
            )
        measured = neuron_data(hw_data)
        data = None if measured.spikes is None else measured
        names = ("leak", "reset", "threshold", "tau_syn", "tau_mem")
        values = [self.model(name, x) for name in names]
        spikes, membrane, current = F.EventPropLIFFunction.apply(  # type: ignore[no-untyped-call]
            x, *values, data, self.dt, self.smallest_slope
        )
        handle = NeuronHandle()
        shown = F.CarriedSpikes(spikes), None if current is None else F.Carried(current)
        for item in shown:
            if item is not None:
                item.keep()  # backward has saved it
        handle.put(shown[0], membrane, shown[1], measured.madc)
        return handle
