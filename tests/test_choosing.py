"""What a run goes on with: as it began, or, said and recorded, in another way."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import Silent

from neocog import api, choosing, training
from neocog.data.loading import load
from neocog.engine.hardware import Hardware, Wanted
from neocog.networks import create
from neocog.recipes import find
from neocog.run import RunFolder


def stopped(tmp_path: Path, wanted: Wanted) -> RunFolder:
    """A run after three steps of its first epoch."""
    recipe = find("quick").changed({"epochs": 2})
    network = create("lenet_relu", seed=recipe.seed)
    job = training.begin(
        network, load("digits"), recipe=recipe, out=tmp_path / "run", wanted=wanted
    )
    facts = training.run(job)
    for _ in range(3):
        next(facts)
    job.folder.save_state({**job.training.state(), "recipe": recipe.to_json()})
    facts.close()  # type: ignore[attr-defined]
    return job.folder


def resumed(folder: RunFolder) -> tuple[training.Job, list[str]]:
    """The run, ready to go on, and what was said of the way it goes."""
    told: list[str] = []
    job = training.resume(folder, tell=told.append)
    return job, [line for line in told if "From here on" in line]


def change(folder: RunFolder, **changes: Any) -> None:
    path = folder.path / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


CONTIGUOUS = Wanted("cpu", layout="contiguous", precision="fp32")


def test_a_resumed_run_goes_on_as_it_began(tmp_path: Path) -> None:
    folder = stopped(tmp_path, CONTIGUOUS)
    before = folder.environment
    assert before["hardware"]["layout"] == "contiguous"
    job, said = resumed(folder)  # nothing is asked for now
    assert said == []
    assert job.hardware.layout == "contiguous"
    folder.let_go()
    told: list[str] = []
    api.resume(folder.path, watcher=Silent(), tell=told.append)
    assert any("fp32" in line and "(as it began)" in line for line in told)
    assert folder.environment == before


def test_asking_for_the_same_again_is_no_change(tmp_path: Path) -> None:
    folder = stopped(tmp_path, CONTIGUOUS)
    hardware, why = choosing.as_begun(folder, CONTIGUOUS)
    assert (hardware is not None, why) == (True, "")
    assert hardware is not None
    assert hardware.why == "as it began"


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (Wanted(layout="channels_last"), "layout: contiguous then, channels_last now"),
        (Wanted(precision="bf16"), "precision: fp32 then, bf16 now"),
        (Wanted(compile="yes"), "compile: False then, True now"),
        (Wanted(threads=77), "threads: .* then, 77 now"),
    ],
)
def test_what_is_asked_for_now_overrules(
    wanted: Wanted, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neocog.engine.machine.can_compile", lambda device: True)
    folder = stopped(tmp_path, CONTIGUOUS)
    hardware, why = choosing.as_begun(folder, wanted)
    assert hardware is None
    assert re.fullmatch(reason, why)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"versions": {"torch": "1.0"}}, "torch: 1.0 then, "),
        ({"hardware": Hardware("cuda", "any", 1).to_json()}, "device: cuda then, cpu now"),
        ({"hardware": Hardware("cpu", "another", 1).to_json()}, "machine: another then, "),
        ({"hardware": {"layout": "sideways"}}, "how it began is not recorded"),
        ({"hardware": None}, "how it began is not recorded"),
        ({"versions": []}, "how it began is not recorded"),
    ],
)
def test_another_machine_or_torch_is_said_and_recorded(
    changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    folder = stopped(tmp_path, CONTIGUOUS)
    change(folder, **changes)
    was = folder.environment
    job, said = resumed(folder)
    assert len(said) == 1
    assert said[0].startswith(reason)
    now = folder.environment
    assert now["hardware"] == job.hardware.to_json()
    assert now["versions"]["torch"] == torch.__version__
    assert now["hardware"]["device"] == "cpu"
    assert now["earlier"] == [
        {"until": [0, 3], "versions": was["versions"], "hardware": was["hardware"]}
    ]
    assert now["started"] == was["started"]


def test_an_environment_that_is_lost_is_made_anew(tmp_path: Path) -> None:
    folder = stopped(tmp_path, CONTIGUOUS)
    (folder.path / "environment.json").unlink()
    _, said = resumed(folder)
    assert said[0].startswith("how it began is not recorded")
    assert folder.environment["hardware"]["device"] == "cpu"


def test_a_compiled_run_needs_a_compiler_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopped(tmp_path, CONTIGUOUS)
    change(folder, hardware={**folder.environment["hardware"], "compile": True})
    for there, reason in ((True, ""), (False, "compiled then, no compiler now")):
        monkeypatch.setattr(choosing, "can_compile", lambda device, there=there: there)
        hardware, why = choosing.as_begun(folder, Wanted())
        assert (hardware is not None) is there
        assert why == reason


def test_fused_norms_need_a_c_compiler_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopped(tmp_path, CONTIGUOUS)
    fused = {"norms": "fused", "precision": "bf16", "layout": "channels_last"}
    change(folder, hardware={**folder.environment["hardware"], **fused})
    for there, reason in ((object(), ""), (None, "norms fused then, no C compiler now")):
        monkeypatch.setattr("neocog.engine.fused.library", lambda *_, there=there: there)
        hardware, why = choosing.as_begun(folder, Wanted())
        assert (hardware is not None) is (there is not None)
        assert why == reason


def test_fused_stages_need_a_c_compiler_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopped(tmp_path, CONTIGUOUS)
    change(folder, hardware={**folder.environment["hardware"], "stages": "fused"})
    for there, reason in ((object(), ""), (None, "stages fused then, no C compiler now")):
        monkeypatch.setattr(choosing, "library", lambda there=there: there)
        hardware, why = choosing.as_begun(folder, Wanted())
        assert (hardware is not None) is (there is not None)
        assert why == reason


def test_winograd_needs_a_c_compiler_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopped(tmp_path, CONTIGUOUS)
    change(folder, hardware={**folder.environment["hardware"], "convolutions": "winograd"})
    missing = "convolutions by Winograd then, no C compiler now"
    for there, reason in ((object(), ""), (None, missing)):
        monkeypatch.setattr("neocog.engine.winograd.library", lambda dtype, there=there: there)
        hardware, why = choosing.as_begun(folder, Wanted())
        assert (hardware is not None) is (there is not None)
        assert why == reason


def test_held_layers_are_taken_up_again(tmp_path: Path) -> None:
    folder = stopped(tmp_path, CONTIGUOUS)
    as_recorded = Hardware.from_json(folder.environment["hardware"])
    held = dataclasses.replace(as_recorded, precision="bf16", held=("conv2",))
    change(folder, hardware=held.to_json())
    assert choosing.as_begun(folder, Wanted())[0] == held
