"""What no chip can do is refused at the door, with the value and the limit."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from hxtorch.twin import (
    ChipConfig,
    CommonConfig,
    ConfigError,
    Die,
    InputEvents,
    NeuronConfig,
    Noise,
    PlasticityConfig,
    Program,
    ProgramError,
    Record,
    RoutingConfig,
    VirtualChip,
)

CODES = [item.name for item in fields(NeuronConfig) if item.name.startswith(("v_", "i_"))]


@pytest.mark.parametrize("name", CODES)
def test_capmem_codes(name: str) -> None:
    for bad in (-1.0, 1022.5, float("nan"), float("inf")):
        codes = np.full(512, 100.0)
        codes[37] = bad
        with pytest.raises(ConfigError, match=rf"{name}\[37\] is {bad}, .* 0 to 1022.*1 of 512"):
            NeuronConfig(**{name: codes})
    NeuronConfig(**{name: np.linspace(0, 1022, 512)})
    with pytest.raises(ConfigError, match=rf"{name} has shape \(511,\), expected \(512,\)"):
        NeuronConfig(**{name: np.zeros(511)})


@pytest.mark.parametrize(
    "name, limit",
    [
        ("membrane_capacitance", 63),
        ("refractory_counter", 255),
        ("refractory_clock", 1),
        ("readout_source", 3),
        ("label", 255),
    ],
)
def test_digital_registers(name: str, limit: int) -> None:
    NeuronConfig(**{name: np.full(512, limit)})
    for bad in (-1, limit + 1):
        with pytest.raises(ConfigError, match=rf"{name}\[0\] is {bad}, .* 0 to {limit}"):
            NeuronConfig(**{name: np.full(512, bad)})


@pytest.mark.parametrize(
    "name, bad",
    [
        ("synapse_dac_bias", np.full(4, 1023.0)),
        ("synapse_dac_bias", np.full(3, 600.0)),
        ("cadc_ramp_offset", np.array([0, 0, np.nan, 0])),
        ("cadc_ramp_slope", np.zeros(4)),
        ("cadc_offset", np.full(512, 128)),
        ("cadc_offset", np.zeros(4, dtype=np.int64)),
        ("refractory_clock_scale", (3, 16)),
        ("refractory_clock_scale", (3,)),
        ("cadc_test_voltage", float("nan")),
        ("cadc_test_voltage", 1500.0),
    ],
)
def test_common_registers(name: str, bad: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        CommonConfig(**{name: bad})


@pytest.mark.parametrize(
    "name, bad",
    [
        ("labels", np.full((2, 256, 256), 64, dtype=np.uint8)),
        ("labels", np.zeros((2, 256, 255), dtype=np.uint8)),
        ("row_mode", np.full((2, 256), 3, dtype=np.uint8)),
        ("row_mode", np.zeros((1, 256), dtype=np.uint8)),
        ("driver_mask", np.full((2, 128), 32, dtype=np.uint8)),
        ("driver_mask", np.zeros((2, 64), dtype=np.uint8)),
    ],
)
def test_routing_registers(name: str, bad: np.ndarray) -> None:
    with pytest.raises(ConfigError, match=name):
        RoutingConfig(**{name: bad})


def test_weights() -> None:
    with pytest.raises(ConfigError, match=r"64.*0 to 63"):
        ChipConfig(weights=np.full((2, 256, 256), 64, dtype=np.uint8))
    for wrong in (np.zeros((2, 256, 255), dtype=np.uint8), np.zeros((2, 256, 256), dtype=np.int64)):
        with pytest.raises(ConfigError, match="expected uint8 of shape"):
            ChipConfig(weights=wrong)


def test_programs() -> None:
    config = ChipConfig()
    with pytest.raises(ProgramError, match="batch size is 0"):
        Program(config, 0, 100)
    for runtime in (0, -5, 2**32):
        with pytest.raises(ProgramError, match=rf"run time is {runtime} cycles.*4294967295"):
            Program(config, 1, runtime)
    for name in ("spikes", "cadc", "madc", "trace"):
        with pytest.raises(ProgramError, match=rf"Record.{name} names a circuit outside 0..511"):
            Program(config, 1, 100, record=Record(**{name: np.array([512])}))
        with pytest.raises(ProgramError, match=rf"Record.{name} names a circuit outside 0..511"):
            Program(config, 1, 100, record=Record(**{name: np.array([-1])}))
        with pytest.raises(ProgramError, match=rf"Record.{name} names a circuit twice"):
            Program(config, 1, 100, record=Record(**{name: np.array([4, 4])}))
    with pytest.raises(ProgramError, match="nothing to run"):
        VirtualChip(Die.ideal(), Noise.off()).run(Program(config, 1, 100))


@pytest.mark.parametrize("resets", [(-5,), (200,)])
def test_resets_lie_within_the_run(resets: tuple[int, ...]) -> None:
    with pytest.raises(ProgramError, match="reset"):
        VirtualChip(Die.ideal(), Noise.off()).run(
            Program(ChipConfig(), 1, 100, record=Record(trace=np.array([0])), resets=resets)
        )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"entry": np.array([0, 2])}, "no batch entry 0..1"),
        ({"entry": np.array([-1, 0])}, "no batch entry 0..1"),
        ({"source": np.array([0, 1])}, "source without an address"),
        ({"source": np.array([-1, 0])}, "source without an address"),
        ({"time": np.array([-1, 5])}, "before the start"),
        ({"time": np.array([6, 5])}, "sorted"),
        ({"entry": np.array([1, 0])}, "sorted"),
        ({"time": np.array([5])}, "one entry, one time and one source"),
        ({"addresses": np.array([1 << 16])}, "address"),
        ({"addresses": np.array([-1])}, "address"),
    ],
)
def test_input_events(change: dict[str, np.ndarray], message: str) -> None:
    events = InputEvents(np.array([0, 0]), np.array([3, 5]), np.array([0, 0]), np.array([1]))
    task = Program(ChipConfig(), 2, 100, events, Record(trace=np.array([0])))
    VirtualChip(Die.ideal(), Noise.off()).run(task)
    with pytest.raises(ProgramError, match=message):
        VirtualChip(Die.ideal(), Noise.off()).run(replace(task, events=replace(events, **change)))


def test_joined_circuits() -> None:
    """Joined circuits stay within their row and have one spike output."""
    off, one = np.zeros(512, dtype=np.bool_), np.zeros(512, dtype=np.bool_)
    one[255] = True
    with pytest.raises(ConfigError, match=r"connect_right\[255\] is on.*no neighbour"):
        NeuronConfig(connect_right=one)
    right, vertical, spiking = off.copy(), off.copy(), off.copy()
    right[[3, 4]] = vertical[260] = True
    spiking[[5, 260, 100]] = True
    with pytest.raises(ConfigError, match=r"circuits \[5, 260\], whose membranes are joined"):
        NeuronConfig(connect_right=right, connect_vertical=vertical, enable_threshold=spiking)
    apart = spiking.copy()
    apart[260] = False
    NeuronConfig(connect_right=right, connect_vertical=vertical, enable_threshold=apart)


def test_plasticity_registers() -> None:
    with pytest.raises(ConfigError, match=r"utilization\[0, 0\] is 16"):
        PlasticityConfig(utilization=np.full((2, 128), 16, dtype=np.uint8))
    with pytest.raises(ConfigError, match="v_charge"):
        PlasticityConfig(v_charge=(0.0, 1023.0))
