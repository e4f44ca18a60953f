"""Measurements in processes of their own: whatever becomes of one is an answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neocog.bench import child, children, pictures, process
from neocog.bench.plan import Job

ANSWERS = """
import numpy
class Input:
    name = "input"
class InferenceSession:
    def __init__(self, path, providers):
        assert path.endswith("network.onnx")
    def get_inputs(self):
        return [Input()]
    def run(self, names, given):
        made = numpy.zeros((len(given["input"]), 10))
        made[:, 3] = 1
        return [made]
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Predictions by an ONNX Runtime that is not one: a test writes it."""
    import numpy as np

    (tmp_path / "peers").mkdir()
    (tmp_path / "network.onnx").touch()
    np.save(tmp_path / "pictures.npy", pictures.pictures(8, (1, 4, 4)))
    np.save(tmp_path / "answers.npy", np.array([3, 3, 3, 3, 3, 3, 3, 4]))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "peers"))
    return Job(
        kind="inference",
        arm="onnxruntime",
        size=(1, 4, 4),
        batch=4,
        pictures=8,
        steps=6,
        seconds=0.01,
        folder=str(tmp_path),
    )


def peer(job: Job, source: str) -> None:
    Path(job.folder, "peers", "onnxruntime.py").write_text(source, encoding="utf-8")


def test_a_peer_is_measured_and_its_answers_are_compared(job: Job) -> None:
    peer(job, ANSWERS)
    said = children.measured(job, limit=60)
    assert said["status"] == "measured"
    assert said["value"] > 0
    assert said["agreement"]["pictures"] >= 4
    assert said["agreement"]["agreed"] in (said["agreement"]["pictures"], 7)
    assert said["wall"] > 0
    if sys.platform == "linux":
        assert 2**20 < said["peak_memory"] < 2**31
        assert said["page_faults"] > 0


@pytest.mark.parametrize(
    ("source", "status", "reason"),
    [
        ("raise RuntimeError('no such\\nkernel')", "failed", "RuntimeError: no such"),
        ("raise MemoryError", "out of memory", "MemoryError"),
        (
            "raise RuntimeError('DefaultCPUAllocator: can\\'t allocate memory: 9 bytes')",
            "out of memory",
            "DefaultCPUAllocator",
        ),
        ("import os; os._exit(3)", "crashed", "exit code 3"),
        ("import sys; sys.exit('the last words')", "crashed", "the last words"),
        ("import os, signal; os.kill(os.getpid(), 11)", "crashed", "signal 11"),
        ("import os, signal; os.kill(os.getpid(), 9)", "out of memory", "the system stopped it"),
    ],
)
def test_a_peer_that_breaks_gives_a_reason(job: Job, source: str, status: str, reason: str) -> None:
    peer(job, source)
    said = children.measured(job, limit=60)
    assert said["status"] == status
    assert reason in said["reason"]
    assert "\n" not in said["reason"]


def test_a_peer_that_takes_too_long_is_stopped_with_all_that_it_started(job: Job) -> None:
    note = Path(job.folder, "grandchild")
    peer(
        job,
        "import subprocess, sys, time\n"
        "code = 'import time; time.sleep(100)'\n"
        "grandchild = subprocess.Popen([sys.executable, '-c', code])\n"
        f"open({str(note)!r}, 'w').write(str(grandchild.pid))\n"
        "time.sleep(100)\n",
    )
    said = children.measured(job, limit=3)
    assert said["status"] == "too long"
    assert said["reason"] == "stopped after 3 s"
    if hasattr(os, "killpg"):
        assert _is_gone(int(note.read_text()))


def _is_gone(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, OSError):
            return True
        if state == "Z":  # dead, and nobody has asked after it
            return True
        time.sleep(0.05)
    return False


def test_what_lies_in_the_current_folder_is_not_taken_for_a_peer(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer(job, ANSWERS)
    monkeypatch.chdir(job.folder)
    Path("onnxruntime.py").write_text("raise RuntimeError('the wrong one')", encoding="utf-8")
    assert children.measured(job, limit=60)["status"] == "measured"


def test_a_peer_that_is_not_there_is_not_installed(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child.importlib.util, "find_spec", lambda name: None)
    said = child.measured(job)
    assert said == {"status": "not installed", "reason": "no module onnxruntime"}


def test_held_to_avx2_every_library_is_told(job: Job) -> None:
    peer(job, "import os; raise RuntimeError(os.environ['ONEDNN_MAX_CPU_ISA'])")
    assert children.measured(job, limit=60, avx2=True)["reason"] == "RuntimeError: AVX2"


def test_a_system_that_does_not_tell_of_memory_is_left_in_peace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "resource", None)
    monkeypatch.setattr(process, "Path", lambda name: Path("/no/such/place") / name.strip("/"))
    process.offer_to_die_first()
    assert process.facts() == {"peak_memory": None, "page_faults": 0}


def test_starting_up_is_timed() -> None:
    said = children.start_up()
    assert 0 < said["import"] < said["help"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_benchmark_that_is_killed_leaves_no_child_behind(job: Job) -> None:
    note = Path(job.folder, "child")
    peer(
        job,
        f"import os, time\nopen({str(note)!r}, 'w').write(str(os.getpid()))\ntime.sleep(100)\n",
    )
    watching = (
        "import json, sys; from neocog.bench import children; from neocog.bench.plan import Job; "
        "children.measured(Job.from_json(json.loads(sys.argv[1])), limit=100)"
    )
    arguments = [sys.executable, "-c", watching, json.dumps(job.to_json())]
    with subprocess.Popen(arguments) as benchmark:
        for _ in range(600):
            if note.exists() and note.read_text():
                break
            time.sleep(0.05)
        benchmark.kill()
    assert _is_gone(int(note.read_text()))
