"""Memory layout of the engine: circuits as lanes of vector blocks.

Sixteen circuits form a block, the width of one vector register. State and parameters of a block lie
side by side in flat arrays, so that a step of the whole chip streams through a few dozen kilobytes of
cache. The quantity Q of lane k in block b is ``array[b * BLOCK + Q + k]``: the names below are offsets.
Constant offsets let the compiler see that no two rows overlap, without which it would not vectorise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.circuits import CircuitParameters
from hxtorch.twin.noise import Noise

LANES = 16

# Rows of the state ------------------------------------------------------------------------------------------
V = 0 * LANES  # membrane without noise, CADC LSB
NOISE = 1 * LANES  # Ornstein-Uhlenbeck voltage that adds to the membrane
X_EXC = 2 * LANES  # excitatory line, LSB/µs, kept at the middle of the coming step
X_INH = 3 * LANES  # inhibitory line, likewise
DEAD = 4 * LANES  # remaining dead time in steps: from crossing the threshold to the end of the reset
THRESHOLD = 5 * LANES  # threshold with the jitter of the coming spike
V_BEFORE = 6 * LANES  # membrane at the start of the step
DRIVE = 7 * LANES  # voltage gained from all currents in the last step
STATE_BLOCK = 8 * LANES

# Rows of the parameters -------------------------------------------------------------------------------------
LEAK = 0 * LANES
DECAY_MEM = 1 * LANES  # exp(-h / tau_mem)
GAIN_EXC = 2 * LANES  # voltage gained per step and unit of drive in the middle of the step
GAIN_INH = 3 * LANES
DECAY_EXC = 4 * LANES
DECAY_INH = 5 * LANES
SATURATION_EXC = 6 * LANES  # LSB/µs
SATURATION_INH = 7 * LANES
STATIC = 8 * LANES  # voltage gained per step from constant currents
LEAK_IN_RESET = 9 * LANES  # potential that leak and reset conductance pull towards
DECAY_RESET = 10 * LANES
SHUNT = 11 * LANES  # factor on the currents' effect while the reset conductance is on
NOISE_DECAY = 12 * LANES
NOISE_STEP = 13 * LANES
THRESHOLD_MEAN = 14 * LANES
DEAD_STEPS = 15 * LANES
RESET_STEPS = 26 * LANES  # remaining dead time at which the reset conductance switches on
FLOOR = 16 * LANES
FLOOR_RATE = 17 * LANES  # 1 / width
CEILING = 18 * LANES
CEILING_RATE = 19 * LANES
RATE_MEM = 20 * LANES  # h / tau
RATE_RESET = 21 * LANES
RATE_EXC = 22 * LANES
RATE_INH = 23 * LANES
INV_SATURATION_EXC = 24 * LANES
INV_SATURATION_INH = 25 * LANES
PARAMETER_ROWS = 27
PARAMETER_BLOCK = PARAMETER_ROWS * LANES

_UNIFORM_TO_NORMAL = np.sqrt(3.0)  # a uniform number in (-1, 1) has variance 1/3
_PAD_LEAK = 80.0


@dataclass(frozen=True, eq=False)
class LaneParameters:
    """Engine parameters of `circuits` at step `h` (µs).

    `rows` is the flat array of all blocks; `scale_exc` and `scale_inh` (padded lanes,) turn a weight into
    the jump of a line in the middle of the step that follows the event.
    """

    circuits: NDArray[np.int64]
    h: float
    rows: NDArray[np.float32]
    scale_exc: NDArray[np.float32]
    scale_inh: NDArray[np.float32]
    noise_sigma: float
    threshold_sigma: float


def _current_gain(h: float, tau_mem: NDArray[np.float64], tau_syn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Voltage that a decaying current adds in one step, per unit of its value in the middle of the step.

    Exact for an exponential current: integral of exp(-(h - t)/tau_m) exp(-(t - h/2)/tau_s) over the step.
    """
    difference = 1 / tau_mem - 1 / tau_syn
    x = difference * h
    # (exp(x) - 1) / x, finite where both time constants agree
    ratio = np.where(np.abs(x) < 1e-6, 1 + x / 2, np.expm1(x) / np.where(x == 0, 1, x))
    return np.asarray(h * ratio * np.exp(-h / tau_mem) * np.exp(h / (2 * tau_syn)))


