"""The rules of choosing, with times that are made up; then that trying changes nothing of a run."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.engine.test_fit import SPEC, batches, dropout_net, pictures
from torch import Tensor, nn

from neocog import choosing
from neocog.data import notes
from neocog.data.cache import cache_dir
from neocog.engine import machine, native, trial, tuning
from neocog.engine.fit import fit
from neocog.engine.hardware import FEW_PIXELS, Hardware, Wanted, choose, fitted, with_stages
from neocog.engine.machine import can_compile
from neocog.engine.state import Training
from neocog.engine.trial import agree, fingerprint, tuned
from neocog.engine.tuning import GAIN, KEPT_ANSWERS, SHARE, Search, remember
from neocog.recipe import Recipe
from neocog.records import Step

PLAIN = Hardware(device="cpu", name="made up", threads=4)
LAST = dataclasses.replace(PLAIN, layout="channels_last")
LONG = 100_000  # steps
LARGE = 1_000_000  # pixels


@pytest.fixture(autouse=True)
def _no_units_and_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_bf16", lambda device: False)
    monkeypatch.setattr(machine, "can_compile", lambda device: False)


class Times:
    """Seconds of a step by what is different from plain; every call is noted."""

    def __init__(self, plain: float = 0.1, *, to_compile: float = 0.0, **factors: float) -> None:
        self.plain, self.factors, self.to_compile = plain, factors, to_compile
        self.asked: list[Hardware] = []

    def __call__(self, hardware: Hardware) -> float:
        factor = 1.0
        for word in (
            hardware.layout,
            hardware.precision,
            hardware.kernels,
            hardware.convolutions,
            hardware.norms,
            f"stages_{hardware.stages}",
            "one_thread" if hardware.threads == 1 else "threads",
            "compiled" if hardware.compile else "eager",
        ):
            factor *= self.factors.get(word, 1.0)
        first = hardware.compile and hardware not in self.asked
        self.asked.append(hardware)
        return self.plain * factor + (self.to_compile if first else 0.0)


def search(
    times: Callable[[Hardware], float],
    *,
    wanted: Wanted | None = None,
    default: Hardware = LAST,
    steps: int = LONG,
    limit: float | None = None,
    pixels: int = LARGE,
    held: tuple[str, ...] = (),
    agrees: Callable[[Hardware], bool] = lambda hardware: True,
    fit: Callable[[Hardware], Hardware] = fitted,
) -> Search:
    def hold(hardware: Hardware, timed: bool) -> Hardware:
        bf16 = hardware.precision == "bf16"
        return dataclasses.replace(hardware, held=held) if bf16 else hardware

    given = wanted or Wanted()
    return Search(given, default, steps, pixels, times, hold, agrees, limit=limit, fit=fit)


def test_a_layout_that_saves_a_tenth_is_taken() -> None:
    found, whole = search(Times(channels_last=0.9)).found()
    assert found == LAST
    assert (found.why, whole) == ("measured", True)
    assert list(found.measured.items()) == [
        ("4 threads, fp32", 100.0),
        ("4 threads, fp32, channels_last", pytest.approx(90.0)),
    ]


@pytest.mark.parametrize("factor", [1.3, 1.0, 0.96])
def test_what_saves_less_than_a_twentieth_is_not(factor: float) -> None:
    assert 1 - factor < GAIN
    assert search(Times(channels_last=factor)).found()[0] == PLAIN


def test_the_fastest_of_each_counts_so_a_slow_moment_chooses_nothing() -> None:
    """Each candidate is disturbed once, and each in another round."""
    calls: dict[Hardware, int] = {}

    def disturbed(hardware: Hardware) -> float:
        calls[hardware] = calls.get(hardware, 0) + 1
        slow = calls[hardware] == (3 if hardware == PLAIN else 4)
        return 0.1 * (1.4 if slow else 1.0) * (0.8 if hardware == LAST else 1.0)

    found, _ = search(disturbed).found()
    assert found == LAST
    assert found.measured[str(PLAIN)] == 100.0
    assert found.measured[str(LAST)] == pytest.approx(80.0)


def test_steps_are_interleaved_after_one_that_makes_ready() -> None:
    times = Times()
    search(times).found()
    layouts = "".join("l" if h == LAST else "p" for h in times.asked)
    assert layouts == "pp" + "l" + "pl" * tuning.ROUNDS


def test_what_is_far_slower_is_not_tried_again() -> None:
    times = Times(channels_last=5.0)
    search(times).found()
    assert times.asked.count(LAST) == 2


def test_what_is_far_quicker_is_taken_after_one_round() -> None:
    times = Times(channels_last=0.3)
    assert search(times).found()[0] == LAST
    assert times.asked.count(LAST) == 2


def test_timing_is_reckoned_by_the_quickest_way_so_far() -> None:
    """Of a run that takes a tenth of what the plain step had promised, a fiftieth is less."""
    times = Times(1.0, channels_last=0.1, one_thread=0.5)
    few = dataclasses.replace(LAST, threads=2)
    for steps, tried in ((4000, True), (700, False)):
        times.asked.clear()
        search(times, default=few, steps=steps).found()
        assert any(hardware.threads == 1 for hardware in times.asked) is tried


@pytest.mark.parametrize("slow", ["tiled", "fused"])
def test_what_suits_amx_is_tried_against_doing_without(
    slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "has_bf16", lambda device: True)
    monkeypatch.setattr("neocog.engine.hardware.library", lambda *_: object())
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    default = fitted(dataclasses.replace(LAST, precision="bf16"))
    assert (default.convolutions, default.norms) == ("tiled", "fused")
    found, _ = search(Times(contiguous=1.5, bf16=0.5, **{slow: 1.2}), default=default).found()
    left = {"tiled": ("plain", "fused"), "fused": ("tiled", "plain")}[slow]
    assert (found.convolutions, found.norms) == left
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert fitted(default).convolutions == "plain"


@pytest.mark.parametrize(("factor", "left"), [(0.5, "winograd"), (1.2, "plain")])
def test_fewer_products_are_tried_against_doing_without(factor: float, left: str) -> None:
    def fit(hardware: Hardware) -> Hardware:
        last = hardware.layout == "channels_last"
        return dataclasses.replace(hardware, convolutions="winograd" if last else "plain")

    times = Times(winograd=factor)
    found, _ = search(times, default=fit(LAST), fit=fit).found()
    assert (found.layout, found.convolutions) == (
        "channels_last" if factor < 1 else "contiguous",
        left,
    )
    times.asked.clear()
    search(times, default=LAST).found()  # a network that has no such layers
    assert all(hardware.convolutions == "plain" for hardware in times.asked)


@pytest.mark.parametrize(("factor", "left"), [(0.5, "fused"), (1.2, "plain")])
def test_fused_stages_are_tried_against_doing_without(factor: float, left: str) -> None:
    default = dataclasses.replace(LAST, stages="fused")
    times = Times(contiguous=1.5, stages_fused=factor)
    found, _ = search(times, default=default).found()
    assert found.stages == left
    times.asked.clear()
    search(times, default=LAST).found()  # a network that has none
    assert all(hardware.stages == "plain" for hardware in times.asked)


def test_a_short_run_takes_the_default_at_once() -> None:
    times = Times(0.01, channels_last=5.0)
    found, whole = search(times, steps=1000).found()
    assert (found, found.why, whole) == (LAST, "too short to measure", False)
    assert len(times.asked) == 2  # to know that it is short


def test_a_run_of_few_steps_is_not_even_looked_at() -> None:
    times = Times(60.0)
    assert search(times, steps=200).found()[0] == LAST
    assert times.asked == []


def test_of_a_time_too_short_for_timing_one_step_is_taken() -> None:
    times = Times(4.0, channels_last=0.5)
    found, whole = search(times, limit=120).found()
    assert (found, found.why, whole) == (LAST, "too short to measure", False)
    assert times.asked == [LAST]


def test_a_time_given_counts_and_not_the_epochs_of_the_recipe() -> None:
    assert search(Times(channels_last=0.5), limit=3600, steps=1).found()[1]
    times = Times(channels_last=5.0)
    assert search(times, limit=19).found()[0].why == "too short to measure"
    assert len(times.asked) <= 3


def test_whether_compiling_pays_is_reckoned_of_the_time_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "can_compile", lambda device: True)
    for limit, taken in ((7200.0, True), (60.0, False)):
        times = Times(compiled=0.5, to_compile=50.0)
        here = search(times, limit=limit, steps=LONG if not taken else 1)
        assert here.answer({}, "key", layers=10).compile is taken


@pytest.mark.parametrize(
    "run",
    [
        *({"steps": steps} for steps in (300, 500, 1000, 5000, 100_000)),
        *({"limit": limit} for limit in (60.0, 600.0, 7200.0)),
    ],
    ids=str,
)
@pytest.mark.parametrize("seconds", [0.02, 0.3, 12.0, 60.0])
def test_timing_costs_no_more_than_its_share(
    seconds: float, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "has_bf16", lambda device: True)
    monkeypatch.setattr(machine, "can_compile", lambda device: True)
    times = Times(seconds, channels_last=1.2, bf16=1.2, compiled=0.9, to_compile=50.0)
    here = search(times, **run, default=dataclasses.replace(LAST, precision="bf16"))
    here.answer({}, "key", layers=30)
    # what is tried is slower than foreseen, and compiling took as long as it was thought to
    most = 1.3 * SHARE * run.get("limit", seconds * run.get("steps", 0))
    one = 1.5 * seconds if "limit" in run else 0.0  # step, to know how many there will be
    assert here.spent <= max(most, one)


def test_bf16_is_tried_only_where_there_are_units(monkeypatch: pytest.MonkeyPatch) -> None:
    times = Times(bf16=0.3)
    assert search(times).found()[0].precision == "fp32"
    assert all(h.precision == "fp32" for h in times.asked)
    monkeypatch.setattr(machine, "has_bf16", lambda device: True)
    default = dataclasses.replace(LAST, precision="bf16")
    found, _ = search(Times(bf16=0.3), default=default, held=("conv1",)).found()
    assert (found.precision, found.held) == ("bf16", ("conv1",))
    assert search(Times(bf16=1.2), default=default).found()[0].precision == "fp32"


def test_each_thing_is_changed_from_what_the_one_before_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "has_bf16", lambda device: True)
    default = dataclasses.replace(LAST, precision="bf16")
    times = Times(bf16=0.5, channels_last=1.3)  # bf16 helps, the layout does not
    found, _ = search(times, default=default).found()
    assert (found.precision, found.layout) == ("bf16", "contiguous")
    tried = [(h.layout, h.precision) for h in dict.fromkeys(times.asked)]
    assert tried == [
        ("contiguous", "fp32"),
        ("channels_last", "bf16"),
        ("contiguous", "bf16"),
    ]


def test_one_thread_is_tried_where_a_step_is_tiny() -> None:
    assert search(Times(0.002, one_thread=0.5), steps=10**6).found()[0].threads == 1
    assert search(Times(0.02, one_thread=0.5), steps=10**6).found()[0].threads == 4
    asked = Times(0.002, one_thread=0.5)
    assert search(asked, wanted=Wanted(threads=4), steps=10**6).found()[0].threads == 4
    assert all(h.threads == 4 for h in asked.asked)


def test_of_two_threads_one_is_tried_in_any_step() -> None:
    two = dataclasses.replace(LAST, threads=2)
    assert search(Times(one_thread=0.5), default=two).found()[0].threads == 1
    assert search(Times(one_thread=1.2), default=two).found()[0].threads == 2


def test_native_kernels_are_tried_where_a_step_is_small() -> None:
    few = 2 * FEW_PIXELS
    assert search(Times(native=0.5), pixels=few).found()[0].kernels == "native"
    assert search(Times(native=0.5), pixels=100 * few).found()[0].kernels == "default"


def test_what_is_asked_for_is_not_timed_against_others() -> None:
    wanted = Wanted(layout="contiguous", precision="bf16")
    asked = dataclasses.replace(PLAIN, precision="bf16", why="asked")
    times = Times(channels_last=0.1)
    found, _ = search(times, wanted=wanted, default=asked, held=("conv1",)).found()
    assert (found.layout, found.precision, found.held) == ("contiguous", "bf16", ("conv1",))
    assert found.why == "asked"
    assert all((h.layout, h.precision) == ("contiguous", "bf16") for h in times.asked)


def test_where_there_is_nothing_to_choose_it_is_said() -> None:
    found, whole = search(Times(), default=PLAIN, wanted=Wanted(layout="contiguous")).found()
    assert (found, found.why, whole) == (PLAIN, "there is no other way here", True)
    assert found.measured == {str(PLAIN): 100.0}


def compiled(times: Times, answers: dict[str, Any] | None = None, **options: Any) -> Hardware:
    return search(times, **options).answer({} if answers is None else answers, "key", layers=10)


@pytest.fixture
def _compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "can_compile", lambda device: True)


@pytest.mark.usefixtures("_compiler")
def test_compiling_is_kept_if_it_pays() -> None:
    answers: dict[str, Any] = {}
    found = compiled(Times(compiled=0.8, to_compile=60.0), answers)
    assert found.compile
    assert found.measured["4 threads, fp32, compiled"] == pytest.approx(80.0)
    assert answers["key"]["compiled"]["to_compile"] == pytest.approx(60.08)
    assert answers["compile_factor"] == pytest.approx(60.08 / tuning.compiling(10))


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize(
    ("times", "why"),
    [
        (Times(compiled=0.97, to_compile=1.0), "it saves too little"),
        (Times(compiled=1.4, to_compile=1.0), "it is slower"),
        (Times(compiled=0.94, to_compile=300.0), "what it saves does not pay for compiling"),
    ],
)
def test_compiling_is_not_kept_where_it_does_not_pay(times: Times, why: str) -> None:
    found = compiled(times)
    assert any(h.compile for h in times.asked), "tried"
    assert not found.compile, why
    assert found.why == "measured"


@pytest.mark.usefixtures("_compiler")
def test_compiling_is_not_tried_where_the_run_is_too_short_for_it() -> None:
    times = Times(compiled=0.1, to_compile=30.0)
    assert not compiled(times, steps=10_000).compile  # 1000 s: a fiftieth is 20 s
    assert not any(h.compile for h in times.asked)


@pytest.mark.usefixtures("_compiler")
def test_how_long_compiling_took_here_is_remembered() -> None:
    times, steps = Times(compiled=0.5, to_compile=30.0), 25_000
    assert compiled(times, steps=steps).compile
    slow = {"compile_factor": 3.0}
    assert not compiled(Times(compiled=0.5, to_compile=30.0), slow, steps=steps).compile


@pytest.mark.usefixtures("_compiler")
def test_a_compiler_that_fails_is_not_asked_again() -> None:
    asked = 0

    def failing(hardware: Hardware) -> float:
        nonlocal asked
        if hardware.compile:
            asked += 1
            raise RuntimeError("no such header")
        return 0.1

    answers: dict[str, Any] = {}
    for _ in range(2):
        found = search(failing).answer(answers, "key", layers=10)
        assert not found.compile
    assert asked == 1


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize("word", ["auto", "yes"])
def test_what_compiles_to_something_that_fails_is_trained_uncompiled(word: str) -> None:
    """As torch 2.13.0 does with LeNet on native kernels: its own guards refuse the result."""

    def fails(hardware: Hardware) -> bool:
        raise AssertionError("expected size 6==6, stride 784==1 at dim=1")

    told: list[str] = []
    here = search(Times(compiled=0.5), wanted=Wanted(compile=word), agrees=fails)
    here.tell = told.append
    assert not here.answer({}, "key", layers=10).compile
    assert any("fails: expected size 6==6" in line for line in told)


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize("word", ["auto", "yes"])
def test_what_compiles_to_something_else_is_trained_uncompiled(word: str) -> None:
    told: list[str] = []
    times, answers = Times(compiled=0.5), dict[str, Any]()
    here = search(times, wanted=Wanted(compile=word), agrees=lambda hardware: False)
    here.tell = told.append
    assert not here.answer(answers, "key", layers=10).compile
    assert any("other gradients than it should" in line for line in told)
    if word == "auto":
        assert answers["key"]["compiled"] == {"works": False}


@pytest.mark.usefixtures("_compiler")
def test_yes_and_no_are_obeyed_unmeasured() -> None:
    for word in ("yes", "no"):
        times = Times(compiled=0.1)
        assert compiled(times, wanted=Wanted(compile=word)).compile == (word == "yes")
        assert not any(h.compile for h in times.asked)


@pytest.mark.usefixtures("_compiler")
def test_an_answer_is_remembered_and_compiling_follows_from_the_steps_at_hand() -> None:
    answers: dict[str, Any] = {}
    first = compiled(Times(channels_last=0.8, compiled=0.8, to_compile=60.0), answers)
    assert first.compile
    answers = json.loads(json.dumps(answers))
    for steps, pays in ((LONG, True), (1000, False)):
        times = Times()
        again = compiled(times, answers, steps=steps)
        assert times.asked == []
        assert again == dataclasses.replace(first, compile=pays)
        assert again.why == "remembered"


def damaged(value: object) -> dict[str, Any]:
    return {"key": value}


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "words",
        {"hardware": 3},
        {"hardware": {}},
        {"hardware": {**LAST.to_json(), "layout": "sideways"}},
        {"hardware": {**LAST.to_json(), "threads": 0}},
        {"hardware": {**LAST.to_json(), "held": 7}},
        {"hardware": {**LAST.to_json(), "measured": [1]}},
        {"hardware": {**LAST.to_json(), "measured": {"a": "b"}}},
    ],
)
def test_a_damaged_answer_is_not_used(value: object) -> None:
    times = Times(channels_last=0.8)
    found = compiled(times, damaged(value))
    assert found == LAST
    assert found.why == "measured"
    assert times.asked


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize("value", [3, {}, {"works": 1}, {"works": True, "step": "x"}])
def test_a_damaged_answer_on_compiling_is_asked_again(value: object) -> None:
    answers = {"key": {"hardware": {**LAST.to_json(), "measured": {str(LAST): 100.0}}}}
    answers["key"]["compiled"] = value
    assert compiled(Times(compiled=0.5), {**answers, "compile_factor": "x"}).compile


def test_the_oldest_answers_go() -> None:
    answers: dict[str, Any] = {"compile_factor": 1.0}
    for number in range(KEPT_ANSWERS + 5):
        remember(answers, str(number), {})
    assert len(answers) == KEPT_ANSWERS + 1
    assert "4" not in answers
    assert "5" in answers


def test_gradients_agree_but_for_rounding() -> None:
    torch.manual_seed(0)
    right = [torch.randn(8, 3), torch.randn(8), torch.randn(5, 8) * 0.1, torch.zeros(5)]
    close = [g * (1 + 1e-4 * torch.randn(g.shape)) for g in right]
    close[3] = torch.full((5,), 1e-7)  # nothing but rounding, of a bias before a norm
    assert agree(close, right, within=0.01)
    for wrong in (
        [torch.zeros(8, 3), *right[1:]],
        [*right[:2], right[2] * 1.05, right[3]],
        [*right[:2], right[2] * torch.nan, right[3]],
        [*right[:3], torch.full((5,), 0.1)],
        right[:3],
    ):
        assert not agree(wrong, right, within=0.01)


# -- on a real network


RECIPE = Recipe(epochs=2, batch_size=16, lr=0.05, momentum=0.9)


class Norms(nn.Sequential):
    """Batch norm, dropout, a buffer that counts."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        super().__init__(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(64, 4),
        )


