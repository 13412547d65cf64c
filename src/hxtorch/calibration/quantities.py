"""What a calibration tunes, quantity by quantity: how closely a circuit has to meet it, in which unit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """A quantity of circuits.

    * `unit`: of its residuals, "LSB", "code" or "" for relative ones.
    * `tolerance`: residual up to which a circuit succeeds.
    * `spread_ratio`: largest ratio of the spreads after and before that the vendor's tests accept (chip.md 4.3).
    * `surveyed`: whether it is measured once more when all is calibrated.
    """

    unit: str = ""
    tolerance: float = float("inf")
    spread_ratio: float | None = None
    surveyed: bool = False


QUANTITIES: dict[str, Quantity] = {
    "cadc": Quantity("LSB", 5.0, surveyed=True),  # a single run knows a channel to about 1 LSB
    "leak": Quantity("LSB", 5.0, 0.3, surveyed=True),  # a single run knows a potential to about 1.3 LSB
    "reset": Quantity("LSB", 5.0, 0.2, surveyed=True),
    # CALIX-T; the peak of a quick rise is a little above the threshold
    "threshold": Quantity("LSB", 8.0, 0.35, surveyed=True),
    # CapMem cells alone move a time constant by 3 % from run to run
    "tau_mem": Quantity(tolerance=0.15, spread_ratio=0.45, surveyed=True),
    "tau_syn_exc": Quantity(tolerance=0.15, spread_ratio=0.2, surveyed=True),
    "tau_syn_inh": Quantity(tolerance=0.15, spread_ratio=0.2, surveyed=True),
    "gain_exc": Quantity(tolerance=0.20, surveyed=True),
    "gain_inh": Quantity(tolerance=0.20, surveyed=True),
    # at the reference gain; the offset current that a code stands for goes with the gain
    "i_shift_exc": Quantity("code", 10.0),
    "i_shift_inh": Quantity("code", 10.0),
    "refractory_time": Quantity(tolerance=0.1),
    "holdoff_time": Quantity(tolerance=0.1),
    "synapse_dac": Quantity(tolerance=0.05),
    "tau_icc": Quantity(tolerance=0.25),
    # of the distance between reversal and reference potential
    "coba_strength_exc": Quantity(tolerance=0.15),
    "coba_strength_inh": Quantity(tolerance=0.15),
    "coba_reference_exc": Quantity("LSB", 10.0),
    "coba_reference_inh": Quantity("LSB", 10.0),
}
