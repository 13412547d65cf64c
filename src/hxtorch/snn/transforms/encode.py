"""From data to spikes. Data are tensors on any device, arrays of numpy or lists."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hxtorch.snn.transforms.arguments import Values, at_least_one, dense_tensor, finite, positive
from hxtorch.snn.transforms.time_grid import check_resolution, first_index, in_steps, type_epsilon


class PixelsToSpikeTimes(nn.Module):
    """Latency code: the time at which an integrator driven by the pixel value reaches the threshold.

    ``t = tau ln(p / (p - threshold))``, at most `t_max`; a pixel below the threshold spikes at `t_max`.
    `epsilon` keeps the logarithm finite.
    """

    def __init__(
        self, tau: float = 20.0, threshold: float = 0.2, t_max: float = 1.0, epsilon: float = 1e-7
    ) -> None:
        super().__init__()
        self.tau = positive("tau", tau)
        if finite("threshold", threshold) < 0:
            raise ValueError(f"threshold is {threshold:g}, but must be 0 or above.")
        self.threshold = threshold
        self.t_max = positive("t_max", t_max)
        self.epsilon = positive("epsilon", epsilon)

    def forward(self, pixels: Values) -> Tensor:
        """Spike times, of the shape of `pixels`, in the unit of `tau`.

        Integers give times in torch's default type. Sparse pixels are 0 where they have no entry. A pixel that is
        NaN or infinite raises ValueError.
        """
        values = dense_tensor(pixels, "The pixels")
        if not values.is_floating_point():
            values = values.to(torch.get_default_dtype())
        _check_finite(values, "pixel")
        bright = values.clamp(min=self.threshold + self.epsilon)
        above = bright - self.threshold
        # Where the type cannot hold `epsilon` beside the threshold, the time is t_max and the gradient 0, not NaN.
        late = (values < self.threshold) | (above <= 0)
        times = (self.tau * torch.log(bright / above.masked_fill(above <= 0, 1.0))).clamp(0, self.t_max)
        return torch.where(late, torch.full_like(times, self.t_max), times)


class SpikeTimesToSparseTensor(nn.Module):
    """Spike times to bins: ``bin = floor(t / bin_width)``, of `size` bins that begin at 0.

    A time that was meant to be ``k bin_width`` is in bin k, whatever type it was rounded to: within two epsilons of
    its type, relative (2.4e-7 in float32), and at least 1e-6 bins. The bins cover ``0 <= t < size bin_width``: a
    time at the end or later is dropped, and so is an infinite one: there is no spike.
    """

    def __init__(self, bin_width: float, size: int = 100) -> None:
        super().__init__()
        self.bin_width = positive("bin_width", bin_width)
        self.size = at_least_one("size", size)

    def forward(self, spike_times: Values) -> Tensor:
        """Sparse integers (size, *shape) for `spike_times` of any shape, in the unit of `bin_width`.

        ValueError: a time is NaN or before 0, or its type is too coarse for the bins (float16, bfloat16).
        TypeError: the times are sparse, or no numbers.
        """
        times = dense_tensor(spike_times, "The spike times", torch.float64)
        if isinstance(spike_times, Tensor) and spike_times.layout != torch.strided:
            raise TypeError(
                f"The spike times are {spike_times.layout}: every missing entry would be a spike at 0. "
                "Give them dense, with inf where there is no spike."
            )
        bins = in_steps(times, self.bin_width).floor()
        wrong = bins.isnan() | (bins < 0)
        if bool(wrong.any()):
            index = first_index(wrong)
            raise ValueError(
                f"The spike time at {index} is {float(times[index]):g}, but bins begin at 0. "
                "Give times from 0 on, and inf where there is no spike."
            )
        check_resolution(times, self.bin_width, self.size, "The spike times")
        keep = bins < self.size
        indices = torch.cat([bins[keep].long().unsqueeze(0), keep.nonzero().t()])
        values = torch.ones(indices.shape[1], dtype=torch.long, device=bins.device)
        shape = (self.size, *times.shape)
        return torch.sparse_coo_tensor(indices, values, shape, check_invariants=True)


class SpikeTimesToDense(SpikeTimesToSparseTensor):
    """Like `SpikeTimesToSparseTensor`, but dense."""

    def forward(self, spike_times: Values) -> Tensor:
        """Integers (size, *shape) for `spike_times` of any shape, in the unit of `bin_width`; errors alike."""
        return super().forward(spike_times).to_dense()


class CoordinatesToSpikes(nn.Module):
    """One spike per coordinate in [0, 1], between `t_early` and `t_late`, and optionally one at `t_bias`.

    All times are in seconds. The time ``t_early + c (t_late - t_early)`` falls into the row round(t/dt), half
    to even; the bias into the row floor(t_bias/dt) of one more channel. `seq_length` is the number of rows.

    Times are computed in double precision, from coordinates of any type. What is within rounding of the
    coordinates' type of half a row is half a row, so 0.05 in float32 and in float64 give the same row; and a
    `t_bias` that was meant to be ``k dt`` is in row k.
    """

    def __init__(
        self, seq_length: int, t_early: float, t_late: float, dt: float = 1e-6, t_bias: float | None = None
    ) -> None:
        super().__init__()
        self.seq_length = at_least_one("seq_length", seq_length)
        self.t_early = finite("t_early", t_early)
        self.t_late = finite("t_late", t_late)
        self.dt = positive("dt", dt)
        self.t_bias = None if t_bias is None else finite("t_bias", t_bias)

    def forward(self, coordinates: Values) -> Tensor:
        """Spikes (seq_length, B, C), or (seq_length, B, C + 1) with a bias, for coordinates (B, C).

        There may be no, or more, dimensions in place of B. ValueError: a coordinate is NaN or infinite, or a spike
        falls into no row, as at ``seq_length dt``, the end. Sparse coordinates are 0 where they have no entry.
        """
        points = dense_tensor(coordinates, "The coordinates", torch.float64)
        if points.ndim == 0:
            raise ValueError("The coordinates are a single number, expected (batch, channel).")
        _check_finite(points, "coordinate")
        rows = self._rows(points)
        if self.t_bias is not None:
            time = torch.tensor(float(self.t_bias), dtype=torch.float64)
            bias = float(in_steps(time, self.dt).floor())
            rows = torch.cat([rows, rows.new_full((*rows.shape[:-1], 1), bias)], dim=-1)
        first, last = (int(row) for row in rows.aminmax()) if rows.numel() else (0, 0)
        if first < 0 or last >= self.seq_length:
            raise ValueError(
                f"Spikes fall into rows {first}..{last}, but there are {self.seq_length}. "
                "Raise seq_length, or keep the coordinates in 0..1 and the times within the sequence."
            )
        spikes = torch.zeros((self.seq_length, *rows.shape), device=points.device)
        return spikes.scatter_(0, rows.long().unsqueeze(0), 1.0)

    def _rows(self, points: Tensor) -> Tensor:
        """Rows of the coordinates, whole numbers in double precision."""
        span = float(self.t_late) - float(self.t_early)
        exact = points.detach().to(torch.float64)
        # Coordinates as 1 - x are as exact as numbers around 1 are, however small they may be.
        error = 2 * type_epsilon(points) * exact.abs().clamp(min=1) * abs(span)
        return in_steps(float(self.t_early) + exact * span, self.dt, error).round()


def _check_finite(values: Tensor, name: str) -> None:
    wrong = ~torch.isfinite(values)
    if bool(wrong.any()):
        index = first_index(wrong)
        raise ValueError(f"The {name} at {index} is {float(values[index]):g}. Give finite numbers.")
