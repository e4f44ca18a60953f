"""One measurement in a process of its own: `python -m neocog.bench.child JOB.json RESULT.json`.

Loads no library before it knows what it is to measure.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neocog.bench import process
from neocog.bench.plan import ARMS, Job

# kind, arm -> who does it
WORKERS = {
    ("peak", "neocog"): "machine:peak",
    ("data", "neocog"): "sets:lay_out",
    ("reference", "neocog"): "inference:reference",
    ("train", "neocog"): "ours:train",
    ("train", "torch"): "loop:train",
    ("train", "torch-bf16"): "loop:train",
    ("train", "keras"): "keras_fit:train",
    ("train", "keras-bf16"): "keras_fit:train",
    ("whole", "neocog"): "ours:whole",
    ("whole", "torch"): "loop:whole",
    ("whole", "torch-bf16"): "loop:whole",
    ("whole", "torchvision"): "loop:whole",
    ("whole", "torchvision-bf16"): "loop:whole",
    ("whole", "keras"): "keras_fit:whole",
    ("whole", "keras-bf16"): "keras_fit:whole",
    ("accuracy", "neocog"): "ours:accuracy",
    ("accuracy", "torch"): "loop:whole",
    ("accuracy", "keras"): "keras_fit:whole",
    ("inference", "neocog"): "inference:neocog",
    ("inference", "torch"): "inference:torch_eager",
    ("inference", "torch-bf16"): "inference:torch_eager",
    ("inference", "onnxruntime"): "runtimes:onnxruntime",
    ("inference", "openvino"): "runtimes:openvino",
}


def measured(job: Job) -> dict[str, Any]:
    """What the job gives; never an exception: `status` and `reason` say what went wrong."""
    missing = [name for name in ARMS[job.arm].needs if importlib.util.find_spec(name) is None]
    if missing:
        return {"status": "not installed", "reason": f"no module {' or '.join(missing)}"}
    module, function = WORKERS[job.kind, job.arm].split(":")
    try:
        found = importlib.import_module(f"neocog.bench.{module}")
        worker: Callable[[Job], dict[str, Any]] = getattr(found, function)
        return {"status": "measured", **worker(job), **process.facts()}
    except MemoryError:
        return {"status": "out of memory", "reason": "MemoryError"}
    except Exception as error:  # a peer may fail in any way: its row says how
        traceback.print_exc()
        return {"status": _status(error), "reason": _in_a_line(error)}


def _status(error: Exception) -> str:
    """Frameworks have errors of their own for memory that runs out; the text tells them."""
    text = f"{type(error).__name__} {error}".lower()
    signs = ("out of memory", "outofmemory", "can't allocate memory", "resourceexhausted", " oom ")
    return "out of memory" if any(sign in text for sign in signs) else "failed"


def _in_a_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {(lines or [''])[0][:200]}"


def main() -> None:
    job_file, result_file = map(Path, sys.argv[1:])
    process.end_with_parent()
    process.offer_to_die_first()
    result = measured(Job.from_json(json.loads(job_file.read_text(encoding="utf-8"))))
    result_file.write_text(json.dumps(result), encoding="utf-8")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # what frameworks do on their way out is not measured, and some crash there


if __name__ == "__main__":
    main()
