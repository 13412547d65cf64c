"""Images of digits and of clothes, in full size and in the 16x16 pixels that fit on the chip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from hxtorch.snn.datasets.image_files import Part, load_fashion_mnist, load_mnist

_BORDER = 2  # outermost rows and columns, which hold next to nothing


class ImageDataset(Dataset[tuple[Any, int]]):
    """Grey images with ten classes.

    * `train`: the training set (60000), else the test set (10000).
    * `size`: None for 28x28, or the side to which the images are scaled after their two outermost rows and
      columns were cut off; 16 is that of Cramer et al. 2022.
    * `folder`: where the files are; None looks in the usual places (`hxtorch.snn.datasets.image_files`).
    * `transform`: applied to an image (side, side) when it is read.

    `images` (n, side, side) has values from 0 (black) to 1, `labels` (n,) the classes. Without the files:
    `MissingDataError`, which says how to get them.
    """

    class_names: ClassVar[tuple[str, ...]] = tuple(map(str, range(10)))
    _load: ClassVar[Callable[[Path | None], tuple[Part, Part]]]

    def __init__(
        self,
        train: bool = True,
        *,
        size: int | None = None,
        folder: str | Path | None = None,
        transform: Callable[[Tensor], Any] | None = None,
    ) -> None:
        parts = type(self)._load(None if folder is None else Path(folder))
        images, labels = parts[0] if train else parts[1]
        self.images = torch.from_numpy(images)
        if size is not None:
            self.images = shrink(self.images, size)
        self.labels = torch.from_numpy(labels)
        self.transform = transform

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = self.images[index]
        return (image if self.transform is None else self.transform(image)), int(self.labels[index])

    def __len__(self) -> int:
        return len(self.labels)


class MNIST(ImageDataset):
    """Handwritten digits."""

    _load = staticmethod(load_mnist)


class FashionMNIST(ImageDataset):
    """Clothes and bags (Xiao et al. 2017)."""

    class_names = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
    _load = staticmethod(load_fashion_mnist)


def shrink(images: Tensor, size: int) -> Tensor:
    """Cut the outermost two rows and columns off (n, h, w), and scale to (n, size, size) with a linear filter."""
    if not 1 <= size <= images.shape[1] - 2 * _BORDER:
        raise ValueError(
            f"size is {size}, but images of {images.shape[1]} pixels without their border of {_BORDER} can be "
            f"scaled to 1..{images.shape[1] - 2 * _BORDER}."
        )
    inner = images[:, None, _BORDER:-_BORDER, _BORDER:-_BORDER]
    scaled = F.interpolate(inner, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return scaled[:, 0].clamp(0, 1)
