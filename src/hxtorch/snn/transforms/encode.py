"""From data to spikes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PixelsToSpikeTimes(nn.Module):
    """Latency code: the time at which an integrator driven by the pixel value reaches the threshold.

    ``t = tau ln(p / (p - threshold))``, at most `t_max`; a pixel below the threshold spikes at `t_max`.
    `epsilon` keeps the logarithm finite.
    """

    def __init__(
        self, tau: float = 20.0, threshold: float = 0.2, t_max: float = 1.0, epsilon: float = 1e-7
    ) -> None:
        super().__init__()
        self.tau = tau
        self.threshold = threshold
        self.t_max = t_max
        self.epsilon = epsilon

    def forward(self, pixels: Tensor) -> Tensor:
        """Spike times, of the shape of `pixels`."""
        bright = pixels.clamp(min=self.threshold + self.epsilon)
        times = (self.tau * torch.log(bright / (bright - self.threshold))).clamp(0, self.t_max)
        return torch.where(pixels < self.threshold, torch.full_like(times, self.t_max), times)


class SpikeTimesToSparseTensor(nn.Module):
    """Spike times to bins: ``bin = trunc(t / bin_width)``; bins beyond `size` are dropped."""

    def __init__(self, bin_width: float, size: int = 100) -> None:
        super().__init__()
        self.bin_width = bin_width
        self.size = size

    def forward(self, spike_times: Tensor) -> Tensor:
        """Sparse integers (size, *shape) for `spike_times` of any shape."""
        bins = (spike_times / self.bin_width).long()
        keep = bins < self.size
        indices = torch.cat([bins[keep].unsqueeze(0), keep.nonzero().t()])
        values = torch.ones(indices.shape[1], dtype=torch.long, device=bins.device)
        shape = (self.size, *spike_times.shape)
        return torch.sparse_coo_tensor(indices, values, shape, check_invariants=True)


class SpikeTimesToDense(SpikeTimesToSparseTensor):
    """Like `SpikeTimesToSparseTensor`, but dense."""

    def forward(self, spike_times: Tensor) -> Tensor:
        """Integers (size, *shape) for `spike_times` of any shape."""
        return super().forward(spike_times).to_dense()


class CoordinatesToSpikes(nn.Module):
    """One spike per coordinate in [0, 1], between `t_early` and `t_late`, and optionally one at `t_bias`.

    All times are in seconds. The time ``t_early + c (t_late - t_early)`` falls into the row round(t/dt), half
    to even; the bias into the row trunc(t_bias/dt) of one more channel. `seq_length` is the number of rows.
    """

    def __init__(
        self, seq_length: int, t_early: float, t_late: float, dt: float = 1e-6, t_bias: float | None = None
    ) -> None:
        super().__init__()
        self.seq_length = seq_length
        self.t_early = t_early
        self.t_late = t_late
        self.dt = dt
        self.t_bias = t_bias

    def forward(self, coordinates: Tensor) -> Tensor:
        """Spikes (seq_length, B, C), or (seq_length, B, C + 1) with a bias, for coordinates (B, C)."""
        times = self.t_early + coordinates * (self.t_late - self.t_early)
        rows = torch.round(times / self.dt).long()
        if self.t_bias is not None:
            bias = torch.full_like(rows[:, :1], int(self.t_bias / self.dt))
            rows = torch.cat([rows, bias], dim=1)
        first, last = (int(row) for row in rows.aminmax()) if rows.numel() else (0, 0)
        if first < 0 or last >= self.seq_length:
            raise ValueError(
                f"Spikes fall into rows {first}..{last}, but there are {self.seq_length}. "
                "Raise seq_length, or keep the coordinates in 0..1 and the times within the sequence."
            )
        spikes = torch.zeros((self.seq_length, *rows.shape), device=coordinates.device)
        return spikes.scatter_(0, rows.unsqueeze(0), 1.0)
