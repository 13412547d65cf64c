"""An execution instance: one configuration of one chip, with the calibration that it uses."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from hxtorch.calibration import CalibrationResult
    from hxtorch.mapping import Mapping
    from hxtorch.twin import NeuronConfig


class ExecutionInstance:
    """Modules on the same instance run on the chip at the same time.

    `calib_path` is loaded at once if given. `calib_cache_dir` keeps the results of calibrations that a run
    needs. With `input_loopback` the chip also records the spikes that it is sent.
    """

    _ids = itertools.count()

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
        # Of calibrations made for runs: circuits that failed, by chip.
        self._failed: dict[str, frozenset[int]] = {}
        self._configured: tuple[Mapping, CalibrationResult, NeuronConfig] | None = None
        if calib_path is not None:
            self.load_calib(calib_path)

    def neuron_config(self, mapping: Mapping, calibrated: CalibrationResult) -> NeuronConfig:
        """Return the neuron registers of a mapped network; the same object until either of both changes."""
        last = self._configured
        if last is None or last[0] is not mapping or last[1] is not calibrated:
            last = self._configured = (mapping, calibrated, mapping.neurons(calibrated.neurons))
        return last[2]

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
        stat = path.stat()
        self.calibration = _load(path, stat.st_mtime_ns, stat.st_size)
        self.calib_path = Path(calib_path)
        return self.calibration

    def circuits_to_avoid(self, chip_identifier: str) -> frozenset[int]:
        """Circuits that failed in the loaded calibration, or in those that runs on this chip have needed."""
        if self.calibration is not None:
            return frozenset(self.calibration.defective.tolist())
        return self._failed.get(chip_identifier, frozenset())

    def learn_failed(self, made: CalibrationResult) -> None:
        """Remember the circuits that failed in a calibration made for a run."""
        before = self._failed.get(made.chip_identifier, frozenset())
        self._failed[made.chip_identifier] = before | frozenset(made.defective.tolist())

    def sibling(self) -> ExecutionInstance:
        """Another run on the same chip, with the calibration file of this one, for parts of a network."""
        return _Sibling(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # A copy of a network runs in the same place as the original.
        return self

    def __str__(self) -> str:
        return f"ExecutionInstance(ID={self._id})"

    def __repr__(self) -> str:
        return str(self._id)


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


@lru_cache(maxsize=8)
def _load(path: Path, mtime_ns: int, size: int) -> CalibrationResult:
    """Parse a file once; a changed file has another time stamp or size and is read again."""
    from hxtorch import calibration

    return calibration.load(path)
