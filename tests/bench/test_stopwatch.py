"""What counts as measured."""

from __future__ import annotations

import pytest

from neocog.bench import stopwatch
from neocog.bench.stopwatch import Stopwatch


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def timed(steps: list[float], watch: Stopwatch, clock: Clock) -> int:
    """How many steps of these lengths were asked for."""
    watch.begin()
    for count, seconds in enumerate(steps, start=1):
        clock.now += seconds
        if watch.tick():
            return count
    raise AssertionError("more steps were asked for")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def watch_by(clock: Clock, seconds: float, **more: object) -> Stopwatch:
    watch = Stopwatch(seconds, **more)  # type: ignore[arg-type]
    watch.clock = clock
    return watch


def test_the_first_steps_are_warm_up_and_do_not_count(clock: Clock) -> None:
    watch = watch_by(clock, 4.0)
    assert timed([9.0, 2.0, 1.0, 1.0, 1.0, 1.0], watch, clock) == 6
    facts = watch.facts(batch=10)
    assert facts["value"] == pytest.approx(10.0)  # images a second
    assert (facts["steps"], facts["seconds"]) == (4, pytest.approx(4.0))
    assert (facts["warm_steps"], facts["warm_seconds"]) == (2, pytest.approx(11.0))


def test_short_steps_warm_up_for_a_share_of_the_time(clock: Clock) -> None:
    watch = watch_by(clock, 4.0)
    timed([0.1] * 1000, watch, clock)
    assert watch.warm_seconds == pytest.approx(4.0 * stopwatch.WARM_SHARE, abs=0.11)
    assert len(watch.times) == pytest.approx(40, abs=1)


def test_steps_longer_than_the_time_are_measured_twice(clock: Clock) -> None:
    watch = watch_by(clock, 1.0)
    assert timed([30.0] * 9, watch, clock) == 4
    assert len(watch.times) == 2


def test_no_more_steps_are_taken_than_asked_for(clock: Clock) -> None:
    watch = watch_by(clock, 1000.0, steps=3)
    assert timed([0.1] * 20, watch, clock) == 6
    assert (watch.warm_steps, len(watch.times)) == (3, 3)


def test_what_is_skipped_is_not_counted(clock: Clock) -> None:
    watch = watch_by(clock, 3.0)
    watch.begin()
    for _ in range(4):
        clock.now += 1.0
        watch.tick()
        clock.now += 50.0  # an epoch ends: evaluation, saving
        watch.skip()
    clock.now += 1.0
    assert watch.tick()
    assert watch.facts(batch=7)["value"] == pytest.approx(7.0)


def test_a_gpu_is_waited_for_at_both_ends_and_its_rest_belongs_to_the_last_step(
    clock: Clock,
) -> None:
    waits: list[float] = []

    def settle() -> None:
        waits.append(clock.now)
        clock.now += 5.0  # what was only queued

    watch = watch_by(clock, 3.0, settle=settle)
    assert timed([1.0] * 9, watch, clock) == 5
    assert len(waits) == 2
    assert watch.facts(batch=1)["seconds"] == pytest.approx(3.0 + 5.0)


def test_page_faults_of_the_measured_steps_are_kept(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([1000, 1600])
    monkeypatch.setattr(stopwatch, "page_faults", lambda: next(counts))
    watch = watch_by(clock, 3.0)
    timed([1.0] * 9, watch, clock)
    assert watch.facts(batch=1)["faults_per_step"] == pytest.approx(200.0)
