"""Of whose time the processors' time is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from neocog.engine import others as machine

STAT = "cpu  {} 0 100 5000 300 0 0 0 0 0\ncpu0 1 2 3\n"


@pytest.mark.parametrize(
    ("theirs", "own", "busy"), [(0.0, 0.0, False), (4.0, 4.0, False), (1.0, 0.0, True)]
)
def test_others_are_busy_where_the_time_is_theirs(
    theirs: float, own: float, busy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two processors a second passes; another quarter of their time is half a second."""
    clock, mine, worked = [0.0], [1.0], [7.0]
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(machine.os, "times", lambda: (mine[0], 0.0, 0.0, 0.0, 9.0))
    monkeypatch.setattr(machine.time, "monotonic", lambda: clock[0])
    ticks = machine.os.sysconf("SC_CLK_TCK")

    def stat(**_: str) -> str:
        return STAT.format(round(worked[0] * ticks))

    monkeypatch.setattr(machine, "Path", lambda _: SimpleNamespace(read_text=stat))
    told = machine.watching_others()
    clock[0], mine[0], worked[0] = 1.0, mine[0] + own, worked[0] + theirs
    assert told() == busy


@pytest.mark.parametrize("load", [0.1, 1.9])
def test_where_the_system_does_not_tell_the_minute_before_counts(
    load: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_of_others", lambda: None)
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (load, 0, 0), raising=False)
    assert machine.watching_others()() == (load > 1)
