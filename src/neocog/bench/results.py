"""What was measured, gathered: a row for each arm of each piece of work, and the file it makes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any

from neocog.bench.plan import ARMS, FORMAT, UNITS, Job, Settings, Workload

DISTRIBUTIONS = (
    ("neocog",),
    ("torch",),
    ("numpy",),
    ("keras",),
    ("tensorflow", "tensorflow-cpu"),
    ("onnxruntime",),
    ("openvino",),
    ("onnx",),
)
# Settings from outside that change how fast children are.
TOLD = (
    *("OMP_", "KMP_", "MKL_", "ONEDNN_", "DNNL_", "ATEN_", "MALLOC_", "LD_PRELOAD"),
    *("TF_ENABLE_ONEDNN", "TF_NUM_", "TF_XLA"),
)


@dataclass
class Row:
    """One arm of one piece of work, over the rounds."""

    section: str
    work: Workload
    job: Job
    status: str = "out of time"  # or measured, not installed, failed, crashed, too long, ...
    reason: str = "its turn did not come"
    measurements: list[dict[str, Any]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether another round would find the same again."""
        return self.status not in ("measured", "out of time")

    def add(self, measurement: dict[str, Any]) -> None:
        """Once something was measured it stands, whatever a later round meets."""
        if measurement["status"] == "measured" or not self.measured:
            self.status = measurement["status"]
            self.reason = measurement.get("reason", "")
        self.measurements.append(measurement)

    @property
    def measured(self) -> list[dict[str, Any]]:
        return [m for m in self.measurements if m["status"] == "measured"]

    def to_json(self) -> dict[str, Any]:
        values = [m["value"] for m in self.measured]
        steps = [m["steps"] for m in self.measured if "steps" in m]
        return {
            "section": self.section,
            "network": self.work.network,
            "title": self.work.title,
            "size": list(self.work.size),
            "batch": self.work.batch,
            "arm": self.job.arm,
            "who": ARMS[self.job.arm].title,
            "unit": UNITS[self.section],
            "status": self.status,
            "reason": self.reason,
            "n": len(values),
            "value": median(values) if values else None,
            "spread": (max(values) - min(values)) / median(values) if values else None,
            "steps": steps,
            "measurements": self.measurements,
        }


@dataclass
class Results:
    """Everything of one run of the benchmark."""

    settings: Settings
    command: str
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    machine: dict[str, Any] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)  # GFLOP/s, the best of all rounds
    start_up: dict[str, float] = field(default_factory=dict)  # seconds
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    rounds: int = 0

    def add_peak(self, measurement: dict[str, Any]) -> None:
        self.machine = measurement.get("machine", self.machine)
        for name, rate in measurement.get("peaks", {}).items():
            self.peaks[name] = max(rate, self.peaks.get(name, 0.0))

    def to_json(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "benchmark": FORMAT,
            "started": self.started.isoformat(timespec="seconds"),
            "date": self.started.astimezone().date().isoformat(),
            "command": self.command,
            "quick": settings.quick,
            "avx2": settings.avx2,
            "machine": self.machine,
            "environment": {k: v for k, v in os.environ.items() if k.startswith(TOLD)},
            "versions": versions(),
            "seconds_each": settings.seconds,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "peaks": self.peaks,
            "start_up": self.start_up,
            "rows": [row.to_json() for row in self.rows],
        }


def versions() -> dict[str, str]:
    """Of everything that is measured and installed, without importing it."""
    found = {}
    for names in DISTRIBUTIONS:
        for name in names:
            try:
                found[name] = version(name)
                break
            except PackageNotFoundError:
                continue
    return found
