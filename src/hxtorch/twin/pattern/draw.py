"""Drawing the fixed pattern of a chip from a seed and the distributions of `hxtorch.twin.pattern.process`.

Each effect is drawn from its own random stream, named after it, so that adding an effect leaves the others of the
same chip as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hxtorch.shapes import Array
from hxtorch.twin.pattern import process as p
from hxtorch.twin.pattern.fixed_pattern import FixedPattern
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS, DRIVERS, HEMISPHERES, QUADRANTS, ROWS


@dataclass(frozen=True)
class _Streams:
    """The random streams of one chip."""

    seed: int

    def normal(self, effect: str, *shape: int) -> Array:
        """Standard normal numbers of an effect."""
        stream = np.random.SeedSequence([self.seed, *effect.encode()])
        return np.random.default_rng(stream).standard_normal(shape)

    def scaled(self, effect: str, spread: p.Fact, *shape: int) -> Array:
        """Normal numbers with a standard deviation."""
        return np.asarray(spread.value * self.normal(effect, *shape))

    def factor(self, effect: str, spread: p.Fact, *shape: int) -> Array:
        """Logarithmically normal numbers about 1."""
        return np.asarray(np.exp(self.scaled(effect, spread, *shape)))

    def correlated(self, effect: str, other: Array, correlation: p.Fact) -> Array:
        """Standard normal numbers (512,) that are correlated with `other` ones."""
        rho = correlation.value
        return np.asarray(rho * other + np.sqrt(1 - rho**2) * self.normal(effect, CIRCUITS))

    def quadrant_factor(self, circuits: Array, spread: p.Fact, stream: str, quadrant_spread: p.Fact) -> Array:
        """Factors (512,) from standard normal numbers of the `circuits` and those of a stream for the quadrants."""
        return np.asarray(
            np.exp(spread.value * circuits + _quadrants(self.scaled(stream, quadrant_spread, QUADRANTS)))
        )


def _quadrants(values: Array) -> Array:
    """Spread one value per quadrant over its circuits."""
    return np.repeat(values, CIRCUITS // QUADRANTS)


def draw_pattern(seed: int) -> FixedPattern:
    """Draw the chip number `seed` (0 or more), which is called ``twin:<seed>``."""
    if seed < 0:
        raise ValueError(f"The chip seed is {seed}, but seeds are non-negative integers.")
    streams = _Streams(seed)
    potentials = _unit_potentials(streams)
    leak, reset, threshold = _potential_codes(streams, potentials)
    unit_gain, unit_gain_inh = streams.normal("gain", 2, CIRCUITS)
    gain_exc, gain_inh = _gains(streams, unit_gain, unit_gain_inh)
    tau_exc, tau_inh = _synaptic_time_constants(streams)
    drivers = HEMISPHERES, DRIVERS
    return FixedPattern(
        identifier=f"twin:{seed}",
        leak_code=leak,
        reset_code=reset,
        threshold_code=threshold,
        leak_conductance=_leak_conductance(streams, potentials[0]),
        tau_exc=tau_exc,
        tau_inh=tau_inh,
        gain_exc=gain_exc,
        gain_inh=gain_inh,
        shift_exc=p.SHIFT_SPREAD.value * streams.correlated("shift exc", unit_gain, p.SHIFT_GAIN_CORRELATION),
        shift_inh=streams.scaled("shift inh", p.SHIFT_SPREAD, CIRCUITS),
        reset_time=streams.factor("reset time", p.RESET_TIME_SPREAD, CIRCUITS),
        spike_delay=np.ones(CIRCUITS),  # there is no public number
        synapse_dac=streams.factor("synapse dac", p.SYNAPSE_DAC_SPREAD, QUADRANTS),
        synapse=streams.factor("synapse", p.SYNAPSE_SPREAD, HEMISPHERES, ROWS, COLUMNS),
        driver=streams.factor("driver", p.DRIVER_SPREAD, *drivers),
        cadc_channel=streams.scaled("cadc channel", p.CADC_CHANNEL_SPREAD, CIRCUITS),
        cadc_gain=1 + streams.scaled("cadc gain", p.CADC_GAIN_SPREAD, QUADRANTS),
        cadc_ramp=streams.scaled("cadc ramp", p.CADC_RAMP_OFFSET_SPREAD, QUADRANTS),
        exp_onset_code=streams.scaled("exp onset", p.EXP_ONSET_SPREAD, CIRCUITS),
        exp_current=streams.factor("exp current", p.EXP_CURRENT_SPREAD, CIRCUITS),
        adapt_leak_code=streams.scaled("adapt leak", p.ADAPT_LEAK_SPREAD, CIRCUITS),
        adapt_time=streams.factor("adapt time", p.ADAPT_TIME_SPREAD, CIRCUITS),
        adapt_gain=streams.factor("adapt gain", p.ADAPT_GAIN_SPREAD, CIRCUITS),
        coba_code=streams.scaled("coba", p.COBA_SPREAD, CIRCUITS),
        icc_conductance=streams.factor("icc", p.ICC_SPREAD, CIRCUITS),
        stp_offset=streams.scaled("stp offset", p.STP_OFFSET_SPREAD, *drivers),
        stp_gain=streams.factor("stp gain", p.STP_GAIN_SPREAD, *drivers),
        madc_offset=float(streams.scaled("madc offset", p.MADC_OFFSET_SPREAD, 1)[0]),
        capmem_error=1.0,
        capmem_seed=seed,
    )


def _unit_potentials(streams: _Streams) -> Array:
    """Correlated standard normal numbers (3, 512) for leak, reset and threshold."""
    leak_reset = p.LEAK_RESET_CORRELATION.value
    leak_threshold = p.LEAK_THRESHOLD_CORRELATION.value
    reset_threshold = p.RESET_THRESHOLD_CORRELATION.value
    correlation = np.array(
        [
            [1, leak_reset, leak_threshold],
            [leak_reset, 1, reset_threshold],
            [leak_threshold, reset_threshold, 1],
        ]
    )
    return np.asarray(np.linalg.cholesky(correlation) @ streams.normal("potentials", 3, CIRCUITS))


def _potential_codes(streams: _Streams, unit: Array) -> Iterator[Array]:
    """Deviations of leak, reset and threshold in codes, with those of the quadrants."""
    spreads = (
        (p.LEAK_SPREAD, p.LEAK_QUADRANT_SPREAD, 0),
        (p.RESET_SPREAD, p.RESET_QUADRANT_SPREAD, 0),  # moves with that of the leak (measured correlation 0.99)
        (p.THRESHOLD_SPREAD, p.THRESHOLD_QUADRANT_SPREAD, 2),
    )
    for own, (spread, quadrant_spread, stream) in zip(unit, spreads, strict=True):
        quadrants = streams.scaled(f"potentials quadrant {stream}", quadrant_spread, QUADRANTS)
        yield spread.value * own + _quadrants(quadrants)


def _leak_conductance(streams: _Streams, unit_leak: Array) -> Array:
    """Factors on the leak conductances, correlated with the leak potentials."""
    return streams.quadrant_factor(
        streams.correlated("leak conductance", unit_leak, p.LEAK_CONDUCTANCE_CORRELATION),
        p.LEAK_CONDUCTANCE_SPREAD,
        "leak conductance quadrant",
        p.LEAK_CONDUCTANCE_QUADRANT_SPREAD,
    )


def _synaptic_time_constants(streams: _Streams) -> tuple[Array, Array]:
    """Factors on both; a quadrant's move together (measured correlation 0.99): it has one reference current."""
    exc, inh = (
        streams.quadrant_factor(
            streams.normal(f"tau {kind}", CIRCUITS), p.TAU_SYN_SPREAD, "tau exc quadrant", p.TAU_SYN_QUADRANT_SPREAD
        )
        for kind in ("exc", "inh")
    )
    return exc, inh


def _gains(streams: _Streams, unit: Array, unit_inh: Array) -> tuple[Array, Array]:
    """Factors on the gains of excitatory and inhibitory inputs, which have a part in common."""
    rho, spread = p.GAIN_CORRELATION.value, p.GAIN_SPREAD.value
    between_quadrants = streams.scaled("gain quadrant", p.GAIN_QUADRANT_SPREAD, QUADRANTS)
    # the measured spread is that within one chip, whose own level is a matter of its own
    between_quadrants -= between_quadrants.mean()
    chip_level = streams.scaled("gain chip", p.GAIN_CHIP_SPREAD, 1)[0]
    quadrant = _quadrants(between_quadrants + chip_level)
    exc = np.exp(quadrant + spread * unit)
    inh = p.GAIN_INH_RATIO.value * np.exp(quadrant + spread * (rho * unit + np.sqrt(1 - rho**2) * unit_inh))
    return exc, inh
