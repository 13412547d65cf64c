"""Gradients of a neuron model: against finite differences where it is smooth, and through spikes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor

from hxtorch.snn import functional as F
from hxtorch.snn.modules import Population
from hxtorch.testing.checks import require
from hxtorch.testing.neuron_base import loss_of, require_close, weights_like
from hxtorch.testing.neuron_values import NeuronValues

STEP = 1e-5  # of a finite difference, relative


class NeuronGradients(NeuronValues):
    """Tests of gradients."""

    def test_gradient_of_the_input(self) -> None:
        """Below the threshold, what reaches the input is the derivative of membrane and current."""
        if not self.smooth:
            return
        neuron = self.make().double()
        x = self.input(self.weak, dtype=torch.float64).requires_grad_()
        loss = self.smooth_loss(neuron, x)
        (gradient,) = torch.autograd.grad(loss, x)
        for seed in range(3):
            direction = weights_like(x, seed) - 1

            def moved(h: float, along: Tensor = direction) -> Tensor:
                return self.smooth_loss(neuron, x.detach() + h * along)

            found = self.weak * float((gradient * direction).sum())
            self._require_slope(found, moved, self.weak, loss, "The gradient of the input along a random line")

    def test_gradients_of_parameters(self) -> None:
        """Below the threshold, what reaches trained parameters is the derivative; of the others there is none."""
        if not self.smooth:
            return
        x = self.input(self.weak, dtype=torch.float64)
        neuron = self.make().double()
        for name in self.checked_parameters(neuron):
            neuron = self.make()
            parameter = neuron.params[name].make_trainable()
            neuron.double()
            value = parameter.model_value
            assert isinstance(value, Tensor)
            loss = self.smooth_loss(neuron, x)
            found = torch.autograd.grad(loss, value, allow_unused=True)[0] if loss.requires_grad else None
            scale = float(value.detach().abs().max()) or 1.0
            start = value.detach().clone()

            def moved(
                h: float, value: Tensor = value, start: Tensor = start, neuron: Population = neuron
            ) -> Tensor:
                value.data = start + h
                return self.smooth_loss(neuron, x)

            whole = 0.0 if found is None else scale * float(found.sum())
            self._require_slope(whole, moved, scale, loss, f"The gradient of {name}, times its value")

    def _require_slope(
        self, found: float, moved: Callable[[float], Tensor], scale: float, loss: Tensor, what: str
    ) -> None:
        """AssertionError if `found` is not the derivative of a loss that `moved` by a number, times `scale`."""
        with torch.no_grad():
            above, below = (float(moved(h * scale)) for h in (STEP, -STEP))
        expected = (above - below) / (2 * STEP)
        limit = self.slope_tolerance * max(abs(expected), 1e-3 * abs(float(loss.detach())))
        require(
            abs(found - expected) <= limit, f"{what} is {found:.8g}, but the finite difference is {expected:.8g}."
        )

    def smooth_loss(self, neuron: Population, x: Tensor) -> Tensor:
        """A sum over everything that the neurons show of `x` but spikes; AssertionError if they fire."""
        shown = self.observe(neuron, x)
        fired = shown.pop("spikes", None)
        require(
            fired is None or not fired.detach().any(),
            f"Input of strength {self.weak:g} makes the neurons fire. Choose `weak` lower.",
        )
        total = sum((weights_like(tensor) * tensor).sum() for tensor in shown.values())
        assert isinstance(total, Tensor)
        return total

    def test_gradients_pass_spikes(self) -> None:
        """The gradient of every observable reaches the input through spikes, and is finite."""
        neuron = self.make()
        x = self.input(self.strong).requires_grad_()
        shown = self.observe(neuron, x)
        if self.spikes:
            require(bool(shown["spikes"].any()), f"Input of strength {self.strong:g} makes no neuron fire.")
        for name in ("spikes",) if self.spikes and not self.smooth else tuple(shown):
            require(shown[name].requires_grad, f"{name} has no gradient: it is cut off from the input.")
            (gradient,) = torch.autograd.grad(loss_of(shown, (name,)), x, retain_graph=True)
            require(bool(gradient.isfinite().all()), f"The gradient of {name} holds NaN or infinite values.")
            require(bool(gradient.any()), f"The gradient of {name} is 0 everywhere.")

    def test_gradients_of_parameters_pass_spikes(self) -> None:
        """Trained parameters get gradients when the neurons fire, which are finite; some of them are not zero."""
        neuron = self.make()
        checked = self.checked_parameters(neuron)
        for parameter in checked.values():
            parameter.make_trainable()
        if not checked:
            return
        loss = loss_of(self.observe(neuron, self.input(self.strong)))
        names, values = zip(*((name, item.model_value) for name, item in checked.items()), strict=True)
        found = torch.autograd.grad(loss, values, allow_unused=True)
        for name, gradient in zip(names, found, strict=True):
            if gradient is not None:
                require(
                    bool(gradient.isfinite().all()), f"The gradient of {name} is {gradient} where neurons fire."
                )
        reached = any(gradient is not None and bool(gradient.any()) for gradient in found)
        require(reached, f"No gradient reaches any of the trained parameters {', '.join(names)}.")

    def test_gradients_do_not_come_from_the_past(self) -> None:
        """Rows of an observable have no gradient at later inputs, and none at other batch entries and neurons."""
        neuron, at = self.make(), self.steps // 2
        x = self.input(self.strong).requires_grad_()
        shown = self.observe(neuron, x)
        for name in ("spikes",) if self.spikes and not self.smooth else tuple(shown):
            (gradient,) = torch.autograd.grad(shown[name][at, 0].sum(), x, retain_graph=True)
            require(not gradient[at + 1 :].any(), f"Step {at} of {name} has a gradient at later inputs.")
            require(not gradient[:, 1:].any(), f"Batch entry 0 of {name} has a gradient at other batch entries.")

    def test_gradients_beside_a_chip(self) -> None:
        """Where the chip's data stand in for spikes and membrane, gradients of the model reach the input."""
        if not self.takes_hw_data:
            return
        neuron = self.make()
        x = self.input(self.strong).requires_grad_()
        shown = self.with_hardware_data(neuron, x, self.hardware_data(neuron, x))
        name = "spikes" if self.spikes else "membrane_cadc"
        require(shown[name].requires_grad, f"With data of the chip, {name} has no gradient.")
        (gradient,) = torch.autograd.grad(loss_of(shown, (name,)), x)
        require(
            bool(gradient.isfinite().all() and gradient.any()),
            f"With data of the chip, the gradient of {name} at the input is 0 everywhere, or not finite.",
        )

    def test_gradients_of_kernels_and_plain_torch_agree(self) -> None:
        """With `hxtorch.snn.functional.reference_numerics`, and in float64, surrogate gradients are the same."""
        found: list[Tensor] = []
        for double, plain in ((False, False), (False, True), (True, False)):
            neuron = self.make()
            x = self.input(self.strong, dtype=torch.float64 if double else torch.float32).requires_grad_()
            neuron = neuron.double() if double else neuron
            with F.reference_numerics() if plain else nullcontext():
                found += torch.autograd.grad(loss_of(self.observe(neuron, x)), x)
        for gradient, how in zip(found[1:], ("with reference_numerics", "in float64"), strict=True):
            require_close(gradient, found[0], 10 * self.tolerance, f"The gradient of the input {how}")
