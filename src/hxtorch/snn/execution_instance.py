"""An execution instance: one configuration of one chip, with the calibration that it uses."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Hashable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from hxtorch.snn.copies import copy_instance
from hxtorch.snn.morphology.placement import NeuronPlacement
from hxtorch.snn.morphology.registers import Configurable, NeuronBlock, configured, equal
from hxtorch.snn.occupancy import Occupancy, Occupant

if TYPE_CHECKING:
    from hxtorch.calibration import CalibrationResult, CalibrationTarget
    from hxtorch.mapping import Mapping
    from hxtorch.twin import ChipConfig, NeuronConfig


class ExecutionInstance:
    """Modules on the same instance run on the chip at the same time.

    `calib_path` is loaded at once if given. `calib_cache_dir` keeps the results of calibrations that a run
    needs. With `input_loopback` the chip also records the spikes that it is sent.
    """

    _ids = itertools.count()

    # Programs of the chip's sequencer that scripts may inject on a real chip; a virtual chip executes none.
    injection_pre_static_config: Any = None
    injection_pre_realtime: Any = None
    injection_inside_realtime_begin: Any = None
    injection_inside_realtime: Any = None
    injection_inside_realtime_end: Any = None
    injection_post_realtime: Any = None

    def __init__(
        self,
        calib_path: str | Path | None = None,
        calib_cache_dir: str | Path | None = None,
        input_loopback: bool = False,
    ) -> None:
        self._id = next(self._ids)
        self.calib_path: Path | None = None
        self.calib_cache_dir = None if calib_cache_dir is None else Path(calib_cache_dir)
        self.input_loopback = input_loopback
        self.calibration: CalibrationResult | None = None
        # Of the last run without a loaded calibration: what it depends on, and the result.
        self.made_calibration: tuple[Hashable, CalibrationResult] | None = None
        # Of calibrations made for runs: circuits that failed, by the fingerprint of the chip.
        self._failed: dict[str, frozenset[int]] = {}
        self._configured: tuple[Mapping, CalibrationResult, NeuronConfig] | None = None
        self._own_settings: NeuronConfig | None = None
        self.occupancy = Occupancy()  # of the last run
        self.write_ppu_symbols: dict[str, Any] = {}
        self.read_ppu_symbols: set[str] = set()
        if calib_path is not None:
            self.load_calib(calib_path)

    def neuron_config(self, mapping: Mapping, calibrated: CalibrationResult) -> NeuronConfig:
        """Return the neuron registers of a mapped network; the same object until either of both changes."""
        last = self._configured
        if last is None or last[0] is not mapping or last[1] is not calibrated:
            last = self._configured = (mapping, calibrated, mapping.neurons(calibrated.neurons))
        return last[2]

    def with_own_settings(
        self, neurons: NeuronConfig, placed: Iterable[tuple[Configurable, range, NDArray[np.int64]]]
    ) -> NeuronConfig:
        """Registers after the modules have set theirs, see `hxtorch.snn.morphology.registers.configured`.

        The same object as before if it has the same values, as the chip keeps what it derives from it.
        """
        result = configured(neurons, placed)
        if result is None:
            return neurons
        if self._own_settings is None or not equal(self._own_settings, result):
            self._own_settings = result
        return self._own_settings

    def note(self, mapping: Mapping, populations: dict[int, Occupant]) -> None:
        """Take down what runs here; what a virtual chip cannot do raises NotImplementedError."""
        hooks = sorted(name for name, program in self.generate_playback_hooks().items() if program)
        if hooks or self.write_ppu_symbols or self.read_ppu_symbols:
            what = hooks or ["write_ppu_symbols or read_ppu_symbols"]
            raise NotImplementedError(
                f"{self} has {', '.join(what)}, but a virtual chip has no sequencer and no plasticity processor. "
                "Remove them; registers of neurons can be set in configure_hw_entity."
            )
        self.occupancy = Occupancy.of(mapping, populations)

    @property
    def modules(self) -> tuple[Occupant, ...]:
        """The neuron modules of the last run here; empty before it."""
        return tuple(self.occupancy.neurons.values())

    @property
    def neuron_placement(self) -> NeuronPlacement:
        """Where the neurons of the last run lie, counted over its modules; empty before it."""
        return self.occupancy.placement

    @property
    def id_counter(self) -> int:
        """How many neurons the last run had here."""
        return self.occupancy.count

    @property
    def cadc_neurons(self) -> dict[Occupant, NDArray[np.int64]]:
        """Modules of the last run whose CADC traces are recorded, and the circuits (size,) that are read."""
        return self.occupancy.cadc_neurons

    @property
    def record_cadc_into_dram(self) -> bool | None:
        """Whether the last run recorded CADC traces into DRAM; None: it recorded none."""
        chosen = {module.enable_cadc_recording_placement_in_dram for module in self.cadc_neurons}
        return chosen.pop() if chosen else None

    @property
    def has_madc_recording(self) -> bool:
        """Whether the MADC recorded in the last run."""
        return any(module.enable_madc_recording for module in self.modules)

    def cadc_recordings(self) -> dict[Occupant, NDArray[np.int64]]:
        """`cadc_neurons`; AssertionError if there are none."""
        recorded = self.cadc_neurons
        if not recorded:
            raise AssertionError(f"{self} records no CADC traces. Run a network here first.")
        return recorded

    def plasticity_rules(self) -> dict[Any, Any]:
        """No rules: a virtual chip has no plasticity processor."""
        return {}

    def generate_playback_hooks(self) -> dict[str, Any]:
        """The programs to inject, by name."""
        return {name: getattr(self, name) for name in _INJECTIONS}

    @property
    def calib(self) -> CalibrationResult | None:
        """The loaded calibration."""
        return self.calibration

    @property
    def chip(self) -> ChipConfig | None:
        """What the loaded calibration sets the chip to, without a network; None without calibration."""
        if self.calibration is None:
            return None
        from hxtorch.twin import ChipConfig

        return ChipConfig(neurons=self.calibration.neurons, common=self.calibration.common)

    def calibrate(self, target: CalibrationTarget | None = None) -> CalibrationResult:
        """Calibrate the connected chip to `target` and keep the result as a loaded calibration.

        The target defaults to what the modules of the last run ask for. Results are cached in `calib_cache_dir`.
        RuntimeError without a connection; ValueError without a target if nothing has run here.
        """
        from hxtorch import calibration
        from hxtorch.connection import require_chip

        chip = require_chip()
        if target is None:
            if not self.occupancy.neurons:
                raise ValueError(f"Nothing has run on {self}. Give calibrate a target, or run a network first.")
            target = self.occupancy.target()
        self.calibration = calibration.cached(chip, target, self.calib_cache_dir)
        return self.calibration

    def set_neuron_parameters_on_chip(self, neuron_block: NeuronBlock) -> NeuronBlock:
        """Let the parameters of the modules of the last run write to the registers of their neurons.

        Only parameters with a function for it do, see `HXBaseParameter.make_trainable`; every run calls them.
        """
        return self.occupancy.set_parameters(neuron_block)

    @property
    def ID(self) -> int:  # noqa: N802  # name of the public interface
        """Unique number of this instance."""
        return self._id

    def load_calib(self, calib_path: str | Path | None) -> CalibrationResult:
        """Load a calibration file and keep it as `calibration`; it then decides how the chip is set.

        None: AssertionError; no such file: FileNotFoundError; not a calibration: CalibrationError.
        """
        if calib_path is None:
            raise AssertionError("load_calib needs the path of a calibration file, got None.")
        path = Path(calib_path).resolve()
        if not path.is_file():
            raise FileNotFoundError(
                f"There is no calibration file {path}. Give the path of one, or create one first."
            )
        self.calibration = _load(path, hashlib.sha256(path.read_bytes()).digest())
        self.calib_path = Path(calib_path)
        return self.calibration

    def circuits_to_avoid(self, chip: str) -> frozenset[int]:
        """Circuits that failed in the loaded calibration, or in those that runs on this chip have needed.

        `chip` is the `hxtorch.twin.chip.fingerprint` of one.
        """
        if self.calibration is not None:
            return frozenset(self.calibration.defective.tolist())
        return self._failed.get(chip, frozenset())

    def learn_failed(self, chip: str, made: CalibrationResult) -> None:
        """Remember the circuits that failed in a calibration of a chip that was made for a run."""
        self._failed[chip] = self._failed.get(chip, frozenset()) | frozenset(made.defective.tolist())

    def sibling(self) -> ExecutionInstance:
        """Another run on the same chip, with the calibration file of this one, for parts of a network."""
        return _Sibling(self)

    def __getstate__(self) -> dict[str, Any]:
        # Without what it knows of the last run, which belongs to the chip of this process.
        return vars(self) | self._unknown()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Another instance, with an ID of its own, the same settings and the same calibration."""
        return copy_instance(self, memo, {"_id": next(self._ids), **self._unknown()})

    @staticmethod
    def _unknown() -> dict[str, Any]:
        """Attributes as they are before the first run."""
        return {"_configured": None, "_own_settings": None, "occupancy": Occupancy()}

    def __str__(self) -> str:
        return f"ExecutionInstance(ID={self._id})"

    def __repr__(self) -> str:
        return str(self._id)


