"""Rounds over groups: in turns, within the time, every measurement kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from neocog.bench import children, rounds
from neocog.bench.plan import Job, Settings
from neocog.bench.results import Results, Row

MACHINE = {"processor": "a processor", "device": "cpu", "bf16": True, "amx": True}


class Fakes:
    """Children that are none: `answers` by arm, or by kind of job."""

    def __init__(self, **answers: Any) -> None:
        self.answers, self.asked = answers, list[Job]()

    def __call__(self, job: Job) -> dict[str, Any]:
        self.asked.append(job)
        if job.kind == "peak":
            rates = {"fp32": 300.0 + len(self.asked), "bf16": 2000.0 - len(self.asked)}
            return {"status": "measured", "value": 1.0, "peaks": rates, "machine": MACHINE}
        answer = self.answers.get(job.arm.replace("-", "_"), self.answers.get(job.kind, 100.0))
        if callable(answer):
            answer = answer(job)
        return answer if isinstance(answer, dict) else {"status": "measured", "value": answer}

    def order(self, kind: str) -> list[str]:
        return [job.arm for job in self.asked if job.kind == kind]


@pytest.fixture(autouse=True)
def _no_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "start_up", lambda: {"help": 0.1, "import": 0.01})


def measured(fakes: Fakes, **settings: Any) -> tuple[Results, list[dict[str, Any]]]:
    """The results, and what was saved on the way."""
    saved: list[dict[str, Any]] = []
    results = rounds.run(
        Settings(**settings),
        command="neocog bench",
        save=lambda found: saved.append(found.to_json()),
        tell=lambda line: None,
        measure=fakes,
    )
    return results, saved


def row(results: Results, arm: str, section: str = "train") -> Row:
    return next(r for r in results.rows if (r.job.arm, r.section) == (arm, section))


def test_arms_take_turns_and_each_round_begins_with_another() -> None:
    fakes = Fakes()
    measured(fakes, only="train", networks=("vgg11",), rounds=3)
    arms = ["neocog", "keras", "keras-bf16", "torch", "torch-bf16"]
    assert fakes.order("train") == [*arms, *arms[1:], *arms[:1], *arms[2:], *arms[:2]]


def test_each_round_has_a_seed_of_its_own() -> None:
    fakes = Fakes()
    measured(fakes, only="train", networks=("vgg11",), arms=("neocog",), rounds=3)
    assert [job.seed for job in fakes.asked if job.kind == "train"] == [0, 1, 2]


def test_the_median_of_the_rounds_counts() -> None:
    values = iter([10.0, 40.0, 20.0])
    fakes = Fakes(neocog=lambda job: next(values))
    results, _ = measured(fakes, only="train", networks=("vgg11",), rounds=3)
    facts = row(results, "neocog").to_json()
    assert (facts["n"], facts["value"], facts["spread"]) == (3, 20.0, 1.5)


def test_the_peak_is_the_best_of_all_rounds() -> None:
    results, _ = measured(Fakes(), only="train", networks=("vgg11",), arms=("neocog",), rounds=2)
    assert results.peaks == {"fp32": 303.0, "bf16": 1999.0}


def test_a_peer_that_is_missing_is_a_row_and_is_not_asked_again() -> None:
    missing = {"status": "not installed", "reason": "no module keras"}
    fakes = Fakes(keras=missing, keras_bf16=missing)
    results, _ = measured(fakes, only="train", networks=("vgg11",), rounds=2)
    assert fakes.order("train").count("keras") == 1
    facts = row(results, "keras").to_json()
    assert (facts["status"], facts["reason"], facts["value"]) == (
        "not installed",
        "no module keras",
        None,
    )
    assert row(results, "neocog").to_json()["n"] == 2


def test_what_was_measured_stands_when_a_later_round_fails() -> None:
    answers: list[Any] = [50.0, {"status": "crashed", "reason": "signal 11"}, 60.0]
    fakes = Fakes(torch=lambda job: answers.pop(0))
    results, _ = measured(fakes, only="train", networks=("vgg11",), rounds=3)
    facts = row(results, "torch").to_json()
    assert (facts["status"], facts["n"], facts["value"]) == ("measured", 2, 55.0)


def test_results_are_saved_after_every_measurement() -> None:
    _, saved = measured(Fakes(), only="train", networks=("vgg11",), rounds=1)
    done = [sum(facts["n"] for facts in found["rows"]) for found in saved]
    assert done == [1, 2, 3, 4, 5]
    assert {facts["status"] for facts in saved[0]["rows"]} == {"measured", "out of time"}


def test_when_time_is_up_what_is_left_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Slow(monkeypatch)
    results, _ = measured(Fakes(train=clock.takes(110)), only="train", minutes=5.0, rounds=3)
    states = [r.status for r in results.rows]
    assert states.count("measured") == 3  # begun before the five minutes were over
    assert states.count("out of time") == len(states) - 3


def test_a_round_that_would_end_too_late_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Slow(monkeypatch)
    fakes = Fakes(train=clock.takes(20))  # 100 s a round
    results, _ = measured(fakes, only="train", networks=("vgg11",), minutes=4.0, rounds=3)
    assert {r.to_json()["n"] for r in results.rows} == {2}
    fakes = Fakes(train=clock.takes(20))
    results, _ = measured(fakes, only="train", networks=("vgg11",), minutes=0.0, rounds=3)
    assert {r.to_json()["n"] for r in results.rows} == {3}


class Slow:
    """Time that passes in measurements alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(rounds.time, "monotonic", lambda: self.now)

    def takes(self, seconds: float) -> Callable[[Job], float]:
        def measure(job: Job) -> float:
            self.now += seconds
            return 100.0

        return measure


