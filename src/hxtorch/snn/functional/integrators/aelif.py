"""The general neuron and the exponential-Euler neurons as functions, with the arguments that scripts use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hxtorch.snn.functional.integrators.integration import integrate
from hxtorch.snn.functional.model.neuron_model import Adaptation, Exponential, Firing, Measured, Membrane
from hxtorch.snn.functional.model.stepping import check_dt, readable
from hxtorch.snn.parameters.parameter import Value
from hxtorch.snn.shapes import TimeBatchNeuron


class GeneratedStep(str):
    """The equations that `CuBaStepCode.generate` chose, as text to read. It is never executed."""

    flags: CuBaStepCode


@dataclass(frozen=True)
class CuBaStepCode:
    """Which terms an integration has, for scripts that pass them as `integration_step_code`."""

    leaky: bool = True
    fire: bool = True
    refractory: bool = False
    exponential: bool = False
    subthreshold_adaptation: bool = False
    spike_triggered_adaptation: bool = False
    hw_voltage_trace_available: bool = False
    hw_adaptation_trace_available: bool = False
    hw_spikes_available: bool = False

    def generate(self) -> GeneratedStep:
        """The terms as text, to read: what is computed are compiled equations."""
        adaptive = self.subthreshold_adaptation or self.spike_triggered_adaptation
        drive = ["i"]
        drive += ["g (leak - v)"] if self.leaky else []
        drive += ["g D exp((v - v_T)/D)"] if self.exponential else []
        drive += ["-w"] if adaptive else []
        lines = [f"dv = dt/c ({' + '.join(drive)})", "v <- v + dv"]
        lines += ["z = Theta(v - threshold)"] if self.fire else []
        lines += ["w <- w (1 - dt/tau_w) + dt/tau_w a (v - leak) + b z"] if adaptive else []
        lines += ["v <- reset where z = 1"] if self.fire else []
        lines += ["v <- reset, z <- 0 within the refractory period"] if self.refractory else []
        lines += ["i <- i (1 - dt/tau_syn) + x"]
        text = GeneratedStep("\n".join(lines))
        text.flags = self
        return text


def refractory_steps(refractory_time: Value, dt: float) -> Value | None:
    """Number of steps that a neuron stays at reset, ceil(refractory_time/dt); None if it is zero.

    A time that is negative, infinite or NaN: ValueError.
    """
    check_dt(dt)
    _check_range("refractory_time", refractory_time, "at least 0, and finite")
    if isinstance(refractory_time, Tensor):
        steps = torch.ceil(refractory_time.detach() / dt - 1e-6)
        return steps if bool((steps > 0).any()) else None
    return float(math.ceil(refractory_time / dt - 1e-6)) or None


def _check_range(name: str, value: Value, wanted: str, end: float = math.inf) -> None:
    """ValueError unless all values are at least 0 and below `end`; those that cannot be read yet pass."""
    if not isinstance(value, Tensor):
        low = high = value
    elif readable(value):
        low, high = (float(item) for item in value.detach().aminmax())
    else:
        return
    if not (low >= 0 and high < end):
        raise ValueError(f"{name} is {high if low >= 0 else low:g}, but must be {wanted}. Give such a value.")


def cuba_aelif_integration(
    input: TimeBatchNeuron | tuple[TimeBatchNeuron, ...],
    *,
    leak: Value,
    reset: Value,
    threshold: Value,
    tau_syn: Value,
    c_mem: Value,
    g_l: Value,
    refractory_time: Value = 0.0,
    method: str = "superspike",
    alpha: float = 50.0,
    exp_slope: Value = 1.0,
    exp_threshold: Value = 0.0,
    subthreshold_adaptation_strength: Value = 0.0,
    spike_triggered_adaptation_increment: Value = 0.0,
    tau_adap: Value = 1.0,
    hw_data: Any = None,
    dt: float = 1e-6,
    leaky: bool = True,
    fire: bool = True,
    refractory: bool = False,
    exponential: bool = False,
    subthreshold_adaptation: bool = False,
    spike_triggered_adaptation: bool = False,
    integration_step_code: CuBaStepCode | GeneratedStep | None = None,
) -> tuple[
    TimeBatchNeuron, Tensor | None, TimeBatchNeuron, TimeBatchNeuron | None, Tensor | None, TimeBatchNeuron | None
]:
    """Integrate current-based neurons; equations and options as in `neuron_model`.

    `input` (T, B, N) or a tuple of such inputs, which are summed. `hw_data` holds what the chip measured:
    `spikes`, `voltage` and `adaptation`, the latter two with `cadc` and `madc`, or a tuple (spikes, cadc, madc).
    Returns (membrane, membrane_madc, current, adaptation, adaptation_madc, spikes); what there is not is None.

    Where a time constant is shorter than `dt`, its states decay by exp(-dt/tau) per step, which is stable, else by
    1 - dt/tau. `threshold` is also the peak of the exponential term, of neurons that do not fire too. Capacitance,
    time constants, slope or `dt` not above zero, a negative conductance or refractory time: ValueError.

    `integration_step_code` is accepted as None, as `CuBaStepCode` or as what its `generate` returns, and then
    decides which terms there are. Program text is not executed: ValueError.
    """
    if integration_step_code is not None:
        flags = getattr(integration_step_code, "flags", integration_step_code)
        if not isinstance(flags, CuBaStepCode):
            raise ValueError(
                "integration_step_code holds program text, which is never executed here. Leave it out, or pass a "
                "CuBaStepCode with the terms of the equations; for other equations write a module with its own "
                "forward_func."
            )
        leaky, fire, refractory, exponential = flags.leaky, flags.fire, flags.refractory, flags.exponential
        subthreshold_adaptation = flags.subthreshold_adaptation
        spike_triggered_adaptation = flags.spike_triggered_adaptation
    x = input if isinstance(input, Tensor) else sum(input[1:], start=input[0])
    measured, membrane_madc, adaptation_madc = _measured(hw_data)
    steps = refractory_steps(refractory_time, dt) if refractory else None
    adaptive = subthreshold_adaptation or spike_triggered_adaptation
    states = integrate(
        x,
        Membrane(leak, tau_syn, c_mem, g_l, leaky),
        Firing(threshold, reset, method, alpha, steps) if fire else None,
        Exponential(exp_slope, exp_threshold, threshold) if exponential else None,
        Adaptation(
            tau_adap,
            subthreshold_adaptation_strength if subthreshold_adaptation else 0.0,
            spike_triggered_adaptation_increment if spike_triggered_adaptation else 0.0,
        )
        if adaptive
        else None,
        measured,
        dt,
    )
    return states.membrane, membrane_madc, states.current, states.adaptation, adaptation_madc, states.spikes


def _measured(hw_data: Any) -> tuple[Measured | None, Tensor | None, Tensor | None]:
    """Traces and spikes of the chip, and the MADC samples of membrane and adaptation."""
    if hw_data is None:
        return None, None, None
    if isinstance(hw_data, tuple):
        spikes, cadc, madc = (*hw_data, None, None, None)[:3]
        return Measured(cadc, spikes), madc, None
    voltage, adaptation = getattr(hw_data, "voltage", None), getattr(hw_data, "adaptation", None)
    measured = Measured(
        getattr(voltage, "cadc", None), getattr(hw_data, "spikes", None), getattr(adaptation, "cadc", None)
    )
    return measured, getattr(voltage, "madc", None), getattr(adaptation, "madc", None)


def exp_cuba_lif_integration(
    input: TimeBatchNeuron,
    leak: Value,
    reset: Value,
    threshold: Value,
    tau_syn_exp: Value,
    tau_mem_exp: Value,
    hw_data: Any = None,
    method: str = "superspike",
    alpha: float = 50.0,
) -> tuple[TimeBatchNeuron, TimeBatchNeuron, TimeBatchNeuron, Tensor | None]:
    """Neurons stepped with the exact decay of membrane and current (exponential Euler).

    `tau_mem_exp` and `tau_syn_exp` are the factors exp(-dt/tau): ``v <- a (v - leak) + leak + (1 - a) i`` and
    ``i <- s i + x``. Factors below 0, or not below 1: ValueError. `hw_data` is (spikes, cadc, madc).
    Returns (spikes, membrane, current, membrane_madc).
    """
    measured, madc, _ = _measured(hw_data)
    firing = Firing(threshold, reset, method, alpha)
    states = integrate(input, _exponential_euler(leak, tau_syn_exp, tau_mem_exp), firing, measured=measured, dt=1.0)
    assert states.spikes is not None
    return states.spikes, states.membrane, states.current, madc


def exp_cuba_li_integration(
    input: TimeBatchNeuron, leak: Value, tau_syn_exp: Value, tau_mem_exp: Value, hw_data: Any = None
) -> tuple[TimeBatchNeuron, TimeBatchNeuron, Tensor | None]:
    """As `exp_cuba_lif_integration` without spikes; `hw_data` is (cadc, madc): (membrane, current, madc)."""
    cadc, madc = (*hw_data, None)[:2] if hw_data is not None else (None, None)
    membrane = _exponential_euler(leak, tau_syn_exp, tau_mem_exp)
    states = integrate(input, membrane, measured=Measured(cadc), dt=1.0)
    return states.membrane, states.current, madc


def _exponential_euler(leak: Value, tau_syn_exp: Value, tau_mem_exp: Value) -> Membrane:
    """The same step as forward Euler with dt = 1 and time constants 1/(1 - factor)."""
    for name, factor in (("tau_syn_exp", tau_syn_exp), ("tau_mem_exp", tau_mem_exp)):
        _check_range(name, factor, "a factor exp(-dt/tau), at least 0 and below 1", 1.0)
    return Membrane(leak, tau_syn=1 / (1 - tau_syn_exp), c=1 / (1 - tau_mem_exp))
