"""A test of some seconds that everything works together: model, twin, calibration, gradients."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from hxtorch.cli.doctor.finding import Finding, Status

MODEL_SPIKES = [22, 35]
"""Output spikes (steps) of the introduction's neuron in mock mode: published, see `docs/introduction.md`."""

REST, PEAK = (-56.0, -42.0), (-25.0, 0.0)
"""Signed CADC LSB in which rest and peak of a calibrated neuron lie on any chip: published -49 and -3, with
the spread from chip to chip and between neurons."""


def self_test() -> Iterator[Finding]:
    """Run the introduction's network in the model and on the standard chip, and one step of training."""
    for name, check in (
        ("self-test: model", _model),
        ("self-test: virtual chip", _chip),
        ("self-test: training on the chip", _training),
    ):
        begin = time.perf_counter()
        try:
            problem, found = check()
        except Exception as error:  # a doctor reports whatever is broken, and goes on
            problem, found = "Report this with the output of `hxtorch info`.", f"{type(error).__name__}: {error}"
        found = f"{found} ({time.perf_counter() - begin:.1f} s)"
        yield Finding(name, Status.FAILED if problem else Status.OK, found, problem)


Check = Callable[[], tuple[str, str]]


def _model() -> tuple[str, str]:
    import torch

    from hxtorch.demo import introduction as intro

    z = intro.emulate(None, intro.input_spikes(*intro.INPUT_STEPS), weight=50)
    assert z.spikes is not None
    steps = torch.nonzero(z.spikes)[:, 0].tolist()
    problem = "" if steps == MODEL_SPIKES else f"Expected spikes at {MODEL_SPIKES}: torch computes wrongly here."
    return problem, f"spikes at {steps} µs"


def _chip() -> tuple[str, str]:
    import torch

    import hxtorch
    from hxtorch import calibration
    from hxtorch.connection import require_chip
    from hxtorch.demo import introduction as intro

    hxtorch.init_hardware()
    try:
        calibrated = calibration.nightly("spiking", require_chip())
        runs = []
        for _ in range(2):
            torch.manual_seed(0)
            z = intro.emulate(calibrated, intro.input_spikes(*intro.INPUT_STEPS), weight=63)
            assert z.membrane_cadc is not None
            runs.append(z.membrane_cadc.detach()[:, 0, 0])
    finally:
        hxtorch.release_hardware()
    rest, peak = runs[0][: intro.INPUT_STEPS[0]].mean().item(), runs[0].max().item()
    found = (
        f"{calibrated.chip_identifier}: rest {rest:.0f}, peak {peak:.0f} LSB; {calibrated.failed.size} of 512 off"
    )
    if not torch.equal(*runs):
        return "The same seed gave two different runs.", found
    if not (REST[0] < rest < REST[1] and PEAK[0] < peak < PEAK[1]):
        return f"Expected a rest in {REST} and a peak in {PEAK} LSB.", found
    return "", found


def _training() -> tuple[str, str]:
    import torch

    import hxtorch
    from hxtorch import calibration
    from hxtorch.connection import require_chip
    from hxtorch.demo import introduction as intro

    torch.manual_seed(0)
    hxtorch.init_hardware()
    try:
        training = intro.Training(calibration.nightly("spiking", require_chip()), intro.random_targets(), 1 / 45)
        losses = training.run(40)
    finally:
        hxtorch.release_hardware()
    problem = "" if losses[-1] < 0.5 * losses[0] else "Expected the loss to fall to less than half."
    return problem, f"loss {losses[0]:.2f} -> {losses[-1]:.2f} in {len(losses)} epochs"