def try_out(network: nn.Module, *, steps: int = LONG, **options: Any) -> Hardware:
    given: dict[str, Any] = {"answers": {}, "recipe": RECIPE, "wanted": Wanted("cpu"), **options}
    return tuned(network, shape=(16, 1, 28, 28), classes=4, steps=steps, **given)


def losses(
    network: nn.Module, hardware: Hardware | None, *, recipe: Recipe = RECIPE
) -> list[float]:
    facts = fit(
        Training.begin(network, recipe),
        batches(recipe),
        pictures(8, 1),
        recipe=recipe,
        hardware=hardware,
    )
    return [float(fact.loss_sum) for fact in facts if isinstance(fact, Step)]


def measured_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run is long enough to be measured."""
    monkeypatch.setattr(tuning, "SHORT", 0.0)
    monkeypatch.setattr(tuning, "SHARE", 1e9)
    monkeypatch.setattr(choosing, "watching_others", lambda: lambda: False)


def test_trying_changes_nothing_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    measured_at_once(monkeypatch)
    network = Norms()
    twin, mode = copy.deepcopy(network), network.training
    torch.manual_seed(11)
    before = torch.get_rng_state()
    hardware = try_out(network)
    assert hardware.why == "measured"
    assert len(hardware.measured) > 1
    assert torch.equal(before, torch.get_rng_state())
    assert network.training == mode
    assert all(weight.grad is None for weight in network.parameters())
    for (name, a), b in zip(network.state_dict().items(), twin.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
        assert a.stride() == b.stride(), name
    assert losses(network, hardware) == losses(twin, hardware)


def test_bf16_is_probed_before_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    measured_at_once(monkeypatch)
    monkeypatch.setattr(machine, "has_bf16", lambda device: True)
    monkeypatch.setattr(trial, "to_hold", lambda *given, speed: (speed,))
    monkeypatch.setattr(trial.Trial, "__call__", Times(bf16=0.5).__call__)
    monkeypatch.setattr(trial.Trial, "__init__", lambda *given: setattr(given[0], "network", None))
    assert try_out(Norms()).held == ("timed",)
    monkeypatch.setattr(tuning, "SHARE", 0.0)
    assert try_out(Norms()).held == ("known",)
    monkeypatch.setattr(machine, "has_bf16", lambda device: False)
    asked = try_out(Norms(), wanted=Wanted("cpu", precision="bf16"))
    assert (asked.precision, asked.held) == ("bf16", ("any",))


def spoiling(function: Callable[[Tensor], Tensor], **options: Any) -> Callable[[Tensor], Tensor]:
    """torch.compile as it was found to be: right forwards, and the convolutions learn nothing."""

    def compiled(images: Tensor) -> Tensor:
        made = function(images)
        layers = list(function)  # type: ignore[call-overload]
        again = layers[-1](nn.Sequential(*layers[:-1])(images).detach())
        return again + (made - again).detach()

    return compiled


@pytest.mark.parametrize("spoiled", [False, True])
def test_a_compiled_network_that_learns_something_else_is_found_out(
    spoiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = spoiling if spoiled else lambda function, **options: function
    monkeypatch.setattr(torch, "compile", whole)
    monkeypatch.setattr(machine, "can_compile", lambda device: True)
    network = (
        dropout_net() if not spoiled else nn.Sequential(*list(Norms())[:3], *list(Norms())[4:])
    )
    told: list[str] = []
    found = try_out(network, wanted=Wanted("cpu", compile="yes"), steps=1, tell=told.append)
    assert found.compile is not spoiled
    assert len(told) == spoiled


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_a_run_that_asks_to_be_compiled_has_the_losses_it_should(
    layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether torch compiles it rightly, or else it is trained uncompiled."""
    if not can_compile("cpu"):
        pytest.skip("no compiler here")
    monkeypatch.setattr(machine, "can_compile", can_compile)
    wanted = Wanted("cpu", layout=layout, compile="yes", threads=1)
    recipe = RECIPE.changed({"lr": 0.005})
    hardware = try_out(dropout_net(), wanted=wanted, recipe=recipe)
    with_it = losses(dropout_net(), hardware, recipe=recipe)
    assert with_it == pytest.approx(losses(dropout_net(), None, recipe=recipe), rel=1e-3)


