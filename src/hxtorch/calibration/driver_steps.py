"""Calibration of the synapse drivers: offsets of their short-term plasticity."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hxtorch.calibration.bench import Bench
from hxtorch.calibration.measure import Train, response_by_entry
from hxtorch.calibration.search import Response, predict
from hxtorch.calibration.state import State
from hxtorch.calibration.synapse_steps import charge_factor, gain_train
from hxtorch.shapes import Array
from hxtorch.twin import InputEvents, PlasticityConfig, RoutingConfig, RowMode, circuits
from hxtorch.twin.pattern import process as facts
from hxtorch.twin.places.coordinates import (
    BUSES,
    CIRCUITS,
    COLUMNS,
    CYCLES_PER_US,
    DRIVERS,
    HEMISPHERES,
    MAX_WEIGHT,
    ROWS,
)

MIDDLE = 8.0  # code of the offset in the middle of its 4 bits
MAX_OFFSET = 15
VOLTAGE = (
    250.0  # CapMem code at which a driver is held: about half of the efficacy, which leaves room to both sides
)
HALF = 0.5  # nominal efficacy there
OFFSET_TOLERANCE = 0.15  # relative
DEFLECTION = 35.0  # LSB
FIRST = 10.0  # µs, of the events
SPARE = 40.0  # µs of the run after the response has settled


@dataclass(frozen=True, eq=False)
class _EveryDriver(Train):
    """One driver of each hemisphere per batch entry gets the events, both of its rows."""

    def events(self, entries: int) -> InputEvents:
        """Input events: in entry d to the drivers d."""
        cycles = np.rint(self.times * CYCLES_PER_US).astype(np.int64)
        driver = np.repeat(np.arange(entries, dtype=np.int64), cycles.size)
        every = np.arange(DRIVERS, dtype=np.int64)
        addresses = (every % BUSES) << 11 | (every // BUSES) << 6
        return InputEvents(driver, np.tile(cycles, entries), driver.copy(), addresses)


def calibrate_drivers(bench: Bench, state: State) -> tuple[PlasticityConfig, Array, Array]:
    """Search the offsets with which all drivers with plasticity give the same charge.

    Every driver is held at the same voltage (no utilization) and read as the median response of all circuits
    of its hemisphere. Returns the registers with these offsets (plasticity itself stays off), and the
    deviations (256,) from the median, relative, before and after.
    """
    train = gain_train(state, "exc")
    neurons, settling = train.neurons, min(train.settling, 60.0)
    tau = np.clip(state.target.per_circuit("tau_mem"), 5, 12) * np.clip(
        state.target.per_circuit("tau_syn_exc"), 5, 12
    )
    drive = circuits.nominal_drive(
        neurons.i_bias_gm_exc, np.full(CIRCUITS, state.target.synapse_dac_bias), neurons.membrane_capacitance
    )
    area = 2 * MAX_WEIGHT * HALF * float(np.median(drive * tau * charge_factor(neurons, "exc")))
    period = float(np.clip(np.rint(area / DEFLECTION), 2, 20))
    times = np.arange(FIRST, FIRST + settling + SPARE, period)
    stimulus = _EveryDriver(
        RoutingConfig(row_mode=np.full((HEMISPHERES, ROWS), int(RowMode.EXCITATORY), dtype=np.uint8)),
        np.full((HEMISPHERES, ROWS, COLUMNS), MAX_WEIGHT, dtype=np.uint8),
        times,
    )
    held = PlasticityConfig(
        enable=np.ones((HEMISPHERES, DRIVERS), dtype=np.bool_),
        utilization=np.zeros((HEMISPHERES, DRIVERS), dtype=np.uint8),
        v_charge=(VOLTAGE, VOLTAGE),
        v_recover=(VOLTAGE, VOLTAGE),
    )

    def response(codes: Array) -> Array:
        offset = codes.reshape(HEMISPHERES, DRIVERS).astype(np.uint8)
        seen = response_by_entry(
            bench,
            neurons,
            state.common,
            stimulus,
            settling,
            entries=DRIVERS,
            plasticity=replace(held, offset=offset),
        )
        return np.nanmedian(seen.reshape(DRIVERS, HEMISPHERES, COLUMNS), axis=2).T.reshape(-1)

    middle = np.full(HEMISPHERES * DRIVERS, MIDDLE)
    before = response(middle)
    goal = float(np.median(before))
    found = predict(
        response, middle, np.full(middle.size, goal), Response(goal * facts.STP_OFFSET_SLOPE.value / HALF),
        runs=3, average=2, tolerance=np.inf, high=MAX_OFFSET,
    )  # fmt: skip
    after = response(found.codes) / goal - 1
    offset = found.codes.reshape(HEMISPHERES, DRIVERS).astype(np.uint8)
    return PlasticityConfig(offset=offset), before / goal - 1, after
