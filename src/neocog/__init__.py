"""neocog: the classic convolutional networks as their papers print them.

    import neocog

    net = neocog.create("lenet_relu")
    data = neocog.load("fashion-mnist")
    run = neocog.train(net, data, epochs=3)
    run.plot()

Names are loaded when they are first used: importing neocog imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neocog.api import Run, plan, resume, train
    from neocog.api import open_run as open  # noqa: F401
    from neocog.asking import Pretrained
    from neocog.data.dataset import Dataset
    from neocog.data.loading import load, load_folder
    from neocog.data.spec import InputSpec
    from neocog.errors import DataError, NeocogError, UsageError
    from neocog.networks import NETWORKS, create, vgg
    from neocog.protocols import evaluate
    from neocog.recipe import Recipe
    from neocog.reporting.making import write_report
    from neocog.verifying import verify

__version__ = "0.1.0"
# without "open", which `from neocog import *` would put over Python's own
__all__ = [
    "NETWORKS",
    "DataError",
    "Dataset",
    "InputSpec",
    "NeocogError",
    "Pretrained",
    "Recipe",
    "Run",
    "UsageError",
    "create",
    "evaluate",
    "load",
    "load_folder",
    "plan",
    "resume",
    "train",
    "verify",
    "vgg",
    "write_report",
]

_HOMES = {
    "NETWORKS": ("neocog.networks", "NETWORKS"),
    "create": ("neocog.networks", "create"),
    "vgg": ("neocog.networks", "vgg"),
    "Dataset": ("neocog.data.dataset", "Dataset"),
    "load": ("neocog.data.loading", "load"),
    "load_folder": ("neocog.data.loading", "load_folder"),
    "InputSpec": ("neocog.data.spec", "InputSpec"),
    "Pretrained": ("neocog.asking", "Pretrained"),
    "evaluate": ("neocog.protocols", "evaluate"),
    "Recipe": ("neocog.recipe", "Recipe"),
    "Run": ("neocog.api", "Run"),
    "open": ("neocog.api", "open_run"),
    "plan": ("neocog.api", "plan"),
    "resume": ("neocog.api", "resume"),
    "train": ("neocog.api", "train"),
    "verify": ("neocog.verifying", "verify"),
    "write_report": ("neocog.reporting.making", "write_report"),
    "DataError": ("neocog.errors", "DataError"),
    "NeocogError": ("neocog.errors", "NeocogError"),
    "UsageError": ("neocog.errors", "UsageError"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'neocog' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