class CannotBeCopied(nn.Linear):
    def __deepcopy__(self, memo: object) -> nn.Module:
        raise TypeError("cannot be copied")


@pytest.mark.usefixtures("_compiler")
def test_a_network_that_cannot_be_tried_is_trained_plainly() -> None:
    network = nn.Sequential(nn.Flatten(), CannotBeCopied(784, 4))
    hardware = try_out(network, wanted=Wanted("cpu", compile="yes"))
    assert hardware.why == "not measured: cannot be copied"
    assert not hardware.compile, "nobody has looked at its gradients"
    assert (hardware.layout, hardware.precision) == ("contiguous", "fp32")


class Nothing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(784, 4)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            raise ValueError("only to look at\nand more")
        return self.dense(x.flatten(1))


def test_where_a_way_takes_too_much_memory_what_is_likely_best_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> float:
        raise torch.OutOfMemoryError("Tried to allocate 20.00 GiB")

    monkeypatch.setattr(trial.Trial, "__call__", full)
    found = try_out(Norms())
    assert found.why == "not measured: a way that was tried takes more memory than there is"
    expected = with_stages(fitted(choose(Wanted("cpu"), pixels=16 * 28 * 28), Norms()), Norms())
    assert dataclasses.replace(found, why=expected.why) == expected


