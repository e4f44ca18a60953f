"""Auxiliary heads: classifiers on maps half-way up, heard while training and silent ever after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from neocog.errors import unknown


class WithAuxiliary(nn.Sequential):
    """A chain of stages, and heads that read what some of them make: (N, C, H, W) -> main logits.

    The heads are in `auxiliary`, by the name of the stage that each reads. They train and are saved
    with the network but are no stages of it: calling it, in any mode, its length, iteration and
    slices pass them by, so that `net[:-1]` is a plain feature extractor.
    """

    auxiliary: nn.ModuleDict

    def __init__(
        self,
        stages: Mapping[str, nn.Module],
        *,
        auxiliary: Mapping[str, nn.Module],
        auxiliary_weight: float,
    ) -> None:
        super().__init__()
        for name, stage in stages.items():
            self.add_module(name, stage)
        for name in auxiliary:
            if name not in stages:
                raise unknown("stage", name, stages)
        self.auxiliary = nn.ModuleDict(auxiliary)
        self.auxiliary_weight = auxiliary_weight

    def forward(self, x: Tensor) -> Tensor:
        for stage in self:
            x = stage(x)
        return x

    def training_logits(self, x: Tensor) -> list[tuple[float, Tensor]]:
        """What a loss is made of, (weight, logits): of the main head, which weighs 1, then others'.

        One pass makes them all. What dropout draws, it draws in the order of the stages.
        """
        heard = []
        for name, stage in self._stages().items():
            x = stage(x)
            if name in self.auxiliary:
                heard.append((self.auxiliary_weight, self.auxiliary[name](x)))
        return [(1.0, x), *heard]

    def _stages(self) -> dict[str, nn.Module]:
        return {name: child for name, child in self._modules.items() if name != "auxiliary"}

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self._stages().values())

    def __len__(self) -> int:
        return len(self._stages())

    def __getitem__(self, idx: slice | int) -> nn.Sequential | nn.Module:
        if not isinstance(idx, slice):
            return list(self)[idx]
        part = nn.Sequential()
        for name, stage in list(self._stages().items())[idx]:
            part.add_module(name, stage)
        return part
