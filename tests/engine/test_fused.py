"""What `fused.c` computes is what torch computes of the same maps, but for rounding."""

from __future__ import annotations

import copy
import dataclasses
import platform
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.compilers import needs_compiler
from tests.threads import threads_of
from torch import Tensor, nn

from neocog.engine import fused, native, pooling
from neocog.engine.fused import library, norms_fused
from neocog.engine.hardware import Hardware, fitted
from neocog.engine.pooling import window_of
from neocog.networks import create
from neocog.networks.residual import Residual

# Where there is one, as in CI, all of them run: a library that was not made fails them.
LAST = torch.channels_last
# A map's numbers are rounded to 8 bits; of sums over it, what is left of that
NEAR = {"rtol": 2**-7, "atol": 2**-7}


def maps(*shape: int, seed: int = 0, centre: float = 0.0, spread: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(shape, generator=generator) * spread + centre
    return made.bfloat16().to(memory_format=LAST)


def trained_norm(channels: int, **options: Any) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, **options)
    generator = torch.Generator().manual_seed(5)
    if norm.affine:
        nn.init.normal_(norm.weight, 1.0, 0.3, generator=generator)
        nn.init.normal_(norm.bias, 0.0, 0.3, generator=generator)
    return norm


def run(
    network: nn.Module,
    x: Tensor,
    *,
    ours: bool,
    g: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> list[Tensor]:
    """Outputs, gradients and running statistics: of bfloat16 by us, of `dtype` by torch."""
    network = copy.deepcopy(network).train()
    x = (x if ours else x.to(dtype)).detach().clone(memory_format=torch.preserve_format)
    x.requires_grad_()
    if ours:
        with norms_fused(network):
            y = network(x)
    else:
        y = network(x)
    g = maps(*y.shape, seed=9) if g is None else g
    (y * g.to(y.dtype)).sum().backward()
    slopes = [w.grad for w in (x, *network.parameters()) if w.grad is not None]
    kept = [b for name, b in network.named_buffers() if "running" in name or "num" in name]
    return [y.detach().float(), *(slope.float() for slope in slopes), *(b.float() for b in kept)]


def assert_alike(ours: list[Tensor], torchs: list[Tensor]) -> None:
    assert len(ours) == len(torchs)
    for one, other in zip(ours, torchs, strict=True):
        assert one.shape == other.shape
        scale = other.square().mean().sqrt().clamp_min(1e-6)
        off = (one - other).abs() / (NEAR["atol"] * scale + NEAR["rtol"] * other.abs())
        assert float((off > 1).float().mean()) < 0.01  # a ReLU at 0 may fall to either side
        assert float((one - other).norm()) <= 0.01 * float(other.norm()) + 1e-6


def assert_no_further(ours: list[Tensor], torchs: list[Tensor], exact: list[Tensor]) -> None:
    """From float32 than torch's own bfloat16 is, but for chance."""
    for one, other, true in zip(ours, torchs, exact, strict=True):
        assert (one - true).norm() <= 1.3 * (other - true).norm() + 0.01 * true.norm()


ACTS = {
    "nothing": [],
    "relu": [nn.ReLU(inplace=True)],
    "gelu": [nn.GELU()],
    "tanh gelu": [nn.GELU(approximate="tanh")],
    "relu6": [nn.ReLU6(inplace=True)],
    "silu": [nn.SiLU()],
    "tanh, which stays torch's": [nn.Tanh()],
}
SHAPES = {"plain": (8, 32, 5, 7), "one row": (2, 16, 1, 1), "many": (64, 48, 16, 16)}


@needs_compiler
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("act", ACTS)
def test_norm_and_activation(act: str, shape: str, threads: int) -> None:
    x = maps(*SHAPES[shape], centre=0.5, spread=2.0)
    network = nn.Sequential(trained_norm(x.shape[1]), *ACTS[act])
    with threads_of(threads):
        assert_alike(run(network, x, ours=True), run(network, x, ours=False))


@needs_compiler
def test_where_there_is_a_compiler_there_is_the_library() -> None:
    assert library() is not None


@needs_compiler
def test_norms_are_really_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert library() is not None  # it has been tried out, which is no call to be counted
    called = []
    usual = fused._Norm.run
    monkeypatch.setattr(
        fused._Norm,
        "run",
        lambda self, what, *a, **k: called.append(what) or usual(self, what, *a, **k),
    )
    run(nn.Sequential(nn.BatchNorm2d(16), nn.ReLU()), maps(4, 16, 3, 3), ours=True)
    assert called == ["sums", "apply", "back_sums", "back"]


@needs_compiler
def test_a_mean_far_from_zero_takes_nothing_from_the_variance() -> None:
    x = maps(32, 16, 9, 9, centre=64.0, spread=1.0)
    network = nn.Sequential(nn.BatchNorm2d(16))
    assert_alike(run(network, x, ours=True), run(network, x, ours=False))


@needs_compiler
@pytest.mark.parametrize("shortcut", ["identity", "projection"])
@pytest.mark.parametrize("after", [nn.ReLU(inplace=True), nn.GELU()], ids=["relu", "gelu"])
def test_residual_unit(shortcut: str, after: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    branch = OrderedDict(
        norm1=trained_norm(16),
        relu1=nn.ReLU(inplace=True),
        norm2=trained_norm(16, eps=1e-3, momentum=0.4),
    )
    way = nn.Identity() if shortcut == "identity" else nn.Sequential(trained_norm(16))
    unit = nn.Sequential(Residual(nn.Sequential(branch), way, after))
    x = maps(16, 16, 6, 5, centre=0.2)
    sums: list[Any] = []
    usual = fused._Norm.__call__

    def noted(self: fused._Norm, x: Tensor, more: Tensor | None = None) -> Tensor:
        sums.append(more)
        return usual(self, x, more)

    monkeypatch.setattr(fused._Norm, "__call__", noted)
    ours = run(unit, x, ours=True)
    assert any(more is not None for more in sums) is isinstance(after, nn.ReLU)
    torchs = run(unit, x, ours=False, dtype=torch.bfloat16)
    assert_no_further(ours, torchs, run(unit, x, ours=False))


@needs_compiler
def test_who_listens_to_a_branch_hears_it() -> None:
    heard: list[Tensor] = []
    unit = Residual(nn.Sequential(nn.BatchNorm2d(16)), nn.Identity(), nn.ReLU())
    unit.branch.register_forward_hook(lambda *given: heard.append(given[2]))
    with norms_fused(unit):
        unit(maps(4, 16, 3, 3).requires_grad_())
    assert len(heard) == 1


WINDOWS = [(2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 1, 1), (2, 1, 0), (3, 3, 1), (2, 3, 0), (5, 2, 2)]
WINDOWS += [(3, 3, 0)]  # apart, and not of two


@needs_compiler
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("size", [(6, 8), (7, 9), (2, 2), (3, 2), (1, 4)])
@pytest.mark.parametrize("channels", [3, 16, 37])
def test_pooling_is_torchs_to_the_bit(
    channels: int,
    size: tuple[int, int],
    window: tuple[int, int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = maps(5, channels, *size).mul(4).round().div(4)  # many are equal
    x[0, 0] = -torch.inf
    x[1, 1] = torch.inf
    x[2, 2, 0, 1] = torch.nan
    pool = nn.MaxPool2d(*window)
    if min(size) + 2 * window[2] < window[0]:
        with pytest.raises(RuntimeError, match="too small"), norms_fused(pool):
            pool(x.requires_grad_())
        return
    twin = x.float().requires_grad_()
    usual = pool(twin)
    g = maps(*usual.shape, seed=3).round()  # sums of a few are exact
    (slope,) = torch.autograd.grad(usual, twin, g.float())
    called = []
    way = pooling._call
    monkeypatch.setattr(pooling, "_call", lambda *a, **k: called.append(a) or way(*a, **k))
    ours = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    with norms_fused(pool):
        made = pool(ours)
    assert torch.equal(made.float().nan_to_num(nan=7.0), usual.nan_to_num(nan=7.0))
    assert torch.equal(torch.autograd.grad(made, ours, g)[0].float(), slope)
    assert len(called) == 2


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d((2, 3)),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.MaxPool2d(2, dilation=2),
        nn.MaxPool2d(17),
    ],
    ids=["oblong", "ceil", "dilated", "huge"],
)
def test_other_windows_are_torchs(pool: nn.MaxPool2d) -> None:
    assert window_of(pool) is None


@needs_compiler
@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 1, 1)])
def test_pooling_goes_before_relu(
    window: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    usual = F.relu
    monkeypatch.setattr(F, "relu", lambda x, **how: sizes.append(x.shape[2]) or usual(x, **how))
    conv = nn.Conv2d(16, 16, 1, bias=False)
    nn.init.dirac_(conv.weight)  # the same numbers, and a map that nobody else holds
    network = nn.Sequential(conv, nn.ReLU(inplace=True), nn.MaxPool2d(*window))
    x = maps(4, 16, 9, 9, centre=-0.8).mul(4).round().div(4)
    g = maps(*network(x.float()).shape, seed=3).round()  # sums of a few are exact
    found = []
    for fuse in (True, False):
        twin = (x if fuse else x.float()).detach().clone(memory_format=torch.preserve_format)
        twin.requires_grad_()
        sizes.clear()
        if fuse:
            with norms_fused(network), torch.autocast("cpu", torch.bfloat16):
                y = network(twin)
        else:
            y = network(twin)
        assert sizes[0] == (y.shape[2] if fuse else 9)
        found.append((y.detach().float(), torch.autograd.grad(y, twin, g.to(y.dtype))[0].float()))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


@needs_compiler
@pytest.mark.parametrize(
    "act", [nn.ReLU(), nn.GELU(), nn.MaxPool2d(2)], ids=["relu", "gelu", "pool"]
)
def test_what_is_no_number_stays_none(act: nn.Module) -> None:
    x = maps(4, 16, 4, 4)
    x[2, 3, 1, 1] = torch.nan
    made = run(nn.Sequential(nn.BatchNorm2d(16), act), x, ours=True)[0]
    assert made[:, 3].isnan().all() == made[2, 3, 0, 0].isnan()
    assert made[2, 3, 0, 0].isnan()
    assert not made[:, :3].isnan().any()


@needs_compiler
def test_what_is_not_for_it_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("fused")

    monkeypatch.setattr(fused._Norm, "run", never)
    norm = nn.BatchNorm2d(16)
    network, x = nn.Sequential(norm, nn.ReLU()), maps(4, 16, 3, 3)
    with norms_fused(network):
        with pytest.raises(AssertionError, match="fused"):
            network(x)
        network(x.float())
        network(x.contiguous())
        with torch.no_grad():
            network(x)
        norm(x)  # by itself
        norm.eval()
        network(x)
        norm.train()
        hook = norm.register_forward_hook(lambda *_: None)
        network(x)  # somebody listens
        hook.remove()
    odd = nn.Sequential(nn.BatchNorm2d(12), nn.ReLU())
    with norms_fused(odd):
        odd(maps(4, 12, 3, 3))
    for other in (nn.BatchNorm2d(16, momentum=None), nn.BatchNorm2d(16, track_running_stats=False)):
        with norms_fused(nn.Sequential(other)) as _:
            nn.Sequential(other)(x)


@needs_compiler
def test_a_single_pixel_is_refused_as_torch_refuses_it() -> None:
    network = nn.Sequential(nn.BatchNorm2d(16))
    with norms_fused(network), pytest.raises(ValueError, match="more than 1 value"):
        network(maps(1, 16, 1, 1))


class Container(nn.Module):
    """A network that takes the layers of an `nn.Sequential` one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        norm, relu = self.layers
        made: Tensor = relu(norm(x) - 1)
        return made


class Mine(nn.Module):
    """Somebody's own unit that looks like ours and computes another thing."""

    def __init__(self) -> None:
        super().__init__()
        self.branch, self.shortcut = nn.Sequential(nn.BatchNorm2d(16)), nn.Identity()
        self.after = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.after(self.branch(x) - self.shortcut(x))
        return made


@needs_compiler
class Counting(nn.Module):
    """A network whose ReLU changes a map that is read again, as some people's do."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.last = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        pooled = self.layers(x)
        y = x * 2 - 1
        self.last(y)
        made: Tensor = pooled.sum() + x + y
        return made


def test_a_map_that_somebody_holds_is_changed_in_place_as_he_asked() -> None:
    x, network = maps(4, 16, 6, 6), Counting()
    plain = Hardware("cpu", "any", 1, precision="bf16", layout="channels_last")
    wanted = network(x)
    for hardware in (plain, fitted(plain)):
        with hardware.in_force(network), torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(network(x.requires_grad_()), wanted)


def test_behind_a_layer_that_makes_a_map_a_relu_makes_its_own() -> None:
    relu = nn.ReLU(inplace=True)
    network, seen = nn.Sequential(nn.Conv2d(3, 16, 1), relu), []
    relu.register_forward_hook(lambda layer, given, made: seen.append(given[0] is made))
    for precision in ("fp32", "bf16"):
        hardware = Hardware("cpu", "any", 1, precision=precision)
        with hardware.in_force(network):
            hardware.passes(network, batch_size=2).training(torch.randn(2, 3, 4, 4))
    assert seen == [True, False]


@pytest.mark.parametrize("kind", [Container, Mine])
def test_networks_of_others_compute_what_they_say(kind: type[nn.Module]) -> None:
    x, exact = maps(8, 16, 5, 5), run(kind(), maps(8, 16, 5, 5), ours=False)
    torchs = run(kind(), x, ours=False, dtype=torch.bfloat16)
    assert_no_further(run(kind(), x, ours=True), torchs, exact)


@needs_compiler
@pytest.mark.parametrize(
    "name", ["fast_cifar", pytest.param("resnet18_cifar", marks=pytest.mark.slow)]
)
def test_a_network_has_the_gradients_that_it_has_without(name: str) -> None:
    network = create(name, num_classes=10, seed=0).train()
    x, labels = maps(6, 3, 32, 32).float(), torch.arange(6)
    plain = Hardware("cpu", "any", 2, precision="bf16", layout="channels_last")
    slopes = []
    for norms in ("plain", "fused"):
        hardware, twin = dataclasses.replace(plain, norms=norms), copy.deepcopy(network)
        with hardware.in_force(twin):
            ((_, logits),) = hardware.passes(twin, batch_size=6).training(x)
            F.cross_entropy(logits, labels).backward()
        slopes.append([w.grad for w in twin.parameters() if w.grad is not None])
        assert not any("forward" in vars(layer) for layer in twin.modules())
    exact = copy.deepcopy(network)
    F.cross_entropy(exact(x), labels).backward()
    true = [w.grad for w in exact.parameters() if w.grad is not None]
    assert_no_further(slopes[1], slopes[0], true)


def test_without_a_compiler_torch_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "library", lambda *_: None)
    network, x = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU()), maps(4, 16, 3, 3)
    with norms_fused(network):
        assert network(x).shape == x.shape
        assert not any("forward" in vars(layer) for layer in network.modules())


@pytest.mark.parametrize("error", [OSError("no"), subprocess.TimeoutExpired("cc", 1)])
def test_a_compiler_may_fail(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", fails)
    assert library.__wrapped__() is None


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_what_computes_wrongly_is_not_used(
    dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = native.SOURCE.read_text(encoding="utf-8")
    wrong = tmp_path / "fused.c"
    product = "product[v] += slope * (x - FROM(p->mean, channel))"
    wrong.write_text(source.replace(product, "product[v] += slope * x * 2"))
    assert wrong.read_text() != source
    monkeypatch.setattr(native, "SOURCE", wrong)
    assert library.__wrapped__(dtype) is None


@pytest.mark.parametrize(
    ("precision", "layout", "expected"),
    [
        ("bf16", "channels_last", "fused"),
        ("bf16", "contiguous", "plain"),
        ("fp32", "channels_last", "fused"),
        ("fp32", "contiguous", "plain"),
    ],
)
def test_where_norms_are_fused(
    precision: str, layout: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neocog.engine.hardware.library", lambda *_: object())
    hardware = Hardware("cpu", "any", 2, precision=precision, layout=layout)
    norm = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU())
    assert fitted(hardware, norm).norms == expected
    assert fitted(hardware).norms == (expected if precision == "bf16" else "plain")
    if precision == "fp32":
        for kinds in ([nn.BatchNorm2d(12), nn.ReLU()], [nn.BatchNorm2d(16), nn.GELU()]):
            assert fitted(hardware, nn.Sequential(*kinds)).norms == "plain"
    monkeypatch.setattr("neocog.engine.hardware.library", lambda *_: None)
    assert fitted(hardware, norm).norms == "plain"


# -- in float32

FULL = torch.float32


def full(network: nn.Module, x: Tensor, dtype: torch.dtype, *, ours: bool = False) -> list[Tensor]:
    """Outputs, gradients and running statistics of maps in `dtype`."""
    twin = copy.deepcopy(network).train().to(dtype)
    x = x.to(dtype).detach().clone(memory_format=torch.preserve_format).requires_grad_()
    with norms_fused(twin, norms=ours, dtype=FULL):
        y = twin(x)
    (y * maps(*y.shape, seed=9).to(dtype)).sum().backward()
    slopes = [w.grad for w in (x, *twin.parameters()) if w.grad is not None]
    kept = [b for name, b in twin.named_buffers() if "running" in name or "num" in name]
    return [y.detach().double(), *(t.double() for t in (*slopes, *kept))]


def assert_as_near(network: nn.Module, x: Tensor) -> None:
    """To what float64 gives, as torch's float32 is, but for chance."""
    ours, torchs, exact = (
        full(network, x, dtype, ours=mine)
        for dtype, mine in ((FULL, True), (FULL, False), (torch.float64, False))
    )
    assert len(ours) == len(exact)
    for one, other, true in zip(ours, torchs, exact, strict=True):
        assert one.shape == true.shape
        assert (one - true).norm() <= 2 * (other - true).norm() + 3e-6 * true.norm() + 1e-6


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the library was called for."""
    if platform.machine() == "x86_64" and sys.platform == "linux":
        library(FULL)  # it has been tried out, which is no call to be counted
    called: list[str] = []
    usual = fused._Norm.run
    monkeypatch.setattr(
        fused._Norm,
        "run",
        lambda self, what, *a, **k: called.append(what) or usual(self, what, *a, **k),
    )
    return called


@needs_compiler
@pytest.mark.parametrize("shape", [*SHAPES.values(), (3, 144, 9, 5), (5, 80, 4, 4)])
@pytest.mark.parametrize("act", ["nothing", "relu", "relu6", "gelu"])
def test_norm_and_activation_in_float32(act: str, shape: tuple[int, ...], runs: list[str]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = (3 * torch.randn(shape, generator=generator) + 0.5).to(memory_format=LAST)
    assert_as_near(nn.Sequential(trained_norm(shape[1]), *ACTS[act]), x)
    assert runs == ["sums", "apply", "back_sums", "back"]


@needs_compiler
def test_a_mean_far_from_zero_takes_nothing_from_the_variance_in_float32() -> None:
    x = (torch.randn(32, 16, 9, 9) + 500).to(memory_format=LAST)
    assert_as_near(nn.Sequential(nn.BatchNorm2d(16)), x)


@needs_compiler
@pytest.mark.parametrize("shortcut", ["identity", "projection"])
def test_residual_unit_in_float32(shortcut: str, runs: list[str]) -> None:
    branch = OrderedDict(norm1=trained_norm(16), relu1=nn.ReLU(), norm2=trained_norm(16, eps=1e-3))
    way = nn.Identity() if shortcut == "identity" else nn.Sequential(trained_norm(16))
    unit = nn.Sequential(Residual(nn.Sequential(branch), way, nn.ReLU(inplace=True)))
    assert_as_near(unit, torch.randn(16, 16, 6, 5).to(memory_format=LAST))
    assert runs.count("apply") == runs.count("back") == 2 + (shortcut == "projection")


@needs_compiler
def test_the_same_to_the_bit_by_as_many_threads_and_for_no_map_that_is_not_float32(
    runs: list[str],
) -> None:
    network = nn.Sequential(trained_norm(32), nn.ReLU(), nn.MaxPool2d(2))
    x = torch.randn(8, 32, 6, 6).to(memory_format=LAST)
    one, other = (full(network, x, FULL, ours=True) for _ in range(2))
    assert all(map(torch.equal, one, other))
    count = len(runs)
    with norms_fused(network, dtype=FULL):
        network(x.contiguous())
        network.double()(x.double())
        network.bfloat16()(x.bfloat16())
    assert len(runs) == count


@needs_compiler
@pytest.mark.parametrize("act", [nn.ReLU(), nn.ReLU6(), nn.GELU()])
def test_what_is_no_number_stays_none_in_float32(act: nn.Module) -> None:
    x = torch.randn(4, 16, 4, 4).to(memory_format=LAST)
    x[2, 3, 1, 1] = torch.nan
    network = nn.Sequential(nn.BatchNorm2d(16), act)
    with norms_fused(network, dtype=FULL):
        made = network(x.requires_grad_())
    assert made[:, 3].isnan().all()
    assert not made[:, :3].isnan().any()


@needs_compiler
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet20_cifar"])
def test_a_network_in_float32_has_the_gradients_of_float64_as_near_as_torchs(name: str) -> None:
    torch.manual_seed(0)
    network = create(name, num_classes=4, seed=0).train()
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    x, labels = torch.randn(8, 3, 32, 32), torch.arange(8) % 4
    last = Hardware("cpu", "any", torch.get_num_threads(), layout="channels_last")
    way = dataclasses.replace(fitted(last, network), convolutions="plain")
    assert way.norms == "fused"
    found = {}
    for dtype, norms in ((torch.float64, "plain"), (FULL, "plain"), (FULL, "fused")):
        twin = copy.deepcopy(network).to(dtype)
        with dataclasses.replace(way, norms=norms).in_force(twin):
            loss = F.cross_entropy(twin(x.to(dtype, memory_format=LAST)), labels)
            loss.backward()
        slopes = [w.grad.double().flatten() for w in twin.parameters() if w.grad is not None]
        found[dtype, norms] = float(loss.detach()), torch.cat(slopes)
    loss, true = found[torch.float64, "plain"]
    ours, torchs = found[FULL, "fused"], found[FULL, "plain"]
    assert ours[0] == pytest.approx(loss, abs=1e-4)
    off, usual = ((slopes - true).norm() for _, slopes in (ours, torchs))
    assert off <= 2 * usual + 1e-4 * true.norm()