def test_neither_is_one_that_raises() -> None:
    assert try_out(Nothing()).why == "not measured: only to look at"


def test_the_answer_is_kept_in_the_cache_and_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    measured_at_once(monkeypatch)
    options: dict[str, Any] = {"recipe": RECIPE, "spec": SPEC, "pictures": 96}
    first = choosing.chosen(Norms(), Wanted("cpu"), **options)
    assert first.why == "measured"
    (file,) = cache_dir().iterdir()
    assert json.loads(file.read_text())
    again = choosing.chosen(Norms(), Wanted("cpu"), **options)
    assert (again, again.why) == (first, "remembered")
    other = choosing.chosen(Norms(), Wanted("cpu"), **{**options, "pictures": 12})
    assert other.why == "measured"  # batches of 12 are another shape
    for junk in ("", "{", "[]", '"x"', "\x00"):
        file.write_text(junk)
        assert choosing.chosen(Norms(), Wanted("cpu"), **options).why == "measured"
        assert json.loads(file.read_text())


def test_what_was_found_on_a_busy_machine_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    measured_at_once(monkeypatch)
    monkeypatch.setattr(choosing, "watching_others", lambda: lambda: True)
    for _ in range(2):
        found = choosing.chosen(Norms(), Wanted("cpu"), recipe=RECIPE, spec=SPEC, pictures=96)
        assert found.why == "measured"
    assert not cache_dir().exists() or not list(cache_dir().iterdir())