def test_what_all_arms_read_is_laid_out_once_and_each_is_told_where() -> None:
    fakes = Fakes()
    measured(fakes, only="inference", rounds=2)
    assert fakes.order("reference") == ["neocog"]  # batch 16 and batch 1 share it
    folders = {job.folder for job in fakes.asked if job.kind in ("reference", "inference")}
    assert len(folders) == 1
    assert "" not in folders


def test_where_nothing_can_be_laid_out_every_row_says_why() -> None:
    fakes = Fakes(data={"status": "failed", "reason": "DataError: no mnist"})
    results, _ = measured(fakes, only="accuracy", networks=("lenet_relu",), rounds=2)
    assert {r.status for r in results.rows} == {"failed"}
    assert {r.reason for r in results.rows} == {"nothing to measure on: DataError: no mnist"}
    assert fakes.order("accuracy") == []
    assert fakes.order("data") == ["neocog"]


def test_held_to_avx2_there_is_nothing_in_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    fakes = Fakes()

    def child(job: Job, *, limit: float, avx2: bool) -> dict[str, Any]:
        told.append(avx2)
        return fakes(job)

    monkeypatch.setattr(children, "measured", child)
    results = rounds.run(
        Settings(avx2=True, rounds=1),
        command="neocog bench --avx2",
        save=lambda found: None,
        tell=lambda line: None,
    )
    assert set(told) == {True}
    assert not [r for r in results.rows if "bf16" in r.job.arm]
    assert {job.precision for job in fakes.asked} == {"fp32"}


def test_a_machine_that_does_not_answer_is_no_reason_to_stop() -> None:
    class NoPeak(Fakes):
        def __call__(self, job: Job) -> dict[str, Any]:
            if job.kind == "peak":
                return {"status": "crashed", "reason": "signal 11"}
            return super().__call__(job)

    results, _ = measured(NoPeak(), only="train", networks=("vgg11",), rounds=1)
    assert results.machine == {}
    assert row(results, "neocog").status == "measured"
    assert {r.job.arm for r in results.rows} == {"neocog", "keras", "torch"}
