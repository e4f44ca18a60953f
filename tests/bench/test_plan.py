"""What is measured, of what was asked for."""

from __future__ import annotations

import ast
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

import neocog.bench
from neocog.bench.child import WORKERS
from neocog.bench.plan import (
    ARMS,
    ARMS_OF,
    INFERRED,
    TARGETS,
    TRAINED,
    WHOLE,
    Group,
    Job,
    Settings,
    groups,
)
from neocog.errors import UsageError
from neocog.networks import find


def arms(group: Group) -> list[str]:
    return [job.arm for job in group.jobs]


def test_every_network_of_the_benchmark_is_ours_and_takes_its_pictures() -> None:
    for work in (*TRAINED, *WHOLE, *INFERRED, *(target.work for target in TARGETS.values())):
        variant = find(work.network)
        assert (variant.name, variant.input) == (work.network, work.size)
        assert variant.num_classes == work.classes
        assert work.pictures % work.batch == 0 or work.pictures == 60_000


def test_by_default_training_whole_runs_and_predictions_are_measured() -> None:
    found = groups(Settings(), bf16=True)
    assert {group.section for group in found} == {"train", "whole", "inference"}
    assert [arms(g) for g in found if g.section == "train"] == [
        ["neocog", "keras", "keras-bf16", "torch", "torch-bf16"]
    ] * len(TRAINED)
    assert "accuracy" in {g.section for g in groups(Settings(everything=True), bf16=True)}


def test_networks_without_a_bar_come_last() -> None:
    extra = [group.work.extra for group in groups(Settings(), bf16=True)]
    assert extra == sorted(extra)
    assert True in extra


def test_without_units_for_it_nothing_is_measured_in_bf16() -> None:
    for group in groups(Settings(everything=True), bf16=False):
        assert not {"keras-bf16", "torch-bf16"} & set(arms(group))
        assert "neocog" in arms(group)


def test_what_is_named_alone_is_measured() -> None:
    settings = Settings(only="train", networks=("vgg11",), arms=("neocog", "torch"), batch=8)
    (group,) = groups(settings, bf16=True)
    assert (group.work.network, arms(group), group.work.batch) == ("vgg11", ["neocog", "torch"], 8)
    assert group.work.pictures % 8 == 0


def test_accuracy_is_measured_on_the_sets_that_the_targets_name() -> None:
    found = groups(Settings(only="accuracy"), bf16=True)
    assert {(g.work.network, job.data) for g in found for job in g.jobs} == {
        ("lenet_relu", "mnist"),
        ("alexnet_book", "fashion-mnist"),
    }


def test_a_quick_run_is_small_in_every_way() -> None:
    for group in groups(Settings(quick=True), bf16=True):
        assert max(group.work.size) <= 96
        assert group.work.pictures <= 256
        for job in group.jobs:
            assert (job.steps, job.epochs, job.run) == (4, 1, group.work.run)
            assert job.run <= 256 or group.section == "inference"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"only": "trian"}, "did you mean train"),
        ({"networks": ("resnet51",)}, "did you mean resnet50"),
        ({"arms": ("kreas",)}, "did you mean keras"),
        ({"rounds": 0}, "--rounds: 0 was given; it takes 1 or more"),
        ({"batch": 0}, "--batch: 0 was given"),
        ({"minutes": -1.0}, "--minutes: -1.0 was given"),
        ({"seconds": float("nan")}, "--seconds: nan was given"),
    ],
)
def test_what_cannot_be_measured_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        Settings(**wrong)  # type: ignore[arg-type]


def test_what_leaves_nothing_to_measure_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing is measured"):
        groups(Settings(only="inference", networks=("lenet_relu",)), bf16=True)


def test_trainings_to_an_accuracy_are_done_once_and_may_take_their_time() -> None:
    assert {g.section: g.rounds for g in groups(Settings(everything=True), bf16=True)} == {
        "train": 3,
        "whole": 3,
        "inference": 3,
        "accuracy": 1,
    }
    assert {g.rounds for g in groups(Settings(everything=True, rounds=5), bf16=True)} == {5}
    assert Settings().total() == 1200
    assert Settings(minutes=5).total() == 300
    assert Settings(everything=True).total() == Settings(minutes=0).total() == math.inf
    assert Settings(only="accuracy").time_limit("accuracy") > 3600 > Settings().time_limit("train")
    assert Settings(limit=9).time_limit("accuracy") == Settings(limit=9).time_limit("train") == 9


def test_a_job_travels_as_json() -> None:
    job = groups(Settings(), bf16=True)[0].jobs[0]
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job


def test_there_is_a_worker_for_every_arm_of_every_section() -> None:
    folder = Path(neocog.bench.__file__).parent
    wanted = {(section, arm.name) for section, found in ARMS_OF.items() for arm in found}
    assert wanted <= set(WORKERS)
    for kind, arm in WORKERS:
        assert arm in ARMS
        module, function = WORKERS[kind, arm].split(":")
        tree = ast.parse((folder / f"{module}.py").read_text(encoding="utf-8"))
        assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}


def test_who_watches_loads_no_framework_and_no_peer_loads_another() -> None:
    light = "neocog.bench.rounds, neocog.bench.files, neocog.bench.child, neocog.cli.bench"
    peers = "neocog.bench.runtimes, neocog.bench.sets, neocog.bench.answers, neocog.bench.reached"
    for modules, heavy in (
        (light, {"torch", "numpy", "keras", "tensorflow", "onnxruntime", "openvino"}),
        (peers, {"torch", "keras", "tensorflow", "onnxruntime", "openvino"}),
    ):
        check = f"import sys, {modules}; print(sorted({heavy!r} & set(sys.modules)))"
        said = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
        assert said.stdout.strip() == "[]", said


def test_peers_are_loaded_nowhere_but_in_their_children() -> None:
    source = Path(neocog.bench.__file__).parents[1]
    peers = {"keras", "tensorflow", "onnxruntime", "openvino", "onnx"}
    may = {"keras_fit.py", "keras_networks.py", "runtimes.py"}
    for path in source.rglob("*.py"):
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add((node.module or "").split(".")[0])
        assert not names & peers or (path.parent.name == "bench" and path.name in may), path