def test_a_cache_that_cannot_be_written_does_not_stop_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measured_at_once(monkeypatch)
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below"):
        monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / place))
        notes.note("hardware", {"a": 1})
        assert notes.recall("hardware") == {}
        found = choosing.chosen(Norms(), Wanted("cpu"), recipe=RECIPE, spec=SPEC, pictures=96)
        assert found.why == "measured"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_answers_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    network, here = dropout_net(), PLAIN

    def key(**changes: Any) -> str:
        given: dict[str, Any] = {
            "network": network,
            "wanted": Wanted(),
            "default": here,
            "recipe": RECIPE,
            "shape": (16, 1, 28, 28),
            **changes,
        }
        return fingerprint(given.pop("network"), given.pop("wanted"), given.pop("default"), **given)

    wider = dropout_net()
    wider.head[-1] = nn.Linear(84, 5)
    keys = [
        key(),
        key(network=wider),
        key(wanted=Wanted(precision="fp32")),
        key(default=dataclasses.replace(here, threads=2)),
        key(default=dataclasses.replace(here, name="another")),
        key(recipe=RECIPE.changed({"optimizer": "diagonal-lm"})),
        key(shape=(16, 1, 32, 32)),
    ]
    monkeypatch.setattr(machine, "has_bf16", lambda device: True)
    keys.append(key())
    monkeypatch.setattr(torch, "__version__", "9.9")
    keys.append(key())
    monkeypatch.setattr(native, "WINOGRAD", native.STAGES)
    native.edition.cache_clear()
    keys.append(key())
    assert len(set(keys)) == len(keys)
    monkeypatch.undo()
    native.edition.cache_clear()
    assert key() == key(network=dropout_net(seed=4))  # weights do not matter
