"""What no single paper owns. Everything else stands on the page of its network."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from neocog.errors import UsageError


def dense_head(
    features: int, hidden: int, *, num_classes: int, dropout: float = 0.5
) -> nn.Sequential:
    """Two hidden dense layers with ReLU and dropout, then the logits: (N, ...) -> (N, num_classes).

    The names are those under which AlexNet's and VGG's weights were published.
    """
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc6=nn.Linear(features, hidden),
            relu6=nn.ReLU(inplace=True),
            dropout6=nn.Dropout(dropout),
            fc7=nn.Linear(hidden, hidden),
            relu7=nn.ReLU(inplace=True),
            dropout7=nn.Dropout(dropout),
            fc8=nn.Linear(hidden, num_classes),
        )
    )


def whole(what: str, value: object) -> None:
    """Refuse what cannot count anything: `what` must be a whole number of at least one."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{what} must be a whole number of at least 1; {value!r} was given")