_INJECTIONS = tuple(name for name in vars(ExecutionInstance) if name.startswith("injection_"))


class _Sibling(ExecutionInstance):
    """Shares what was loaded, but keeps a calibration of its own if one has to be made."""

    def __init__(self, original: ExecutionInstance) -> None:
        self._original = original
        super().__init__(None, original.calib_cache_dir, original.input_loopback)

    @property
    def calibration(self) -> CalibrationResult | None:
        return self._original.calibration

    @calibration.setter
    def calibration(self, value: CalibrationResult | None) -> None:
        """Set by the original alone."""

    @property
    def calib_cache_dir(self) -> Path | None:
        return self._original.calib_cache_dir

    @calib_cache_dir.setter
    def calib_cache_dir(self, value: Path | None) -> None:
        """Set by the original alone."""


class ExecutionInstances(set[ExecutionInstance]):
    """Several execution instances, and what they have by ID."""

    @property
    def chips(self) -> dict[int, dict[Any, ChipConfig]]:
        """What loaded calibrations set the chip to: ID -> chip -> configuration; there is one chip, 0."""
        return {item.ID: {0: item.chip} for item in self._sorted() if item.chip is not None}

    @property
    def cadc_recordings(self) -> dict[int, dict[Occupant, NDArray[np.int64]]]:
        """Circuits whose CADC traces are recorded, of the instances that record any."""
        return {item.ID: item.cadc_neurons for item in self._sorted() if item.cadc_neurons}

    @property
    def plasticity_rules(self) -> dict[int, dict[Any, Any]]:
        """Rules of every instance."""
        return {item.ID: item.plasticity_rules() for item in self._sorted()}

    @property
    def playback_hooks(self) -> dict[int, dict[str, Any]]:
        """Programs to inject, of every instance."""
        return {item.ID: item.generate_playback_hooks() for item in self._sorted()}

    def _sorted(self) -> list[ExecutionInstance]:
        return sorted(self, key=lambda item: item.ID)


@lru_cache(maxsize=8)
def _load(path: Path, digest: bytes) -> CalibrationResult:
    """Parse a file once, as long as it has the content of this digest."""
    from hxtorch import calibration

    return calibration.load(path)
