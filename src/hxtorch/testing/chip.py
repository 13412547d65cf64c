"""The contract of a chip: what the rest of the package relies on when it runs programs on one."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hxtorch.testing.checks import require
from hxtorch.testing.chip_programs import (
    Plan,
    Settings,
    cycles,
    differences,
    first_spikes,
    indices,
    levels,
    nominal_settings,
    program,
)
from hxtorch.twin import Chip, Program, Record, Recording
from hxtorch.twin.conformance import asked_for, chip_faults, recording_faults
from hxtorch.twin.places.coordinates import COLUMNS, COUNTER_LIMIT, CYCLES_PER_US

LEAK, RESET, THRESHOLD = 60.0, 60.0, 180.0  # CADC LSB: far enough apart for circuits that nobody has calibrated
SETTLED = 15.0  # µs, in which a membrane comes back from where a run starts
BURSTS = Plan(onsets=(10.0, None, 40.0, 25.0, None))  # µs


class ChipContract:
    """What holds of every chip. Derive a class of tests from it and define `make_chip`.

    Knobs, as attributes of the class:

    * `circuits`: those under test; of both hemispheres and of even and odd columns.
    * `noisy`: whether another trial seed gives another recording.
    * `reproducible`: whether the same program and trial seed give the same recording, bit by bit. A chip of silicon
      is not: then times of first spikes may differ by `jitter` (µs), CADC readings at rest by `level_noise` (LSB).
    * `latency`: µs after a strong event within which a circuit has fired.
    * `slack`: µs by which the stamps of CADC samples may lie outside of the run.

    Override `settings` to test circuits with registers of their calibration.
    """

    circuits: ClassVar[tuple[int, ...]] = (0, 3, 100, 255, 256, 300, 410, 511)
    noisy: ClassVar[bool] = True
    reproducible: ClassVar[bool] = True
    latency: ClassVar[float] = 12.0
    jitter: ClassVar[float] = 2.0
    level_noise: ClassVar[float] = 6.0
    slack: ClassVar[float] = 3.0

    def make_chip(self) -> Chip:
        """The chip under test; called anew by every test."""
        raise NotImplementedError(f"Define make_chip in {type(self).__name__}: it returns the chip under test.")

    def settings(self) -> Settings:
        """Registers with which silent circuits rest, and fire upon a strong event."""
        return nominal_settings(LEAK, RESET, THRESHOLD)

    # --- Ways to run ---------------------------------------------------------------------------------------------

    @property
    def everything(self) -> Record:
        """All that can be asked of a chip, but internal states."""
        chosen = indices(self.circuits)
        return Record(spikes=chosen, cadc=chosen, madc=chosen[:1], counters=True, loopback=True)

    def program(self, plan: Plan, record: Record | None = None, settings: Settings | None = None) -> Program:
        """The program in which the circuits under test hear the events of a plan."""
        given = self.settings() if settings is None else settings
        return program(given, self.circuits, plan, self.everything if record is None else record)

    def record(self, chip: Chip, wanted: Program, trial_seed: int = 0) -> Recording:
        """A recording whose parts have the right shapes and types."""
        recording = chip.run(wanted, trial_seed)
        faults = recording_faults(wanted, recording)
        require(not faults, f"run returned an unusable recording: {'; '.join(faults)}.")
        return recording

    def levels_of(
        self, chip: Chip, settings: Settings, plan: Plan, begin: float, end: float
    ) -> NDArray[np.float64]:
        """Mean CADC codes (B, N) in ``begin..end`` µs."""
        record = Record(cadc=indices(self.circuits))
        found = levels(self.record(chip, self.program(plan, record, settings)), begin, end)
        require(np.all(np.isfinite(found)), f"There is no CADC sample between {begin:g} and {end:g} µs.")
        return found

    def require_same(self, first: Recording, second: Recording, what: str) -> None:
        """AssertionError if two recordings of `BURSTS` differ by more than the chip's noise."""
        if self.reproducible:
            found = list(differences(first, second))
            require(not found, f"{what}: {'; '.join(found)}.")
            return
        silent = np.array([onset is None for onset in BURSTS.onsets])
        for entry in np.flatnonzero(~silent):
            one, other = (first_spikes(recording, int(entry), self.circuits) for recording in (first, second))
            require(
                np.allclose(one, other, rtol=0, atol=self.jitter),
                f"{what}: first spikes of batch entry {entry} at {np.round(one, 2)} and {np.round(other, 2)} µs.",
            )
        apart = np.abs(levels(first) - levels(second))[silent].max()
        require(apart <= self.level_noise, f"{what}: resting potentials differ by {apart:.1f} LSB.")

    # --- The protocol --------------------------------------------------------------------------------------------

    def test_follows_the_protocol(self) -> None:
        """`identifier`, `nominal` and `run` are there, and `run` takes the trial seed by name or not at all."""
        chip = self.make_chip()
        faults = chip_faults(chip)
        require(not faults, f"{type(chip).__name__} is no chip: {'; '.join(faults)}.")
        wanted = self.program(Plan(runtime=5.0), Record(cadc=indices(self.circuits)))
        for call, arguments in (("run(program)", {}), ("run(program, trial_seed=0)", {"trial_seed": 0})):
            try:
                chip.run(wanted, **arguments)
            except TypeError as error:
                raise AssertionError(f"{call} raises TypeError: {error}.") from error

    def test_keeps_its_name(self) -> None:
        """`identifier` and `nominal` do not change by running a program: calibrations belong to them."""
        chip = self.make_chip()
        before = chip.identifier, chip.nominal
        self.record(chip, self.program(BURSTS))
        require(
            (chip.identifier, chip.nominal) == before, f"identifier, nominal were {before}, and changed in a run."
        )

    def test_membranes_follow_their_leak(self) -> None:
        """The CADC rises with the leak potential; a nominal chip reads exactly what was asked for."""
        chip = self.make_chip()
        low, high = (
            self.levels_of(chip, nominal_settings(leak, leak, None), Plan(), 40, 60)[0] for leak in (80.0, 120.0)
        )
        require(
            np.all(high > low + 10),
            f"A leak potential 40 LSB higher moved the CADC readings of circuits {self.circuits} by {high - low}.",
        )
        if chip.nominal:
            error = np.abs(np.concatenate([low - 80, high - 120])).max()
            require(
                error <= self.level_noise / 2,
                f"The chip is nominal, but its resting potentials are {error:.1f} LSB off the nominal ones.",
            )

    # --- What is recorded ----------------------------------------------------------------------------------------

    def test_records_what_was_asked_for(self) -> None:
        """Every part alone, and all together; what was not asked for is None."""
        chip, chosen = self.make_chip(), indices(self.circuits)
        records = {
            "spikes": Record(spikes=chosen),
            "cadc": Record(cadc=chosen),
            "cadc in dram": Record(cadc=chosen, cadc_in_dram=True),
            "madc": Record(madc=chosen[:1]),
            "madc of a pair": Record(madc=self.madc_pair()),
            "counters": Record(counters=True),
            "loopback": Record(cadc=chosen[:1], loopback=True),
            "all": self.everything,
        }
        for name, record in records.items():
            recording = self.record(chip, self.program(BURSTS, record))
            extra = [
                part
                for part, asked in asked_for(record).items()
                if not asked and getattr(recording, part) is not None
            ]
            require(
                not extra, f"Asked for {name}, the chip also recorded {', '.join(extra)}: these have to be None."
            )

    def madc_pair(self) -> NDArray[np.int64]:
        """Two of the circuits under test, one in an even and one in an odd column, as the MADC reads them."""
        even, odd = (next(c for c in self.circuits if c % 2 == side) for side in (0, 1))
        return indices((even, odd))

    def test_spikes_lie_within_the_run(self) -> None:
        """Stamps are whole cycles of the run; circuits that fire and were not asked for do not appear."""
        chip, asked = self.make_chip(), indices(self.circuits[:2])
        recording = self.record(chip, self.program(BURSTS, Record(spikes=asked)))
        spikes = recording.spikes
        require(spikes is not None and spikes.time.size > 0, "Strong events made no circuit fire: no spikes.")
        assert spikes is not None
        low, high = spikes.time.min(), spikes.time.max()
        end = cycles(BURSTS.runtime)
        require(low >= 0 and high <= end, f"Spikes at cycles {low} to {high} lie outside of the run, 0 to {end}.")

    def test_times_of_samples(self) -> None:
        """CADC and MADC stamps rise, lie within the run, and there are some."""
        recording = self.record(self.make_chip(), self.program(BURSTS))
        cadc, madc = recording.cadc, recording.madc
        assert cadc is not None and madc is not None
        used = np.unique(indices(self.circuits) // COLUMNS)
        require(np.all(cadc.count[:, used] > 0), "The CADC took no sample in a run of 60 µs.")
        for entry, side in np.ndindex(*cadc.count[:, used].shape):
            self._require_times(cadc.time[entry, used[side], : cadc.count[entry, used[side]]], "CADC")
        require(madc.time.size > 0, "The MADC took no sample in a run of 60 µs.")
        self._require_times(madc.time, "MADC")

    def _require_times(self, time: NDArray[np.float64], name: str) -> None:
        low, high = time[0] / CYCLES_PER_US, time[-1] / CYCLES_PER_US
        require(np.all(np.diff(time) > 0), f"The times of the {name} samples do not rise.")
        within = -self.slack <= low and high <= BURSTS.runtime + self.slack
        require(
            within, f"{name} samples at {low:.1f} to {high:.1f} µs lie outside of the run of {BURSTS.runtime:g} µs."
        )

    def test_order_of_circuits(self) -> None:
        """Columns of CADC and MADC samples belong to the circuits in the order of the program."""
        chip, pair = self.make_chip(), self.madc_pair()
        plain, common = nominal_settings(80.0, 80.0, None)
        leak = plain.v_leak.copy()
        leak[pair[0]] = nominal_settings(130.0, 80.0, None)[0].v_leak[pair[0]]
        for order in (pair, pair[::-1]):
            record = Record(cadc=order, madc=order)
            readings = []
            for neurons in (plain, replace(plain, v_leak=leak)):
                recording = self.record(chip, self.program(Plan(), record, (neurons, common)))
                assert recording.madc is not None
                readings.append((levels(recording, 40, 60)[0], recording.madc.value[0, -200:].mean(axis=0)))
            for name, before, after in zip(("CADC", "MADC"), *readings, strict=True):
                require(
                    order[np.argmax(after - before)] == pair[0],
                    f"Asked for circuits {order.tolist()} and with a higher leak for circuit {pair[0]}, the {name} "
                    f"moved by {np.round(after - before, 1)}.",
                )

    def test_lost_spikes_are_counted(self) -> None:
        """Spikes that the counters saw and the recording lacks are `lost_spikes`."""
        recording = self.record(self.make_chip(), self.program(BURSTS))
        assert recording.counters is not None and recording.spikes is not None
        counted = recording.counters[:, self.circuits]
        require(
            counted.max() < COUNTER_LIMIT, "The counters have reached their limit. Choose settings that fire less."
        )
        missing = int(counted.sum()) - recording.spikes.time.size
        require(
            missing == recording.lost_spikes,
            f"The counters saw {counted.sum()} spikes and {recording.spikes.time.size} were recorded, but "
            f"lost_spikes is {recording.lost_spikes}.",
        )

    # --- What a program does -------------------------------------------------------------------------------------

    def test_events_arrive_in_time(self) -> None:
        """Every circuit fires after its batch entry's event, within `latency`; silent entries stay silent."""
        recording = self.record(self.make_chip(), self.program(BURSTS))
        self._require_bursts(recording, BURSTS)

    def _require_bursts(self, recording: Recording, plan: Plan) -> None:
        for entry, onset in enumerate(plan.onsets):
            first = first_spikes(recording, entry, self.circuits)
            if onset is None:
                require(
                    np.all(np.isinf(first)), f"Batch entry {entry} has no input, but fires at {first.min():.1f} µs."
                )
                continue
            require(
                np.all((first >= onset) & (first <= onset + self.latency)),
                f"Batch entry {entry} has its event at {onset:g} µs, but the first spikes of circuits "
                f"{self.circuits} come at {np.round(first, 1)} µs, expected within {self.latency:g} µs.",
            )

    def test_events_move_the_membrane(self) -> None:
        """Excitatory events raise the membranes of their own batch entries, inhibitory ones lower them."""
        chip = self.make_chip()
        quiet = nominal_settings(100.0, 100.0, None)
        for sign, word in ((1, "raise"), (-1, "lower")):
            plan = Plan(onsets=BURSTS.onsets, sign=sign, weight=20)
            for entry, onset in enumerate(plan.onsets):
                begin = 20.0 if onset is None else onset + 2
                moved = self.levels_of(chip, quiet, plan, begin, begin + 12)[entry]
                moved = sign * (moved - self.levels_of(chip, quiet, Plan(), begin, begin + 12)[0])
                low, high = (-self.level_noise, self.level_noise) if onset is None else (self.level_noise, np.inf)
                require(
                    np.all((moved >= low) & (moved <= high)),
                    f"An event at {onset} µs of batch entry {entry} should {word} its membranes (None: leave them "
                    f"alone), but moved the circuits by {np.round(sign * moved, 1)} LSB.",
                )

    def test_resets_by_command(self) -> None:
        """`Program.resets` pulls all membranes to the reset potential."""
        settings = nominal_settings(130.0, 40.0, None)
        chip = self.make_chip()
        before, after = (
            self.levels_of(chip, settings, Plan(resets=(40.0,)), *window)[0] for window in ((30, 39), (40.5, 43))
        )
        require(
            np.all(after < before - 15), f"A reset from 130 to 40 LSB moved the membranes by {after - before} LSB."
        )

    def test_programs_without_input_or_of_one_cycle(self) -> None:
        """Nothing fires without input, and short runs of one entry are runs."""
        chip = self.make_chip()
        silent = self.record(chip, self.program(Plan()))
        assert silent.spikes is not None
        require(silent.spikes.time.size == 0, f"A program without events has {silent.spikes.time.size} spikes.")
        spikes = Record(spikes=indices(self.circuits))
        short = self.record(chip, self.program(Plan(runtime=1 / CYCLES_PER_US), spikes))
        assert short.spikes is not None
        require(short.spikes.time.size == 0, "A program of one cycle has spikes.")

    # --- Nothing is kept -----------------------------------------------------------------------------------------

    def test_trial_seeds(self) -> None:
        """The same program and trial seed give the same; another seed gives another recording of a noisy chip."""
        chip, wanted = self.make_chip(), self.program(BURSTS)
        first = deepcopy(self.record(chip, wanted, 5))
        self.require_same(first, self.record(chip, wanted, 5), "The same program with the same trial seed")
        self.require_same(first, self.record(self.make_chip(), wanted, 5), "A fresh chip with the same trial seed")
        other = list(differences(first, self.record(chip, wanted, 6)))
        if self.noisy:
            require(other, "The chip is noisy, but trial seeds 5 and 6 give the same recording.")
        elif self.reproducible:
            require(not other, f"The chip has no noise, but another trial seed changes: {'; '.join(other)}.")
        default = deepcopy(chip.run(wanted))
        self.require_same(default, self.record(chip, wanted, 0), "Without a trial seed and with 0, its default")

    def test_no_state_between_runs(self) -> None:
        """A program records the same after others: other settings, batch sizes, weights and events."""
        chip, wanted = self.make_chip(), self.program(BURSTS)
        first = deepcopy(self.record(chip, wanted, 5))
        for plan in (Plan(), Plan(onsets=(1.0, 1.0, 1.0), sign=-1), Plan(onsets=(5.0,) * 9, runtime=30.0)):
            self.record(chip, self.program(plan), 1)
        self.record(chip, self.program(BURSTS, settings=nominal_settings(120.0, 100.0, THRESHOLD)), 2)
        self.require_same(first, self.record(chip, wanted, 5), "The same program before and after others")

    def test_recordings_stay_what_they_were(self) -> None:
        """A later run writes neither to an earlier recording, nor to the program."""
        chip, wanted = self.make_chip(), self.program(BURSTS)
        given = deepcopy(wanted)
        recording = self.record(chip, wanted, 5)
        kept = deepcopy(recording)
        self.record(chip, self.program(Plan(onsets=(30.0, 10.0, 20.0, None, 5.0))), 6)
        changed = list(differences(kept, recording))
        require(not changed, f"A later run changed an earlier recording: {'; '.join(changed)}.")
        changed = list(differences(given, wanted, "program"))
        require(not changed, f"A run changed its program: {'; '.join(changed)}.")

    def test_batch_entries_are_independent(self) -> None:
        """Whatever the order of the entries, each answers its own events, and starts from rest."""
        chip = self.make_chip()
        for order in ((0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 0, 3, 1, 4)):
            plan = Plan(onsets=tuple(BURSTS.onsets[i] for i in order))
            self._require_bursts(self.record(chip, self.program(plan)), plan)
        settings = nominal_settings(LEAK, RESET, None)
        late = Plan(onsets=(58.0, None) * 3)  # an event at the end of an entry, silence in the next one
        found = self.levels_of(chip, settings, late, -self.slack, SETTLED)
        spread = np.abs(found - found.mean(axis=0)).max()
        require(
            spread <= self.level_noise,
            f"Batch entries start {spread:.1f} LSB apart, although each has to start from rest.",
        )
