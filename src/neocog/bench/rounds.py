"""The benchmark: rounds over groups, the arms of a group side by side, results kept after each."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from neocog.bench import children, plan
from neocog.bench.plan import Group, Job, Settings
from neocog.bench.results import Results, Row

Measure = Callable[[Job], dict[str, Any]]
# What must be laid out before a section's first measurement, and who does it.
PREPARED_BY = {"whole": "data", "accuracy": "data", "inference": "reference"}


class Rounds:
    """One run of the benchmark. `measure` does a job; `save` is called when something is known."""

    def __init__(
        self,
        results: Results,
        *,
        measure: Measure,
        save: Callable[[Results], None],
        tell: Callable[[str], None],
    ) -> None:
        self.results, self.settings = results, results.settings
        self.measure, self.save, self.tell = measure, save, tell
        self.began = time.monotonic()
        self.took: dict[str, float] = {}  # group -> seconds of its last round
        self.laid_out: dict[str, dict[str, Any]] = {}  # folder -> what came of filling it
        self.rows: dict[tuple[str, str], Row] = {}

    def run(self) -> None:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            self._peak()
            groups = self._groups()
            for number in range(max((group.rounds for group in groups), default=0)):
                if number:
                    self._peak()
                again = [group for group in groups if number < group.rounds]
                self._round(number, again, Path(folder))

    def _groups(self) -> list[Group]:
        bf16 = bool(self.results.machine.get("bf16")) and not self.settings.avx2
        groups = plan.groups(self.settings, bf16=bf16)
        for group in groups:
            for job in group.jobs:
                self.rows[group.name, job.arm] = Row(group.section, group.work, job)
        self.results.rows = list(self.rows.values())
        return groups

    def _peak(self) -> None:
        """The machine's matrix products: in every round, for machines get warm and are shared."""
        settings = self.settings
        job = Job(
            kind="peak",
            arm="neocog",
            seconds=settings.seconds,
            steps=int(settings.quick),
            device=settings.device,
            precision="fp32" if settings.avx2 else "auto",
        )
        self.results.add_peak(self._done(job, "matrix products"))

    def _round(self, number: int, groups: list[Group], folder: Path) -> None:
        for group in groups:
            rows = [self.rows[group.name, job.arm] for job in group.jobs]
            left = [row for row in rows if not row.over]
            if not left or self.time_left() <= self.took.get(group.name, 0.0):
                continue
            began = time.monotonic()
            place = folder / f"{group.section}-{group.work.network}"
            made = self._lay_out(group, place)
            if made["status"] != "measured":
                for row in left:
                    row.add({**made, "reason": f"nothing to measure on: {made['reason']}"})
                continue
            turn = number % len(left)  # nobody is always first, when the machine is still cool
            for row in [*left[turn:], *left[:turn]]:
                if number == 0 and self.time_left() <= 0:
                    break  # later rounds are begun where they fit as a whole
                job = replace(row.job, folder=str(place), seed=number)
                row.add(self._done(job, f"{group.name}, {row.job.arm}"))
                self._keep(number)
            self.took[group.name] = time.monotonic() - began

    def _lay_out(self, group: Group, folder: Path) -> dict[str, Any]:
        """What the group's jobs read, put into `folder` the first time."""
        kind = PREPARED_BY.get(group.section)
        if kind is None:
            return {"status": "measured"}
        if str(folder) not in self.laid_out:
            folder.mkdir()
            job = replace(group.jobs[0], kind=kind, arm="neocog", folder=str(folder))
            self.laid_out[str(folder)] = self._done(job, f"{group.name}: what all are given")
        return self.laid_out[str(folder)]

    def _done(self, job: Job, what: str) -> dict[str, Any]:
        result = self.measure(job)
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        self.tell(f"{minutes:3d}:{seconds:02d}  {what}: {_in_words(job, result)}")
        return result

    def _keep(self, number: int) -> None:
        self.results.rounds = number + 1
        self.results.seconds = time.monotonic() - self.began
        self.save(self.results)

    def time_left(self) -> float:
        return self.settings.total() - (time.monotonic() - self.began)


def run(
    settings: Settings,
    *,
    command: str,
    save: Callable[[Results], None],
    tell: Callable[[str], None],
    measure: Measure | None = None,
) -> Results:
    """The whole benchmark. A measurement that fails is a row that says why; none is a failure."""
    plan.groups(settings, bf16=True)  # says now if there is nothing to measure
    results = Results(settings, command)
    results.start_up = children.start_up()

    def child(job: Job) -> dict[str, Any]:
        return children.measured(job, limit=settings.time_limit(job.kind), avx2=settings.avx2)

    Rounds(results, measure=measure or child, save=save, tell=tell).run()
    return results


def _in_words(job: Job, result: dict[str, Any]) -> str:
    if result["status"] != "measured":
        return f"{result['status']} ({result['reason']})"
    if job.kind == "peak":
        return ", ".join(f"{name} {rate:,.0f} GFLOP/s" for name, rate in result["peaks"].items())
    if job.kind not in plan.UNITS:
        return f"{result['wall']:.0f} s" if "wall" in result else "done"
    steps = f" ({result['steps']} steps)" if "steps" in result else ""
    return f"{result['value']:,.1f} {plan.UNITS[job.kind]}{steps}"
