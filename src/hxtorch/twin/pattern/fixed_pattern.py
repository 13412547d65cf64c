"""The fixed pattern of one chip: how each of its circuits deviates from the nominal design.

A pattern never changes: its arrays are read-only, another chip is another object (`dataclasses.replace`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hxtorch.shapes import Array
from hxtorch.twin.frozen import Frozen
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS, DRIVERS, HEMISPHERES, QUADRANTS, ROWS


@dataclass(frozen=True, eq=False, repr=False)
class FixedPattern(Frozen):
    """Deviations of one chip from the nominal design.

    * `leak_code`, `reset_code`, `threshold_code` (512,): codes by which a voltage cell has to be raised.
    * `leak_conductance` (512,): factor on the leak conductance at a given code; 1 is nominal.
    * `tau_exc`, `tau_inh` (512,): factors on the synaptic time constants at a given code.
    * `gain_exc`, `gain_inh` (512,): factors on the charge-to-current gain of the inputs.
    * `shift_exc`, `shift_inh` (512,): codes by which `i_shift` has to be raised for a zero input current.
    * `reset_time`, `spike_delay` (512,): factors on the reset time constant and the comparator's delay
      (the latter is 1 on drawn chips, for there is no public number).
    * `synapse_dac` (4,): factors on the synapse DAC's bias current of a quadrant.
    * `synapse` (2, 256, 256), `driver` (2, 128): factors on the charge of a synapse and of a driver.
    * `cadc_channel` (512,): offset of the CADC channels in LSB; `cadc_gain`, `cadc_ramp` (4,): per quadrant.
    * `madc_offset`: in MADC LSB.
    * `capmem_error`: strength of the crosstalk between CapMem cells, which makes the value of a cell depend on
      the codes of all others in its block (1 is nominal, 0 switches it off); drawn from `capmem_seed`.
    * `exp_onset_code`, `adapt_leak_code`, `coba_code` (512,): codes by which these voltages have to be raised;
      `exp_current`, `adapt_time`, `adapt_gain`, `icc_conductance` (512,): factors at a given code.
    * `stp_offset`, `stp_gain` (2, 128): offset and factor of the efficacy of a driver with plasticity.
    * `identifier`: names the chip; `nominal` marks a die without any limit of a real circuit.
    """

    identifier: str
    leak_code: Array
    reset_code: Array
    threshold_code: Array
    leak_conductance: Array
    tau_exc: Array
    tau_inh: Array
    gain_exc: Array
    gain_inh: Array
    shift_exc: Array
    shift_inh: Array
    reset_time: Array
    spike_delay: Array
    synapse_dac: Array
    synapse: Array
    driver: Array
    cadc_channel: Array
    cadc_gain: Array
    cadc_ramp: Array
    exp_onset_code: Array
    exp_current: Array
    adapt_leak_code: Array
    adapt_time: Array
    adapt_gain: Array
    coba_code: Array
    icc_conductance: Array
    stp_offset: Array
    stp_gain: Array
    madc_offset: float = 0.0
    capmem_error: float = 0.0
    capmem_seed: int = 0
    nominal: bool = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.identifier!r})"


EFFECTS = tuple(
    name for name in FixedPattern.__dataclass_fields__ if name not in ("identifier", "nominal", "capmem_seed")
)
"""Names of all deviations."""


def nominal_pattern(identifier: str, *, nominal: bool = False) -> FixedPattern:
    """Return a pattern without any deviation; `nominal` also takes away the limits of real circuits."""
    zeros, ones = np.zeros(CIRCUITS), np.ones(CIRCUITS)
    return FixedPattern(
        identifier=identifier,
        leak_code=zeros,
        reset_code=zeros,
        threshold_code=zeros,
        leak_conductance=ones,
        tau_exc=ones,
        tau_inh=ones,
        gain_exc=ones,
        gain_inh=ones,
        shift_exc=zeros,
        shift_inh=zeros,
        reset_time=ones,
        spike_delay=ones,
        synapse_dac=np.ones(QUADRANTS),
        synapse=np.ones((HEMISPHERES, ROWS, COLUMNS)),
        driver=np.ones((HEMISPHERES, DRIVERS)),
        cadc_channel=zeros,
        cadc_gain=np.ones(QUADRANTS),
        cadc_ramp=np.zeros(QUADRANTS),
        exp_onset_code=zeros,
        exp_current=ones,
        adapt_leak_code=zeros,
        adapt_time=ones,
        adapt_gain=ones,
        coba_code=zeros,
        icc_conductance=ones,
        stp_offset=np.zeros((HEMISPHERES, DRIVERS)),
        stp_gain=np.ones((HEMISPHERES, DRIVERS)),
        nominal=nominal,
    )
