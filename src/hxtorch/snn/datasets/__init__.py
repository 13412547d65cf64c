"""Data sets. None of them downloads anything; those of images say how to get their files."""

from hxtorch.snn.datasets.images import MNIST, FashionMNIST, ImageDataset
from hxtorch.snn.datasets.missing import MissingDataError
from hxtorch.snn.datasets.syllables import SyllableDataset
from hxtorch.snn.datasets.yinyang import YinYangDataset

__all__ = [
    "MNIST",
    "FashionMNIST",
    "ImageDataset",
    "MissingDataError",
    "SyllableDataset",
    "YinYangDataset",
]
