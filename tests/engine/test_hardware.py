from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import Silent
from tests.engine.test_fit import batches, dropout_net, pictures
from torch import Tensor, nn

from neocog import api
from neocog.announced import machine_lines
from neocog.data.loading import load
from neocog.engine import machine
from neocog.engine import passes as ways
from neocog.engine.evaluate import predictions
from neocog.engine.fit import fit
from neocog.engine.hardware import FEW_PIXELS, Hardware, Wanted, choose, plain
from neocog.engine.machine import has_bf16
from neocog.engine.state import Training
from neocog.errors import NeocogError, UsageError
from neocog.networks import create
from neocog.recipe import Recipe
from neocog.records import Epoch, Step

RECIPE = Recipe(epochs=2, batch_size=16, lr=0.05, momentum=0.9)


def here(**changes: Any) -> Hardware:
    return Hardware(
        **{"device": "cpu", "name": "any", "threads": torch.get_num_threads(), **changes}
    )


class Maps(nn.Sequential):
    """Convolutions of all kinds, batch norm, a layer for nothing but vectors."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5, padding=2)
        self.norm1 = nn.BatchNorm2d(8)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(8, 8, 3, stride=2, groups=8)
        self.norm2 = nn.BatchNorm2d(8)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(8, 8, 1)
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.flat = nn.Flatten()
        self.dense = nn.Linear(128, 4)


def losses(network: nn.Module, hardware: Hardware | None, n: int = 96) -> list[float]:
    facts = fit(
        Training.begin(network, RECIPE),
        batches(RECIPE, n),
        pictures(8, 1),
        recipe=RECIPE,
        hardware=hardware,
    )
    return [fact.loss for fact in facts if isinstance(fact, Step)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "half"}, "no precision is called 'half'; there are auto, bf16, fp32"),
        ({"layout": "channels-lsat"}, "did you mean channels_last"),
        ({"compile": "maybe"}, "no answer to compile is called 'maybe'"),
        ({"compile": True}, "there are auto, no, yes"),
        ({"device": "gpu"}, "no device is called 'gpu'"),
        ({"threads": 0}, "a whole number from 1"),
        ({"threads": 2.0}, "a whole number from 1"),
        ({"threads": True}, "a whole number from 1"),
        ({"threads": 10**9}, "a whole number from 1"),
    ],
)
def test_a_wrong_word_is_answered(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Wanted(**options)
    with pytest.raises(UsageError, match=message):
        api.train("lenet_relu", "digits", **options)


def test_what_is_asked_for_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "can_compile", lambda device: True)
    chosen = choose(Wanted("cpu", "bf16", "contiguous", "yes", 3))
    assert (chosen.precision, chosen.layout, chosen.threads) == ("bf16", "contiguous", 3)
    assert chosen.compile
    assert chosen.why == "asked"
    monkeypatch.setattr(machine, "can_compile", lambda device: False)
    with pytest.raises(UsageError, match=r"install a C\+\+ compiler"):
        choose(Wanted("cpu", compile="yes"))


def test_what_is_taken_unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_bf16", lambda device: True)
    chosen = choose("cpu")
    assert (chosen.precision, chosen.layout, chosen.kernels) == (
        "bf16",
        "channels_last",
        "default",
    )
    assert plain(chosen, Wanted()) == here(name=chosen.name)
    assert plain(chosen, Wanted(precision="bf16")).precision == "bf16"
    small = choose("cpu", pixels=FEW_PIXELS)
    assert (small.precision, small.layout, small.kernels) == ("fp32", "contiguous", "native")
    monkeypatch.setattr(machine, "has_bf16", lambda device: False)
    assert choose("cpu").precision == "fp32"


@pytest.mark.parametrize(
    ("units", "most", "expected"),
    [
        ({}, None, False),
        ({"avx512_f": True}, None, False),
        ({"avx512_bf16": True}, None, True),
        ({"amx_bf16": True}, None, True),
        ({"bf16": True}, None, False),  # of an ARM processor
        ({"amx_bf16": True}, "AVX2", False),
        ({"amx_bf16": True}, "avx512_core", False),
        ({"amx_bf16": True}, "AVX512_CORE_BF16", True),
        ({"amx_bf16": True}, "avx512_core_amx", True),
    ],
)
def test_units_for_bf16_count_if_onednn_may_use_them(
    units: Mapping[str, bool], most: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    if most:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", most)
    assert has_bf16("cpu") is expected
    assert has_bf16("mps") is False


def test_what_is_recorded_is_read_back() -> None:
    chosen = here(held=("conv1", "conv2"), precision="bf16", measured={"plain": 1.0}, why="asked")
    again = Hardware.from_json(json.loads(json.dumps(chosen.to_json())))
    assert again == chosen
    assert (again.measured, again.why) == ({"plain": 1.0}, "asked")
    first_form = {"device": "cpu", "name": "any", "threads": 2, "kernels": "native"}
    assert Hardware.from_json({**first_form, "precision": "fp32"}).kernels == "native"


def test_hardware_in_words() -> None:
    assert str(here(threads=1)) == "1 thread, fp32"
    chosen = here(threads=2, precision="bf16", held=("a", "b"), layout="channels_last")
    assert str(chosen) == "2 threads, bf16 but for 2 layers, channels_last"
    assert str(here(threads=2, kernels="native", compile=True)).endswith("native kernels, compiled")


@pytest.mark.parametrize("raises", [False, True])
def test_everything_is_put_back(raises: bool) -> None:
    onednn: Any = torch.backends.mkldnn
    network = Maps()
    network.conv3.register_buffer("table", torch.ones(2, 3, 4, 5))
    own = network.conv2.forward
    vars(network.conv1)["forward"] = mine = network.conv1.forward  # a user's own doing
    weights = list(network.parameters())

    def state() -> list[object]:
        return [
            torch.get_num_threads(),
            onednn.enabled,
            [(name, t.stride(), t.sum()) for name, t in network.state_dict().items()],
            [id(a) == id(b) for a, b in zip(weights, network.parameters(), strict=True)],
            [type(layer) for layer in network.modules()],
            [sorted(vars(layer)) for layer in network.modules()],
            torch.is_autocast_enabled("cpu"),
        ]

    chosen = here(
        threads=3,
        kernels="native",
        layout="channels_last",
        precision="bf16",
        held=("conv1", "conv2", "not there"),
    )
    before = state()
    try:
        with chosen.in_force(network):
            assert torch.get_num_threads() == 3
            assert not onednn.enabled
            assert network.conv1.weight.is_contiguous(memory_format=torch.channels_last)
            assert network.conv3.table.stride() == (60, 1, 15, 3)
            assert network.conv2.forward != own
            assert list(network.state_dict()) == [name for name, *_ in before[2]]  # type: ignore[attr-defined]
            if raises:
                raise KeyError("stopped")
    except KeyError:
        pass
    assert state() == before
    assert vars(network.conv1)["forward"] == mine
    assert network.conv2.forward == own


def test_a_weight_that_lay_channels_last_before_stays_so() -> None:
    network = Maps()
    network.conv2.weight.data = network.conv2.weight.data.to(memory_format=torch.channels_last)
    strides = network.conv2.weight.stride()
    with here(layout="channels_last").in_force(network):
        pass
    assert network.conv2.weight.stride() == strides


def test_another_layout_gives_the_same_losses() -> None:
    wanted = losses(Maps(), None)
    assert losses(Maps(), here()) == wanted
    last = losses(Maps(), here(layout="channels_last"))
    assert last != wanted, "it did change something"
    assert last == pytest.approx(wanted, abs=1e-4)


def test_dropout_on_maps_draws_the_same_in_another_layout() -> None:
    """And so it does beside bf16, where its maps are of another kind of number."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout(0.3), nn.Flatten(), nn.Linear(2704, 4))
    images, seen = torch.rand(16, 1, 28, 28), []
    network[1].register_forward_hook(lambda layer, given, made: seen.append(made.detach()))
    for chosen in (here(), here(layout="channels_last", precision="bf16")):
        with chosen.in_force(network):
            torch.manual_seed(5)
            chosen.passes(network, batch_size=16).training(images)
    one, other = seen
    assert other.is_contiguous(memory_format=torch.channels_last)
    assert other.dtype == torch.bfloat16
    assert 0.2 < float((one == 0).float().mean()) < 0.4
    assert torch.equal(one == 0, other == 0)
    torch.testing.assert_close(one, other.float(), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("share", [0.5, 0.4, 1 / 3, 1 - 0.3, 1e-3, 1 - 1e-9])
def test_what_dropout_keeps_is_what_torch_keeps(share: float) -> None:
    for shape in ((64, 128), (3, 5, 7), (1,), (0, 4)):
        found = []
        for way in (ways.kept, lambda size, share: torch.empty(size).bernoulli_(share).bool()):
            torch.manual_seed(4)
            found.append(way(torch.Size(shape), share))
            found.append(torch.rand(3))  # and it drew as many numbers for it
        assert torch.equal(found[0], found[2])
        assert torch.equal(found[1], found[3])


def kinds_seen(network: nn.Module) -> dict[str, set[torch.dtype]]:
    """The kind of number that each convolution and dense layer puts out; copies do not count."""
    seen: dict[str, set[torch.dtype]] = {}
    names = {layer: name for name, layer in network.named_modules()}

    def note(layer: nn.Module, given: object, made: Tensor) -> None:
        if layer in names:
            seen.setdefault(names[layer], set()).add(made.dtype)

    for layer in names:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(note)
    return seen


def test_bf16_is_of_the_layers_that_are_not_held_and_of_the_loss_never() -> None:
    network = Maps()
    seen = kinds_seen(network)
    given: list[torch.dtype] = []
    real = torch.nn.functional.cross_entropy

    def noting(logits: Tensor, *rest: Any, **options: Any) -> Tensor:
        given.append(logits.dtype)
        return real(logits, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "cross_entropy", noting)
        made = losses(network, here(precision="bf16", held=("conv2",)))
    assert seen == {
        "conv1": {torch.bfloat16},
        "conv2": {torch.float32},
        "conv3": {torch.bfloat16},
        "dense": {torch.bfloat16},
    }
    assert set(given) == {torch.float32}
    assert all(weight.dtype == torch.float32 for weight in network.parameters())
    assert made == pytest.approx(losses(Maps(), None), rel=0.05)


def test_auxiliary_heads_go_the_same_way() -> None:
    class TwoHeads(nn.Sequential):
        def training_logits(self, x: Tensor) -> list[tuple[float, Tensor]]:
            return [(1.0, self(x)), (0.3, self(x) * 2)]

    torch.manual_seed(0)
    network = TwoHeads(nn.Flatten(), nn.Linear(784, 4))
    seen = kinds_seen(network)
    made = losses(network, here(precision="bf16"))
    assert seen == {"1": {torch.bfloat16}}
    torch.manual_seed(0)
    assert made == pytest.approx(losses(TwoHeads(nn.Flatten(), nn.Linear(784, 4)), None), rel=0.05)


def test_validation_goes_the_same_way_as_training() -> None:
    network = Maps()
    seen: list[tuple[bool, torch.dtype, bool]] = []

    def note(layer: nn.Module, given: tuple[Tensor], made: Tensor) -> None:
        last = given[0].is_contiguous(memory_format=torch.channels_last)
        seen.append((layer.training, made.dtype, last))

    network.conv3.register_forward_hook(note)
    losses(network, here(precision="bf16", layout="channels_last"))
    assert set(seen) == {(True, torch.bfloat16, True), (False, torch.bfloat16, True)}
    logits = here(precision="bf16").passes(network, batch_size=16).logits
    assert logits(torch.rand(2, 1, 28, 28)).dtype == torch.float32


def test_a_generator_that_is_dropped_midway_puts_everything_back() -> None:
    network, before = Maps(), torch.get_num_threads()
    chosen = here(threads=before + 1, layout="channels_last")
    facts = fit(
        Training.begin(network, RECIPE),
        batches(RECIPE),
        pictures(0),
        recipe=RECIPE,
        hardware=chosen,
    )
    next(facts)
    assert torch.get_num_threads() == before + 1
    facts.close()
    assert torch.get_num_threads() == before
    assert network.conv2.weight.is_contiguous()


def fake_compile(calls: list[tuple[int, ...]]) -> Callable[..., Any]:
    """torch.compile that compiles nothing, and notes the shapes that it is called with."""

    def compile(function: Callable[[Tensor], Any], **options: Any) -> Callable[[Tensor], Any]:
        assert options == {"dynamic": False, "options": {"fallback_random": True}}

        def compiled(images: Tensor) -> Any:
            calls.append(tuple(images.shape))
            return function(images)

        return compiled

    return compile


def test_whole_batches_go_through_the_compiled_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 100 pictures the last four are another shape; validation is one again."""
    calls: list[tuple[int, ...]] = []
    monkeypatch.setattr(torch, "compile", fake_compile(calls))
    made = losses(dropout_net(), here(compile=True), n=100)
    assert calls == [(16, 1, 28, 28)] * 12
    assert made == losses(dropout_net(), None, n=100)


def test_a_compiler_that_fails_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.exc import InternalTorchDynamoError

    def raising(error: Exception) -> Callable[..., Any]:
        def call(images: Tensor) -> Any:
            raise error

        return lambda function, **options: call

    monkeypatch.setattr(torch, "compile", raising(InternalTorchDynamoError("no header\nmore")))
    with pytest.raises(NeocogError, match=r"no header\. Train it with --compile no"):
        losses(Maps(), here(compile=True))
    monkeypatch.setattr(torch, "compile", raising(KeyError("of the network's own")))
    with pytest.raises(KeyError, match="own"):
        losses(Maps(), here(compile=True))


def test_a_run_in_bf16_trains_and_is_scored_in_fp32(tmp_path: Path) -> None:
    told: list[str] = []
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    seen, threads = kinds_seen(network), set[int]()

    def note(layer: nn.Module, *given: object) -> None:
        if layer is network[0]:  # and not a copy of it, on which steps are tried
            threads.add(torch.get_num_threads())

    network[0].register_forward_hook(note)
    before = torch.get_num_threads()
    run = api.train(
        network,
        "digits",
        recipe=Recipe(epochs=2, lr=0.05),
        precision="bf16",
        layout="channels_last",
        threads=before + 1,
        out=tmp_path / "r",
        watcher=Silent(),
        tell=told.append,
    )
    recorded = run.folder.environment["hardware"]
    bf16 = {name for name, kinds in seen.items() if torch.bfloat16 in kinds}
    assert bf16 == {"0", "3"} - set(recorded["held"])
    assert threads == {before, before + 1}  # scored as torch was found
    assert torch.get_num_threads() == before
    assert recorded["precision"] == "bf16"
    assert recorded["layout"] == "channels_last"
    assert recorded["threads"] == before + 1
    assert recorded["why"] == "asked"
    assert recorded["memory"] in ("kept", "system")
    assert any(f"{before + 1} threads, bf16" in line and "(asked)" in line for line in told)
    slower = "bf16     nothing here multiplies in bf16: --precision fp32 is faster"
    assert (slower in told) is not has_bf16("cpu")
    assert run.scores["test"]["top1"] > 0.2
    said = predictions(run.network(), load("digits").test, run.folder.spec)
    written = run.folder.predictions("test")
    assert written is not None
    torch.testing.assert_close(torch.from_numpy(said.logits), torch.from_numpy(written.logits))


def test_the_machine_line_says_what_was_chosen_and_why() -> None:
    chosen = here(
        name="AMD EPYC, 2 cores",
        threads=2,
        layout="channels_last",
        memory="kept",
        why="measured",
        measured={"2 threads, fp32": 45.04, "2 threads, fp32, channels_last": 31.0},
    )
    assert machine_lines(chosen) == [
        "machine  AMD EPYC, 2 cores: cpu, 2 threads, fp32, channels_last, memory kept "
        "(measured: 31 ms a step; plain 45)"
    ]
    assert machine_lines(here(threads=1, name="x"))[0] == (
        "machine  x: cpu, 1 thread, fp32 (too short to measure)"
    )


def test_epochs_come_with_every_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that puts out something else in training still validates by its main logits."""
    network = create("lenet_relu", num_classes=4, seed=0)
    chosen = here(layout="channels_last", kernels="native")
    facts = fit(
        Training.begin(network, RECIPE),
        batches(RECIPE),
        pictures(32, 1),
        recipe=RECIPE,
        hardware=chosen,
    )
    epochs = [fact for fact in facts if isinstance(fact, Epoch)]
    assert epochs[-1].val_accuracy is not None
    assert ways.passes_of(network).logits(torch.zeros(1, 1, 28, 28)).shape == (1, 4)


def test_float32_of_a_gpu_has_all_its_bits() -> None:
    def said() -> tuple[str, str]:
        return (
            torch.backends.cudnn.conv.fp32_precision,
            torch.backends.cuda.matmul.fp32_precision,
        )

    before = said()
    assert before != ("ieee", "ieee")
    with Hardware("cuda", "any", 1).in_force(nn.Linear(2, 2)):
        assert said() == ("ieee", "ieee")
    assert said() == before
    with Hardware("cpu", "any", 1).in_force(nn.Linear(2, 2)):
        assert said() == before
