"""The process a die is drawn from: every number of the twin, with its source and how sure it is.

Marks: D documented, M measured from public data, I inferred by arithmetic from those, E estimate. Sources
are the tags of the fact sheet: CUBE66 is the published calibration of one real chip (Cramer et al. 2022),
DEMO the published demo notebooks and their figures, CALIX and HALDLS the vendor's calibration and register
descriptions, CRAMER22 the paper itself.

Voltages are in CADC LSB (about 4.5 mV), times in µs, codes are CapMem LSB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Fact:
    """A number with its unit, its mark (D, M, I or E) and where it comes from."""

    value: float
    unit: str
    mark: Literal["D", "M", "I", "E"]
    source: str


# --- Translation of codes: value = target + slope * (code - code at target) ---------------------------------

POTENTIAL_ANCHOR = Fact(80.0, "CADC LSB", "M", "target of leak and reset in CUBE66")
LEAK_CODE = Fact(629.0, "code", "M", "mean v_leak code for 80 LSB in CUBE66 (source-follower drop included)")
LEAK_SLOPE = Fact(0.333, "LSB/code", "I", "0.79 / 0.99 of the threshold's slope, DEMO fp_calibration")
RESET_CODE = Fact(625.0, "code", "M", "mean v_reset code for 80 LSB in CUBE66")
RESET_SLOPE = Fact(0.370, "LSB/code", "I", "0.88 / 0.99 of the threshold's slope, DEMO fp_calibration")
THRESHOLD_ANCHOR = Fact(150.0, "CADC LSB", "M", "target of the threshold in CUBE66")
THRESHOLD_CODE = Fact(389.0, "code", "M", "mean v_threshold code for 150 LSB in CUBE66")
THRESHOLD_SLOPE = Fact(200 / 480, "LSB/code", "D", "codes 70..550 map to 20..220 LSB, CALIX cadc_calib_target")

LEAK_TIME_CODE = Fact(950.0, "µs code", "M", "tau_mem * i_bias_leak in CUBE66 at full capacitance")
TAU_EXC_CODE = Fact(504.0, "µs code", "M", "tau_syn * i_bias_tau, excitatory, CUBE66")
TAU_INH_CODE = Fact(468.0, "µs code", "M", "tau_syn * i_bias_tau, inhibitory, CUBE66")
RESET_TIME = Fact(0.19, "µs", "M", "reset time constant of a calibrated chip, DEMO superspike figure")
SPIKE_DELAY = Fact(
    0.25, "µs", "E",
    "comparator, from crossing to spike: no spike at 436 MADC LSB but a peak of 440 (DEMO ts_12); effective "
    "threshold 5 % up for rises of 10-20 LSB/µs (DELGRAD)",
)  # fmt: skip
RESET_TIME_RAW = Fact(
    1.95, "µs", "I", "uncalibrated chip: 1.77 µs seen with a leak of 18 µs beside it (M), DEMO ts_00, 10 neurons"
)  # fmt: skip
CASCODE_CODE = Fact(
    250.0, "code", "D", "v_bias_casc_n of a calibrated chip, CALIX. That this of the shared cells makes the "
    "difference "
    "between both reset times, and the course in between, is an estimate (E)",
)  # fmt: skip
RESET_TIME_CODE = Fact(1012.0, "code", "M", "i_bias_reset in CUBE66")
OFFSET_CURRENT = Fact(0.02, "LSB/µs/code", "E", "constant current at full capacitance")

CAPACITANCE_FULL = Fact(2.2, "pF", "D", "membrane capacitance at code 63, CALIX")
CAPACITANCE_INTRINSIC = Fact(0.1, "pF", "I", "limits of CALIX's test with joined circuits")

SWITCH_FACTOR = Fact(8.0, "", "D", "multiplication and division of leak and reset bias, chip.md 2.2")
HIGH_RESISTANCE = Fact(
    6.0, "", "E", "longer tau_syn: reaches the documented 30 µs and more with codes that resolve it"
)
SMALL_CAPACITANCE = Fact(4.0, "", "E", "shorter tau_syn and larger jumps of the line")
OFFSET_LINEAR = Fact(800.0, "code", "D", "the constant current is linear up to here, CALIX")

# --- AdEx terms: no public translation of these codes ---------------------------------------------------------

EXP_WIDTH = Fact(8.0, "CADC LSB", "E", "Delta_T at the reference bias, about 36 mV")
EXP_REFERENCE = Fact(500.0, "code", "E", "reference i_bias_exp; it sets mainly Delta_T (DEMO cns_03)")
EXP_CURRENT = Fact(0.8, "LSB/µs", "E", "g_l Delta_T at tau_mem 10 µs: current at the onset potential")
ADAPT_TIME_CODE = Fact(5000.0, "µs code", "E", "time constants of 5 to 500 µs over the codes")
ADAPT_A_SLOPE = Fact(2e-4, "1/µs/code", "E", "a equals the leak of tau_mem 10 µs at code 500")
ADAPT_B_SLOPE = Fact(
    0.002, "LSB/µs/code", "E", "current per spike at the reference pulse; 10 LSB at rest for code 500"
)
ADAPT_PULSE_REFERENCE = Fact(4.0, "", "E", "adaptation_pulse_scale to which the slope belongs")
ADAPT_READOUT_SLOPE = Fact(20.0, "LSB per LSB/µs", "E", "readout of the adaptation state per unit of its current")
COBA_SLOPE = Fact(
    2e-5, "1/LSB/code", "E", "reversal potentials of 300 and 30 LSB (CALIX-T coba) at codes 263 and 625"
)

# --- Compartments ---------------------------------------------------------------------------------------------

ICC_TIME_CODE = Fact(500.0, "µs code", "E", "tau_icc of 1 µs at the default bias; range 0.1..30 µs (CALIX)")
ICC_FACTOR = Fact(4.0, "", "D", "multiplication and division of the inter-compartment bias, HALDLS")

# --- CapMem: a cell does not hold its code exactly, and its error changes when the codes around it change ----
# (crosstalk and refresh, chip.md 4.6). Sized so that a calibration leaves the residuals of chip.md 9.3.

CAPMEM_VOLTAGE_ERROR = Fact(2.2, "code", "E", "residual leak and reset of about 1.2 LSB after calibration")
CAPMEM_THRESHOLD_ERROR = Fact(2.8, "code", "E", "residual threshold of 1.5-2 LSB")
CAPMEM_LEAK_BIAS_ERROR = Fact(0.027, "relative", "E", "residual tau_mem of 4 %")
CAPMEM_TAU_BIAS_ERROR = Fact(0.021, "relative", "E", "residual tau_syn of 3 %")
CAPMEM_GAIN_BIAS_ERROR = Fact(0.012, "relative", "M", "residual gain of 3-4 %, DEMO ts_06")

# --- Synaptic input -----------------------------------------------------------------------------------------

SYNAPSE_DRIVE = Fact(
    0.0832, "LSB/µs per weight LSB", "I",
    "PSP peak of 0.30 LSB per weight LSB at tau 10/10 µs, DAC 600, gm 500 (0.28 to 0.32, DEMO ts_06, ts_12)",
)  # fmt: skip
DAC_REFERENCE = Fact(600.0, "code", "D", "default synapse DAC bias, CALIX")
DAC_EXPONENT = Fact(
    1.68,
    "",
    "E",
    "charge grows faster than the DAC bias: joins the amplitudes at DAC 600 (0.30) and 1000 (0.42)",
)
GM_REFERENCE = Fact(500.0, "code", "D", "default i_synin_gm, CALIX")
OTA_SATURATION = Fact(500.0, "weight LSB at DAC 600", "E", "linear to 288 (DEMO ts_06), estimate 400..600")
INPUT_OFFSET_SLOPE = Fact(0.013, "LSB/µs/code", "E", "rest shift of 10-20 LSB for 115 codes at tau_mem 10 µs")
SHIFT_CODE_EXC = Fact(314.0, "code", "M", "mean i_shift_reference, excitatory, CUBE66")
SHIFT_CODE_INH = Fact(294.0, "code", "M", "mean i_shift_reference, inhibitory, CUBE66")
LINE_READOUT_REST = Fact(180.0, "CADC LSB", "E", "readout of an idle synaptic input line")
LINE_READOUT_SLOPE = Fact(8.0, "LSB per LSB/µs", "E", "fall of the line's readout per unit of drive")

# --- Short-term plasticity: an event moves a driver's voltage towards v_charge, and it recovers to v_recover ----

STP_FULL_CODE = Fact(500.0, "code", "E", "voltage of no efficacy at v_stp 180: with the vendor's sets, 0.2 to 0.9")
STP_SPAN = Fact(500.0, "code", "E", "codes from none to full pulse length at i_ramp 600")
STP_STP_REFERENCE = Fact(180.0, "code", "D", "default v_stp, CALIX stp_calib_target")
STP_RAMP_REFERENCE = Fact(600.0, "code", "D", "default i_ramp, CALIX stp_calib_target")
STP_UTILIZATION = Fact(0.025, "per LSB", "D", "an event uses about 0.2 at mid setting, HALDLS synapse_driver")
STP_RECOVERY = Fact(20.0, "µs", "E", "recovery at register 8 and clock scale 8; longer registers recover faster")
STP_OFFSET_SLOPE = Fact(
    0.03, "per LSB", "E", "efficacy per LSB of the 4-bit offset, covers the spread before calibration"
)

# --- Limits of the membrane ---------------------------------------------------------------------------------

FLOOR = Fact(
    0.0, "CADC LSB", "E", "where the CADC clips; with FLOOR_WIDTH, -128 MADC LSB at weight -288 (DEMO ts_06)"
)
FLOOR_WIDTH = Fact(
    80.0, "CADC LSB", "I", "inhibition is 0.83 to 1 of excitation at small weights, 0.57 at 288, DEMO ts_06"
)
CEILING = Fact(235.0, "CADC LSB", "I", "upper boundary of +100 signed LSB, dynamic_range.boundary")
CEILING_WIDTH = Fact(12.0, "CADC LSB", "E", "soft compression below the ceiling")

# --- Time ---------------------------------------------------------------------------------------------------

CHIP_CLOCK = Fact(250.0, "MHz", "D", "HALDLS pll defaults")
INPUT_LATENCY = Fact(0.4, "µs", "M", "onset of PSPs on the MADC, DEMO ts_12 figure")
SPIKE_LATENCY = Fact(0.08, "µs", "D", "chip stamp behind the spike, JAXSNN")
ONCHIP_LATENCY = Fact(0.05, "µs", "E", "neuron to crossbar to synapse, a few cycles")

# --- The link off the chip (`hxtorch.twin.engine.link`) ---------------------------------------------------------

LINK_CYCLES = Fact(2.0, "8 ns", "E", "62.5 MEvent/s; a quarter of what 5 Gbit/s and 20 bits per event allow")
LINK_BUFFER = Fact(
    260.0, "events", "I", "of 512 neurons that fire simultaneously at least 250 arrive (PYNN, GREN tests, D)"
)
LINK_BUSY_LOSS = Fact(0.02, "", "D", "typical spike loss under load, PYNN")

# --- Readout ------------------------------------------------------------------------------------------------

CADC_PERIOD = Fact(1.7, "µs", "D", "CRAMER22, sampling into SRAM")
CADC_PERIOD_DRAM = Fact(6.0, "µs", "D", "grenade, sampling into DRAM")
CADC_EARLINESS = Fact(1.0, "µs", "M", "stamps lie before the sample, DEMO ts_12 figure; hence cadc_time_shift=-1")
CADC_SRAM_SAMPLES = Fact(100, "samples", "D", "grenade, SRAM buffer")
CADC_DRAM_SAMPLES = Fact(204_800, "samples", "D", "grenade, DRAM buffer")
CADC_RAMP_OFFSET_CODE = Fact(31.0, "code", "M", "mean ramp offset, CUBE66")
CADC_RAMP_OFFSET_SLOPE = Fact(200 / 480, "LSB/code", "E", "as a CapMem voltage")
CADC_RAMP_SLOPE_CODE = Fact(369.0, "code", "M", "mean ramp slope, CUBE66")
MADC_PERIOD = Fact(17 / 500, "µs", "D", "500 MHz / (12 + 5), HALDLS")
MADC_SAMPLES = Fact(65_535, "samples", "D", "HALDLS")
MADC_AT_ANCHOR = Fact(305.0, "MADC LSB", "M", "code at 80 CADC LSB, DEMO ts_12 figure")
MADC_SLOPE = Fact(2.85, "MADC per CADC LSB", "M", "2.88 (DEMO ts_12) and 2.75 (superspike figure)")

# --- Fixed pattern before calibration: standard deviations ---------------------------------------------------

LEAK_SPREAD = Fact(34.0, "code", "M", "within quadrants, CUBE66")
RESET_SPREAD = Fact(34.0, "code", "M", "within quadrants, CUBE66")
THRESHOLD_SPREAD = Fact(14.0, "code", "M", "within quadrants, CUBE66")
LEAK_QUADRANT_SPREAD = Fact(22.0, "code", "M", "four quadrant means, CUBE66")
RESET_QUADRANT_SPREAD = Fact(26.0, "code", "M", "four quadrant means, CUBE66")
THRESHOLD_QUADRANT_SPREAD = Fact(12.0, "code", "M", "four quadrant means, CUBE66")
LEAK_RESET_CORRELATION = Fact(0.61, "", "M", "CUBE66")
LEAK_THRESHOLD_CORRELATION = Fact(0.21, "", "M", "CUBE66")
LEAK_CONDUCTANCE_CORRELATION = Fact(0.25, "", "M", "codes v_leak and i_bias_leak have -0.25, CUBE66")
SHIFT_GAIN_CORRELATION = Fact(
    0.33, "", "I", "codes i_shift and i_bias_gm, excitatory, have -0.28 (M), CUBE66; measuring blurs it"
)
RESET_THRESHOLD_CORRELATION = Fact(0.28, "", "M", "CUBE66")

LEAK_CONDUCTANCE_SPREAD = Fact(0.126, "log", "M", "i_bias_leak, CUBE66")
LEAK_CONDUCTANCE_QUADRANT_SPREAD = Fact(0.06, "log", "M", "CUBE66")
TAU_SYN_SPREAD = Fact(0.20, "log", "M", "i_bias_tau within quadrants, CUBE66")
TAU_SYN_QUADRANT_SPREAD = Fact(0.19, "log", "M", "CUBE66")
GAIN_SPREAD = Fact(
    0.053, "log", "I", "i_bias_gm within quadrants, 5.97 and 5.39 %, CUBE66 (M), 2 % of it from measuring"
)
GAIN_QUADRANT_SPREAD = Fact(0.27, "log", "M", "between the quadrants of a chip, CUBE66, partly the synapse DAC")
SYNAPSE_DAC_SPREAD = Fact(
    0.032, "", "I", "codes 987, 1021, 947, 974 near 1000 among the common cells of the four quadrants, CUBE66"
)
GAIN_CHIP_SPREAD = Fact(0.06, "log", "E", "between chips: published weight scales lie between 50 and 66")
GAIN_CORRELATION = Fact(0.42, "", "M", "excitatory and inhibitory gain of a neuron, CUBE66")
GAIN_INH_RATIO = Fact(0.9, "", "M", "inhibitory inputs need 10 % more bias, CUBE66")
SHIFT_SPREAD = Fact(115.0, "code", "M", "i_shift_reference, CUBE66")
EXP_ONSET_SPREAD = Fact(14.0, "code", "E", "as the threshold, whose voltage has no follower either")
EXP_CURRENT_SPREAD = Fact(0.25, "log", "E", "transistor in weak inversion: an offset of a fifth of its width")
ADAPT_LEAK_SPREAD = Fact(14.0, "code", "E", "as the threshold")
ADAPT_TIME_SPREAD = Fact(0.20, "log", "E", "as the synaptic time constants")
ADAPT_GAIN_SPREAD = Fact(0.10, "log", "E", "as the leak conductance")
COBA_SPREAD = Fact(14.0, "code", "E", "as the threshold")
ICC_SPREAD = Fact(0.13, "log", "E", "as the leak conductance")
STP_OFFSET_SPREAD = Fact(0.1, "", "E", "efficacy before offset calibration, chip.md 9.2")
STP_GAIN_SPREAD = Fact(0.02, "log", "E", "as without plasticity")
RESET_TIME_SPREAD = Fact(0.05, "log", "M", "DEMO ts_00")
SYNAPSE_SPREAD = Fact(0.05, "log", "E", "no public number for single synapses")
DRIVER_SPREAD = Fact(0.02, "log", "E", "short-term plasticity off, CALIX calls it minimal")
CADC_CHANNEL_SPREAD = Fact(9.95, "LSB", "M", "1024 channels, CUBE66")
CADC_GAIN_SPREAD = Fact(0.04, "", "M", "ramp slopes of the quadrants, CUBE66")
CADC_RAMP_OFFSET_SPREAD = Fact(7.0, "code", "M", "ramp offsets of the quadrants, CUBE66")
MADC_OFFSET_SPREAD = Fact(2.0, "MADC LSB", "E", "one MADC per chip")


# --- Slow changes (`hxtorch.twin.pattern.ageing`), off by default ----------------------------------------------

DRIFT_POTENTIAL = Fact(0.4, "CADC LSB", "E", "per parameter and day; labs calibrate every night (DEMO, PYNN)")
DRIFT_GAIN = Fact(0.005, "log", "E", "gains and time constants, per day")
TEMPERATURE_GAIN = Fact(-0.003, "log/K", "E", "gain falls from 40 to 90 °C (SUMM, D), by how much is not published")
TEMPERATURE_SPREAD = Fact(0.2, "", "E", "of a circuit's part in it; the common part dominates (SUMM)")
TEMPERATURE_POTENTIAL = Fact(0.02, "CADC LSB/K", "E", "how potentials of equal codes move apart")
TEMPERATURE_LIMIT = Fact(60.0, "K", "E", "range of the estimates")


def facts() -> dict[str, Fact]:
    """All facts of this module by name, for tables and documentation."""
    return {name: value for name, value in globals().items() if isinstance(value, Fact)}
