"""Codes of the drivers' short-term plasticity (`hxtorch.twin.engine.plasticity`)."""

from __future__ import annotations

import numpy as np

from hxtorch.twin.engine.plasticity import Plasticity
from hxtorch.twin.pattern import process as p
from hxtorch.twin.pattern.fixed_pattern import FixedPattern
from hxtorch.twin.program.config import PlasticityConfig


def plasticity_parameters(config: PlasticityConfig, die: FixedPattern, h: float) -> Plasticity:
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
