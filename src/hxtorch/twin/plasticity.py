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
from hxtorch.twin import process as p
from hxtorch.twin.config import PlasticityConfig
from hxtorch.twin.die import Die

Array = NDArray[np.float32]


class Plasticity(NamedTuple):
    """Per driver (256,): voltages in codes, `rate` of recovery per step, efficacy ``offset - slope * voltage``."""

    recover: Array
    charge: Array
    utilization: Array
    rate: Array
    offset: Array
    slope: Array


def plasticity_parameters(config: PlasticityConfig, die: Die, h: float) -> Plasticity:
    """Translate the registers of the drivers for steps of `h` µs."""
    chosen = config.voltage_set.astype(np.int64)
    span = p.STP_SPAN.value * config.i_ramp / p.STP_RAMP_REFERENCE.value
    full = p.STP_FULL_CODE.value + config.v_stp - p.STP_STP_REFERENCE.value
    trim = p.STP_OFFSET_SLOPE.value * (config.offset.astype(float) - 8) + die.stp_offset
    time = p.STP_RECOVERY.value * 2.0 ** (config.clock_scale - 8) * 9 / (1.0 + config.recovery)
    values = (
        np.asarray(config.v_recover)[chosen],
        np.asarray(config.v_charge)[chosen],
        p.STP_UTILIZATION.value * config.utilization,
        h / time,
        (full / span + trim) * die.stp_gain,
        die.stp_gain / span,
    )
    return Plasticity(*(np.ascontiguousarray(value, dtype=np.float32).reshape(-1) for value in values))


def no_plasticity() -> Plasticity:
    """Return what the kernel gets where no driver has plasticity."""
    return Plasticity(*(np.zeros(0, dtype=np.float32) for _ in range(6)))


@inner_kernel()
def efficacy(plasticity, state, driver, time):  # type: ignore[no-untyped-def]
    """Efficacy of a driver for an event at `time` (steps); `state` (2, 256) keeps voltages and last times."""
    recover = plasticity.recover[driver]
    passed = np.float32(time) - state[1, driver]
    voltage = recover + (state[0, driver] - recover) * math.exp(-passed * plasticity.rate[driver])
    value = plasticity.offset[driver] - plasticity.slope[driver] * voltage
    state[0, driver] = voltage + plasticity.utilization[driver] * (plasticity.charge[driver] - voltage)
    state[1, driver] = np.float32(time)
    return np.float32(min(max(value, np.float32(0)), np.float32(1)))