def lane_parameters(
    parameters: CircuitParameters, circuits: NDArray[np.int64], h: float, noise: Noise, floor_width: float,
    ceiling_width: float,
) -> LaneParameters:  # fmt: skip
    """Lay out the parameters of `circuits` for steps of `h` µs."""
    blocks = -(-circuits.size // LANES)
    padded = np.zeros(blocks * LANES, dtype=np.int64)
    padded[: circuits.size] = circuits
    rows = np.zeros((PARAMETER_ROWS, blocks * LANES))

    tau_mem, tau_reset = parameters.tau_mem[padded], parameters.tau_reset[padded]
    tau_exc, tau_inh = parameters.tau_exc[padded], parameters.tau_inh[padded]
    tau_both = 1 / (1 / tau_mem + 1 / tau_reset)
    decay_noise = np.exp(-h / noise.membrane_time)

    rows[LEAK // LANES] = parameters.leak[padded]
    rows[DECAY_MEM // LANES] = np.exp(-h / tau_mem)
    rows[GAIN_EXC // LANES] = _current_gain(h, tau_mem, tau_exc)
    rows[GAIN_INH // LANES] = _current_gain(h, tau_mem, tau_inh)
    rows[DECAY_EXC // LANES] = np.exp(-h / tau_exc)
    rows[DECAY_INH // LANES] = np.exp(-h / tau_inh)
    rows[SATURATION_EXC // LANES] = parameters.saturation_exc[padded]
    rows[SATURATION_INH // LANES] = parameters.saturation_inh[padded]
    rows[INV_SATURATION_EXC // LANES] = 1 / rows[SATURATION_EXC // LANES]
    rows[INV_SATURATION_INH // LANES] = 1 / rows[SATURATION_INH // LANES]
    constant_gain = tau_mem * -np.expm1(-h / tau_mem)
    rows[STATIC // LANES] = parameters.static[padded] * constant_gain
    rows[LEAK_IN_RESET // LANES] = tau_both * (
        parameters.leak[padded] / tau_mem + parameters.reset[padded] / tau_reset
    )
    rows[DECAY_RESET // LANES] = np.exp(-h / tau_both)
    rows[SHUNT // LANES] = tau_both * -np.expm1(-h / tau_both) / constant_gain
    rows[NOISE_DECAY // LANES] = decay_noise
    rows[NOISE_STEP // LANES] = noise.membrane * np.sqrt(1 - decay_noise**2) * _UNIFORM_TO_NORMAL
    rows[THRESHOLD_MEAN // LANES] = parameters.threshold[padded]
    rows[RESET_STEPS // LANES] = parameters.refractory[padded] / h
    rows[DEAD_STEPS // LANES] = (parameters.refractory[padded] + parameters.spike_delay[padded]) / h
    rows[FLOOR // LANES] = parameters.floor[padded]
    rows[FLOOR_RATE // LANES] = 1 / floor_width
    rows[CEILING // LANES] = parameters.ceiling[padded]
    rows[CEILING_RATE // LANES] = 1 / ceiling_width
    rows[RATE_MEM // LANES] = h / tau_mem
    rows[RATE_RESET // LANES] = h / tau_both
    rows[RATE_EXC // LANES] = h / tau_exc
    rows[RATE_INH // LANES] = h / tau_inh

    scale_exc = parameters.drive_exc[padded] * np.exp(-h / (2 * tau_exc))
    scale_inh = parameters.drive_inh[padded] * np.exp(-h / (2 * tau_inh))
    beyond = np.arange(padded.size) >= circuits.size  # padding: silent lanes that never spike
    rows[LEAK // LANES, beyond] = _PAD_LEAK
    rows[STATIC // LANES, beyond] = 0
    rows[THRESHOLD_MEAN // LANES, beyond] = 1e6
    scale_exc[beyond] = scale_inh[beyond] = 0
    layout = rows.reshape(PARAMETER_ROWS, blocks, LANES).transpose(1, 0, 2)
    return LaneParameters(
        circuits=circuits,
        h=h,
        rows=np.ascontiguousarray(layout, dtype=np.float32).reshape(-1),
        scale_exc=scale_exc.astype(np.float32),
        scale_inh=scale_inh.astype(np.float32),
        noise_sigma=noise.membrane,
        threshold_sigma=noise.threshold,
    )
