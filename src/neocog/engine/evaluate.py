"""What a network says of a split."""

from __future__ import annotations

import torch
from torch import nn

from neocog.data.batches import in_order
from neocog.data.dataset import InputSpec, Split
from neocog.records import Predictions


@torch.inference_mode()
def predictions(
    network: nn.Module, split: Split, spec: InputSpec, *, batch_size: int = 256
) -> Predictions:
    """The logits of every picture of a split, in order. The network's mode is put back."""
    training = network.training
    network.eval()
    device = next(network.parameters()).device
    try:
        parts = [
            network(images.to(device)).float().cpu()
            for images, _ in in_order(split, spec, batch_size)
        ]
    finally:
        network.train(training)
    logits = torch.cat(parts) if parts else torch.empty(0, len(spec.classes))
    return Predictions(logits=logits.numpy(), labels=split.labels.cpu().numpy())
