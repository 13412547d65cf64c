"""Ranges in which calibrations are known to reach what neurons ask for: targets and parameters both name them."""

from __future__ import annotations

from collections.abc import Mapping

RELIABLE: Mapping[str, tuple[float, float]] = {
    "leak": (50, 160),  # CADC LSB
    "reset": (50, 160),
    "threshold": (50, 220),
    "tau_mem": (0.5, 60),  # µs
    "tau_syn_exc": (0.3, 30),
    "tau_syn_inh": (0.3, 30),
    "i_synin_gm": (30, 800),  # CapMem LSB
    "membrane_capacitance": (0, 63),  # code
    "refractory_time": (0.04, 32),  # µs
    "synapse_dac_bias": (30, 1022),  # CapMem LSB
    "holdoff_time": (0, 4),  # µs
    "e_coba_reference_exc": (60, 160),  # CADC LSB
    "e_coba_reference_inh": (60, 160),
}
