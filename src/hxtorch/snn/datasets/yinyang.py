"""The Yin-Yang data set (Kriener et al. 2022): points in a yin-yang symbol, to be told apart by region."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset


class YinYangDataset(Dataset[tuple[Any, int]]):
    """Points (x, y, 1 - x, 1 - y) in the square of side ``2 r_big``, labelled yin, yang or dot.

    * `r_small`, `r_big`: radii of the dots and of the symbol.
    * `size`: number of samples; all classes are drawn with the same probability.
    * `seed`: of the samples. The field's seeds are 42 for training, 41 for validation and 40 for test.
    * `transform`: applied to the array (4,) of a sample when it is read.

    A sample is ``(point, class)``. A dot too large for the symbol: ValueError.
    """

    class_names = ("yin", "yang", "dot")

    def __init__(
        self,
        r_small: float = 0.1,
        r_big: float = 0.5,
        size: int = 1000,
        seed: int = 42,
        transform: Callable[[NDArray[np.float64]], Any] | None = None,
    ) -> None:
        if 2 * r_small >= r_big:
            raise ValueError("Argument 'r_small' must not be larger than 'r_big' / 2")
        self.r_small = r_small
        self.r_big = r_big
        self.transform = transform
        self._random = np.random.RandomState(seed)  # the samples of a seed are published
        samples = [self.get_sample() for _ in range(size)]
        points = np.array([point for point, _ in samples]).reshape(size, 2)
        self.points = np.concatenate([points, 1 - points], axis=1)
        self.classes = np.array([label for _, label in samples], dtype=np.int64)

    def get_sample(self, goal: int | None = None) -> tuple[NDArray[np.float64], int]:
        """Draw a point (2,) of class `goal` (None: of a random class), with its class."""
        wanted = int(self._random.randint(3)) if goal is None else goal
        if wanted not in (0, 1, 2):
            raise ValueError(f"goal is {goal}, but classes are 0 (yin), 1 (yang) and 2 (dot).")
        while True:
            x, y = self._random.rand(2) * 2.0 * self.r_big
            if (x - self.r_big) ** 2 + (y - self.r_big) ** 2 > self.r_big**2:
                continue
            if self.which_class(x, y) == wanted:
                return np.array([x, y]), wanted

    def which_class(self, x: float, y: float) -> int:
        """Return the class of a point in the symbol."""
        right, left = self.dist_to_right_dot(x, y), self.dist_to_left_dot(x, y)
        if right < self.r_small or left < self.r_small:
            return 2
        half = self.r_big / 2
        upper = right <= self.r_small or self.r_small < left <= half or (y > self.r_big and right > half)
        return int(upper)

    def dist_to_right_dot(self, x: float, y: float) -> float:
        """Distance of a point from the centre of the right dot."""
        return float(np.hypot(x - 1.5 * self.r_big, y - self.r_big))

    def dist_to_left_dot(self, x: float, y: float) -> float:
        """Distance of a point from the centre of the left dot."""
        return float(np.hypot(x - 0.5 * self.r_big, y - self.r_big))

    def __getitem__(self, index: int) -> tuple[Any, int]:
        point = self.points[index].copy()
        return (point if self.transform is None else self.transform(point)), int(self.classes[index])

    def __len__(self) -> int:
        return len(self.classes)
