"""The peers of networks, for the tests of networks."""

from tests.peers import timm_models, torchvision_models

__all__ = ["timm_models", "torchvision_models"]
