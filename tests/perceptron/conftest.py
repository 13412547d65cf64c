import pytest
import torch

from hxtorch import perceptron as hp


@pytest.fixture(autouse=True)
def _fresh_parameters():
    torch.manual_seed(5)
    yield
    hp.set_mock_parameter(hp.MockParameter())


@pytest.fixture
def no_noise():
    hp.set_mock_parameter(
        hp.MockParameter(noise_std=0.0, gain=2.0**-9)
    )  # a power of two: products are exact, so is rounding down
