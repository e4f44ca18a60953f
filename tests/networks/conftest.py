"""The peers of networks, for the tests of networks."""

from tests.peers import torchvision_models

__all__ = ["torchvision_models"]
