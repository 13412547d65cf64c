"""Random numbers for the kernels: cheap, and reproducible per (trial seed, batch entry, circuit).

Every lane has its own xorshift32 stream, started from a 64-bit hash of its key, so that neither the number
of threads nor the order of batch entries changes a number.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import inner_kernel, kernel

_BYTES_SIGMA = np.float32(1.0 / math.sqrt(4 * (256**2 - 1) / 12))  # sum of four random bytes -> unit variance
_BYTES_MEAN = np.float32(510.0)


@inner_kernel()
def mix(z: np.uint64) -> np.uint64:
    """SplitMix64 finaliser (Steele et al. 2014): a well-mixed 64-bit number from any other."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@inner_kernel()
def entry_key(seed: int | np.uint64, entry: int) -> np.uint64:
    """The part of `key` that all circuits of an entry have in common."""
    z = mix(np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15))
    return mix(z + np.uint64(entry) * np.uint64(0xD1B54A32D192ED03))


@inner_kernel()
def circuit_key(common: np.uint64, circuit: int | np.int64) -> np.uint64:
    """`key` of a circuit in the entry of which `common` is the `entry_key`."""
    return mix(common + np.uint64(circuit) * np.uint64(0x8CB92BA72F3D8DD7))


@kernel()
def key(seed: int | np.uint64, entry: int, circuit: int | np.int64) -> np.uint64:
    """64-bit key of one circuit in one batch entry of one trial."""
    return circuit_key(entry_key(seed, entry), circuit)


@inner_kernel()
def bytes_normal(bits: np.uint32) -> np.float32:
    """Approximate standard normal number from 32 random bits (sum of four bytes)."""
    low = np.uint32(0x00FF00FF)
    pairs = np.uint32(np.uint32(bits & low) + np.uint32(np.uint32(bits >> np.uint32(8)) & low))
    total = np.int32(np.uint32(pairs & np.uint32(0xFFFF)) + np.uint32(pairs >> np.uint32(16)))
    return (np.float32(total) - _BYTES_MEAN) * _BYTES_SIGMA


@inner_kernel()
def next_bits(state: np.uint32) -> np.uint32:
    """One step of Marsaglia's xorshift32 (numba widens shifts to 64 bit, hence the casts)."""
    state = np.uint32(state ^ np.uint32(state << np.uint32(13)))
    state = np.uint32(state ^ np.uint32(state >> np.uint32(17)))
    return np.uint32(state ^ np.uint32(state << np.uint32(5)))


# --- The same numbers outside the kernels -------------------------------------------------------------------


def _mix_array(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(seed: int, purpose: str, *indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), one per tuple of `indices`, a function of seed, purpose and indices alone."""
    with np.errstate(over="ignore"):
        z = _mix_array(np.asarray(seed & (2**64 - 1), dtype=np.uint64) + np.uint64(zlib.crc32(purpose.encode())))
        for index in indices:
            z = _mix_array(z + np.asarray(index).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return np.asarray((z >> np.uint64(11)).astype(np.float64) / 2.0**53)


def normal(seed: int, purpose: str, *indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return standard normal numbers (Box and Muller 1958), one per tuple of `indices`."""
    radius = np.sqrt(-2 * np.log1p(-uniform(seed, purpose, *indices)))
    return np.asarray(radius * np.cos(2 * np.pi * uniform(seed, purpose + " angle", *indices)))
