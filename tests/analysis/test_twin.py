"""Shapes that are answered without torch's operators are the ones that these have."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neocog.analysis import twin

NORMS = {
    "of maps": (nn.BatchNorm2d(6), (3, 6, 5, 4)),
    "of numbers": (nn.BatchNorm1d(6), (3, 6)),
    "of volumes": (nn.BatchNorm3d(6), (3, 6, 2, 5, 4)),
    "without weights": (nn.BatchNorm2d(6, affine=False), (3, 6, 5, 4)),
    "of the batch": (nn.BatchNorm2d(6, track_running_stats=False), (3, 6, 5, 4)),
    "of none": (nn.BatchNorm2d(6), (0, 6, 5, 4)),
}


def ran(norm: nn.Module, x: Tensor, within: AbstractContextManager[Any]) -> Tensor:
    with torch.no_grad(), within:
        made: Tensor = norm(x)
        return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", NORMS)
def test_a_norm_gives_what_torchs_gives(name: str, dtype: torch.dtype) -> None:
    norm, shape = NORMS[name]
    norm = twin.meta_twin(norm.to(dtype))
    given = torch.empty(shape, dtype=dtype, device="meta")
    last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(given.ndim)
    for x in (given, given.contiguous(memory_format=last) if last else given.t().t()):
        ours, torchs = ran(norm, x, twin.Shapes()), ran(norm, x, nullcontext())
        assert (ours.shape, ours.dtype, ours.device) == (torchs.shape, dtype, torchs.device)
        assert ours.stride() == torchs.stride() or not ours.numel()


def test_what_a_norm_does_not_fit_torch_refuses_as_ever() -> None:
    norm, x = twin.meta_twin(nn.BatchNorm2d(6)), torch.empty(1, 7, 5, 4, device="meta")
    said = []
    for within in (nullcontext(), twin.Shapes()):
        with pytest.raises(RuntimeError) as error:
            ran(norm, x, within)
        said.append(str(error.value))
    assert said[0] == said[1]
    assert not twin.takes(nn.BatchNorm2d(6), (7, 5, 4))


def test_maps_with_numbers_are_left_to_torch() -> None:
    norm, x = nn.BatchNorm2d(6), torch.randn(4, 6, 5, 4)
    assert torch.equal(ran(norm, x, twin.Shapes()), ran(norm, x, nullcontext()))
    assert int(norm.num_batches_tracked) == 2
