"""What will not fit into memory or on the disk is said before it begins."""

from __future__ import annotations

import itertools
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import Silent
from torch import nn

import neocog
from neocog import room
from neocog.engine import light
from neocog.engine.hardware import Wanted
from neocog.engine.holding import holding
from neocog.errors import NeocogError, UsageError
from neocog.fitting import fitted_spec
from neocog.networks import create
from neocog.recipe import Recipe
from neocog.records import Epoch, Step
from neocog.run import RunFolder
from neocog.training import begin
from neocog.training import run as run_of

RECIPE = Recipe(epochs=2, batch_size=64, lr=0.05, momentum=0.9)
Usage = namedtuple("Usage", "total used free")


def nobody(line: str) -> None:
    pass


# -- memory


def test_what_a_network_holds_is_counted_from_its_operators() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 4))
    held = holding(network, RECIPE, (1, 28, 28))
    assert held.weights == held.state == 4 * (784 * 100 + 100 + 100 * 4 + 4)
    assert held.remembered == held.weights
    assert holding(network, RECIPE.changed({"momentum": 0.0}), (1, 28, 28)).remembered == 0
    # a picture; both maps of 100, and twice the second for the way back
    assert held.trained == 4 * (784 + 4 * 100)
    assert held.asked == 4 * (784 + 2 * 100)  # a map goes when the next but one is made


def test_looking_changes_nothing_of_the_network() -> None:
    class Counting(nn.Module):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return x

    network = nn.Sequential(nn.Conv2d(1, 4, 3), Counting(), nn.BatchNorm2d(4), nn.Dropout(), Last())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random = torch.get_rng_state()
    holding(network, RECIPE, (1, 28, 28))
    assert torch.equal(torch.get_rng_state(), random)
    assert network.training
    assert network[1].calls == 0
    assert all(weight.grad is None for weight in network.parameters())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


