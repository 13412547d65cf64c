"""The fully connected layer."""

from __future__ import annotations

from torch import Tensor

from hxtorch.perceptron import constants as c
from hxtorch.perceptron.elementwise import add
from hxtorch.perceptron.nn.layer import MACLayer, Transform
from hxtorch.perceptron.nn.scaling import clamp_weight_
from hxtorch.perceptron.product import matmul


class Linear(MACLayer):
    """``x @ weight.T + bias`` on the synapse matrix: (..., in_features) to (..., out_features).

    With `avg` every output is computed on that many columns and averaged. The bias is quantised to 8 bits.
    Other arguments as in `MACLayer`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        num_sends: int | None = None,
        wait_between_events: int = c.defaults.wait_between_events,
        mock: bool = False,
        *,
        avg: int = 1,
        input_transform: Transform | None = None,
        weight_transform: Transform | None = clamp_weight_,
    ) -> None:
        super().__init__(
            num_sends,
            wait_between_events,
            mock,
            input_transform=input_transform,
            weight_transform=weight_transform,
        )
        if avg < 1:
            raise ValueError(f"avg is {avg}, but every output is computed at least once.")
        self.in_features = in_features
        self.out_features = out_features
        self.avg = avg
        self._matmul = matmul
        self.make_parameters((out_features, in_features), bias)

    def forward(self, input: Tensor) -> Tensor:
        """Multiply, average over `avg` columns, add the bias."""
        x, weight = self.transformed(input)
        matrix = weight.t() if self.avg == 1 else weight.t().repeat(1, self.avg)
        result = self._matmul(x, matrix, **self.options)
        if self.avg > 1:
            result = result.reshape(*result.shape[:-1], self.avg, self.out_features).mean(-2)
        return result if self.bias is None else add(result, self.bias, mock=self.mock)
