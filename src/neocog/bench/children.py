"""Children: started, watched, stopped in time; what became of them is always an answer."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from neocog.bench.plan import Job

# oneDNN, which Keras has too, torch's own loops, and MKL's matrix products.
HELD_TO_AVX2 = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
KEPT = 20  # lines of what a child said that are kept where it failed
STARTS = 5  # of which the median counts


def measured(job: Job, *, limit: float, avx2: bool = False) -> dict[str, Any]:
    """What a fresh process measures; `status` and `reason` where it could not."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        result, log = folder / "result.json", folder / "log.txt"
        began = time.perf_counter()
        job_file = folder / "job.json"
        job_file.write_text(json.dumps(replace(job, launched=time.monotonic()).to_json()))
        # -P: nothing that lies in the current folder is taken for a library
        command = [sys.executable, "-P", "-m", "neocog.bench.child", str(job_file), str(result)]
        environment = {**os.environ, **(HELD_TO_AVX2 if avx2 else {})}
        with log.open("wb") as stream:
            code = _waited(command, environment, stream, limit)
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-KEPT:]
        answer = _answer(result, code, said, limit)
        return {**answer, "wall": time.perf_counter() - began}


def _waited(command: list[str], environment: dict[str, str], log: Any, limit: float) -> int | None:
    """The exit code; None where the child had to be stopped."""
    child = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        return child.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        return None
    finally:  # its own children go too, also where somebody pressed Ctrl-C here
        _stop(child)


def _stop(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (AttributeError, OSError):  # Windows; or all have gone
        child.kill()
    child.wait()


def _answer(result: Path, code: int | None, said: list[str], limit: float) -> dict[str, Any]:
    if code is None:
        return {"status": "too long", "reason": f"stopped after {limit:,.0f} s", "log": said}
    try:
        answer: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {**_crash(code, said), "log": said}
    return answer if answer["status"] == "measured" else {**answer, "log": said}


def _crash(code: int, said: list[str]) -> dict[str, Any]:
    if code == -9:  # nobody but the system, and hardly for another reason
        return {"status": "out of memory", "reason": "the system stopped it"}
    if code < 0:
        return {"status": "crashed", "reason": f"signal {-code}"}
    return {"status": "crashed", "reason": (said or [f"exit code {code}"])[-1][:200]}


def start_up() -> dict[str, float]:
    """Seconds of `neocog --help`, the whole process, and of `import neocog` within one.

    Nothing where Python cannot be started here.
    """
    watch = "import time; t = time.perf_counter(); import neocog; print(time.perf_counter() - t)"
    helps, imports = [], []
    try:
        for _ in range(STARTS):
            began = time.perf_counter()
            _said("-m", "neocog", "--help")
            helps.append(time.perf_counter() - began)
            imports.append(float(_said("-c", watch)))
    except (OSError, ValueError, subprocess.CalledProcessError):
        return {}
    return {"help": statistics.median(helps), "import": statistics.median(imports)}


def _said(*arguments: str) -> str:
    command = [sys.executable, "-P", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