class Last(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


class Dense(nn.Module):
    """Keeps what it concatenates, again and again, as a DenseNet does."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8 * n, 8) for n in range(1, 6))
        self.last = nn.Linear(48, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)[:, :8]
        for layer in self.layers:
            x = torch.cat([x, layer(x).relu()], 1)
        return self.last(x)  # type: ignore[no-any-return]


def test_what_forward_joins_without_a_layer_is_counted_too() -> None:
    """All that was concatenated is kept for the way back; asked, only the last of it."""
    held = holding(Dense(), RECIPE, (1, 4, 4))
    kept = 4 * (16 + sum(8 * n for n in range(2, 7)))
    assert kept < held.trained < 2 * kept
    assert held.asked < kept


def needed(network: str = "lenet_relu", recipe: Recipe = RECIPE) -> room.Need:
    data, made = neocog.load("digits"), create(network, seed=0)
    return room.needed(made, data, recipe, fitted_spec(made, data, recipe), Wanted())


def test_what_will_not_fit_is_refused_before_a_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    need, pictures = needed(), len(neocog.load("digits").train)
    # room for 20 pictures of the 64, and not for all that are validated: these are let be
    have = int((need.fixed + max(20 * need.trained, need.asked)) / room.TIGHT) + 1
    few = RECIPE.changed({"batch_size": 2000})
    assert need.whole(1000) > room.HOPELESS * have
    monkeypatch.setattr(room, "available_memory", lambda device: have)
    with pytest.raises(UsageError) as caught:
        neocog.train("lenet_relu", "digits", recipe=few, tell=nobody)
    said = str(caught.value)
    assert said.startswith(f"about {room._gb(need.whole(pictures))} of memory are needed and ")
    fits = int(said.split("--batch-size ")[1].split(",")[0])
    assert need.whole(fits) <= room.TIGHT * have < need.whole(fits + 1)
    assert f"--accumulate {-(-pictures // fits)}" in said
    assert not list(tmp_path.iterdir())


def test_what_fits_into_nothing_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "available_memory", lambda device: 1000)
    with pytest.raises(UsageError, match="No batch size would: use smaller pictures"):
        neocog.train("lenet_relu", "digits", out=tmp_path / "run", tell=nobody)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="No batch size would"):
        neocog.plan("lenet_relu", "digits", tell=nobody)


def test_where_it_may_be_too_little_it_is_told_and_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have = int(needed().whole(64) / 0.9)
    monkeypatch.setattr(room, "available_memory", lambda device: have)
    told: list[str] = []
    how: dict[str, Any] = {"watcher": Silent(), "tell": told.append}
    neocog.train("lenet_relu", "digits", recipe=RECIPE, out=tmp_path / "a", **how)
    assert sum("it may not be enough" in line for line in told) == 1
    told.clear()
    monkeypatch.setattr(room, "available_memory", lambda device: 2 * have)
    neocog.train("lenet_relu", "digits", recipe=RECIPE, out=tmp_path / "b", **how)
    assert not any("memory " in line and "needed" in line for line in told)


def test_memory_that_runs_out_ends_a_run_that_goes_on_with_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = itertools.count()

    def full(*passed: Any, **options: Any) -> None:
        if next(asked) == 25:  # of 21 steps an epoch
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0")

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(light.SGD, "zero_grad", full)
        with pytest.raises(NeocogError) as caught:
            neocog.train("lenet_relu", "digits", recipe=RECIPE, out=out, watcher=Silent())
    said = str(caught.value)
    assert said.startswith("memory ran out: CUDA out of memory. What stands in ")
    assert "a checkpoint from the end of epoch 1, and best.safetensors" in said
    assert said.endswith(f"in less memory: neocog resume {out} --accumulate 2")
    assert "--batch-size than 64" in said
    assert not isinstance(caught.value, UsageError)
    run = neocog.resume(out, accumulate=2, watcher=Silent())
    assert run.scores["test"]


def test_what_a_container_may_take_is_what_there_is(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("0::/job/step\n")
    inner, outer = tmp_path / "root/job/step", tmp_path / "root/job"
    inner.mkdir(parents=True)
    for folder, most in ((inner, "max"), (outer, "1000")):
        (folder / "memory.max").write_text(f"{most}\n")
        (folder / "memory.current").write_text("700\n")
        (folder / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    assert room.of_groups(tmp_path / "root", mine) == [450]
    mine.write_text("5:memory:/job\n4:cpu:/job\n")  # as it was before
    first = tmp_path / "root/memory/job"
    first.mkdir(parents=True)
    (first / "memory.limit_in_bytes").write_text("900")
    (first / "memory.usage_in_bytes").write_text("100")
    (first / "memory.stat").write_text("cache 1\ntotal_inactive_file 10\n")
    assert room.of_groups(tmp_path / "root", mine) == [810]
    assert room.of_groups(tmp_path / "root", tmp_path / "none") == []
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 9 kB\nMemAvailable:   5 kB\n")
    assert room.of_system(told) == 5 * 1024
    assert room.of_system(tmp_path / "none") is None


# -- disk


def disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, free))


def test_a_disk_too_full_is_told_before_the_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch, 10**5)
    out = tmp_path / "deep" / "run"
    with pytest.raises(NeocogError, match=r"run: the run needs .* MB and 0.1 MB are free"):
        neocog.train("lenet_relu", "digits", out=out, tell=nobody)
    assert not out.parent.exists()


def test_what_is_foreseen_is_what_a_run_takes(tmp_path: Path) -> None:
    out = tmp_path / "run"
    neocog.train("lenet_relu", "digits", recipe=RECIPE, out=out, watcher=Silent(), tell=nobody)
    data, network = neocog.load("digits"), create("lenet_relu", seed=0)
    taken = sum((out / n).stat().st_size for n in ("last.pt", "best.safetensors", "test.npz"))
    seen: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "need_room", lambda path, size, *words: seen.append(size))
        room.check_disk(out, network, data, RECIPE)
    # three checkpoints and twice the weights, at most
    assert taken < seen[0] < 3.3 * taken


def test_a_disk_that_fills_ends_the_run_which_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = neocog.load("digits")

    def job(name: str) -> Any:
        return begin(create("lenet_relu", seed=0), data, recipe=RECIPE, out=tmp_path / name)

    straight = job("straight")
    for _ in run_of(straight):
        pass
    filled = job("filled")
    with pytest.raises(NeocogError, match=r"the next checkpoint needs .* free some, and"):
        for fact in run_of(filled):
            if isinstance(fact, Epoch) and fact.epoch == 0:
                filled.save_every = 1e-9
                # what is being written now may come to its end
            if isinstance(fact, Step) and (fact.epoch, fact.step) == (1, 3):
                disk(monkeypatch, 1000)
    before = RunFolder.open(tmp_path / "filled").state()
    assert before["epoch"] in (0, 1)  # 0 where a slow disk was still writing
    with pytest.raises(NeocogError, match="the run needs"):
        neocog.resume(tmp_path / "filled", watcher=Silent(), tell=nobody)
    disk(monkeypatch, 10**12)
    neocog.resume(tmp_path / "filled", watcher=Silent(), tell=nobody)
    one, other = (neocog.open(tmp_path / n).network().state_dict() for n in ("straight", "filled"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_disk_of_which_nobody_says_anything_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 0))
    room.need_room(tmp_path, 10**15, "x", "y")


def test_the_size_of_a_state_is_that_of_its_tensors() -> None:
    state = {"a": torch.zeros(3), "b": [torch.zeros(2, dtype=torch.int64), (1, torch.zeros(1))]}
    assert room.size_of(state) == 12 + 16 + 4
