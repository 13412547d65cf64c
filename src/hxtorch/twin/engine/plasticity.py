"""Short-term plasticity of the synapse drivers (chip.md 3.4).

Every driver keeps a voltage. It recovers exponentially to `v_recover`; each event that the driver passes takes the
part `utilization` of the way to `v_charge`. The pulse that the synapses see is the longer the lower the voltage
is: the efficacy, 0 to 1, multiplies the charge. Efficacy 1 is the charge of a driver without plasticity.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import inner_kernel

Array = NDArray[np.float32]


class Plasticity(NamedTuple):
    """Per driver (256,): voltages in codes, `rate` of recovery per step, efficacy ``offset - slope * voltage``."""

    recover: Array
    charge: Array
    utilization: Array
    rate: Array
    offset: Array
    slope: Array


def no_plasticity() -> Plasticity:
    """Return what the kernel gets where no driver has plasticity."""
    return Plasticity(*(np.zeros(0, dtype=np.float32) for _ in range(6)))


@inner_kernel()
def efficacy(plasticity: Plasticity, state: Array, driver: int, time: float | np.float32) -> np.float32:
    """Efficacy of a driver for an event at `time` (steps); `state` (2, 256) keeps voltages and last times."""
    recover = plasticity.recover[driver]
    passed = np.float32(time) - state[1, driver]
    voltage = recover + (state[0, driver] - recover) * math.exp(-passed * plasticity.rate[driver])
    value = plasticity.offset[driver] - plasticity.slope[driver] * voltage
    state[0, driver] = voltage + plasticity.utilization[driver] * (plasticity.charge[driver] - voltage)
    state[1, driver] = np.float32(time)
    return np.float32(min(max(value, np.float32(0)), np.float32(1)))
