"""Ratios, bars and tables, from results that were never measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks import table

from neocog.bench import bars, tables
from neocog.bench.files import Files
from neocog.bench.plan import Job, Settings, groups
from neocog.bench.results import Results, Row
from neocog.errors import UsageError

AMX = {"processor": "Xeon, 2 cores", "device": "cpu", "amx": True, "bf16": True, "threads": 2}
PLAIN = {**AMX, "processor": "EPYC, 2 cores", "amx": False, "bf16": False}
ALEXNET = 938_146_176  # multiply-adds


def document(
    values: dict[tuple[str, str, str], Any],
    *,
    machine: dict[str, Any] = AMX,
    peaks: dict[str, float] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """A result whose rows have the `values` of (section, network, arm): a number, or a failure."""
    chosen = Settings(everything=True, **settings)
    results = Results(chosen, "neocog bench", machine=machine)
    results.peaks = peaks if peaks is not None else {"fp32": 300.0, "bf16": 2000.0}
    results.start_up = {"help": 0.12, "import": 0.08}
    for group in groups(chosen, bf16=machine["bf16"] and not chosen.avx2):
        for job in group.jobs:
            made = Row(group.section, group.work, job)
            given = values.get((group.section, job.network, job.arm))
            if given is not None:
                made.add(_measurement(given, job))
            results.rows.append(made)
    return json.loads(json.dumps(results.to_json()))  # type: ignore[no-any-return]


def _measurement(given: Any, job: Job) -> dict[str, Any]:
    if isinstance(given, dict):
        return given
    facts = {"status": "measured", "value": float(given), "steps": 7, "hardware": {}}
    if job.kind == "train" and job.arm == "neocog":
        step = job.batch / float(given)
        facts |= {"multiply_adds": ALEXNET, "seconds": 7 * step, "median_step": step}
    if job.kind == "inference":
        facts["agreement"] = {"pictures": 500, "agreed": 499}
    return facts


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    """What stands behind the last comma of each line, by what stands before the colon."""
    lines = tables.bar_lines(found)
    return {line.split(":")[0]: line.split(": ", 1)[1] for line in lines}


TRAIN = ("train", "alexnet_book")
MISSING = {"status": "not installed", "reason": "no module keras"}


def test_ratios_of_rates_and_of_seconds_say_how_many_times_faster_neocog_is() -> None:
    found = document(
        {
            (*TRAIN, "neocog"): 200,
            (*TRAIN, "keras"): 50,
            ("whole", "lenet_relu", "neocog"): 20,
            ("whole", "lenet_relu", "torch"): 50,
        }
    )
    assert "| AlexNet, book form | 128 | 200 |" in tables.training(found)
    assert "50.0 (4.00x)" in tables.training(found)
    assert "50.0 (2.50x)" in tables.whole(found)


def test_the_share_of_the_peak_counts_three_passes_and_two_flops() -> None:
    found = document({(*TRAIN, "neocog"): 213.18})
    facts = bars.row(found, *TRAIN, "neocog")
    assert facts
    assert bars.share_of_peak(found, facts) == pytest.approx(0.6, abs=1e-4)
    assert "| 60% |" in tables.training(found)
    found = document({(*TRAIN, "neocog"): 213.18}, peaks={})
    assert bars.share_of_peak(found, facts) is None


def test_the_share_is_the_median_steps_whatever_a_few_others_wait_for() -> None:
    found = document({(*TRAIN, "neocog"): 213.18})
    facts = bars.row(found, *TRAIN, "neocog")
    assert facts
    facts["measurements"][0]["seconds"] *= 1.25  # as where a checkpoint is written meanwhile
    facts["measurements"][0]["value"] /= 1.25
    assert bars.share_of_peak(found, facts) == pytest.approx(0.6, abs=1e-4)


def test_with_amx_the_bars_are_judged() -> None:
    said = verdicts(
        document(
            {
                (*TRAIN, "neocog"): 200,
                (*TRAIN, "keras"): 50,
                (*TRAIN, "keras-bf16"): 160,
                (*TRAIN, "torch-bf16"): MISSING,
                ("inference", "resnet50", "neocog"): 215,
                ("inference", "resnet50", "onnxruntime"): 40,
            }
        )
    )
    training = "alexnet_book, training, against"
    assert said[f"{training} Keras"] == "bar 3.70x, measured 4.00x, met"
    assert said[f"{training} Keras bf16"] == "bar 1.30x, measured 1.25x, missed"
    assert said[f"{training} PyTorch bf16"] == (
        "bar 1.40x, not measured: torch-bf16: not installed"
    )
    assert said["vgg11, training, share of the peak"] == (
        "bar 0.50, not measured: neocog: out of time"
    )
    predicting = "resnet50, predicting, batch 16"
    assert said[f"{predicting}, against ONNX Runtime"] == "bar 4.00x, measured 5.38x, met"
    assert said[f"{predicting}, agreement"] == "bar 99.9%, measured 99.8%, missed"
    assert said["`neocog --help`, at most"] == "bar 0.150 s, measured 0.120 s, met"
    assert said["`import neocog`, at most"] == "bar 0.050 s, measured 0.080 s, missed"
    assert f"{training} PyTorch" not in said  # that is a bar of AVX2


def test_without_amx_its_bars_say_so_and_those_of_avx2_are_judged() -> None:
    values = {(*TRAIN, "neocog"): 20, (*TRAIN, "keras"): 15, (*TRAIN, "torch"): 25}
    said = verdicts(document(values, machine=PLAIN))
    assert said["alexnet_book, training, against Keras bf16"] == ("bar 1.30x, not measured: no AMX")
    assert said["alexnet_book, training, against PyTorch"] == "bar 1.00x, measured 0.80x, missed"
    held = verdicts(document(values, avx2=True))
    assert not [name for name in held if "bf16" in name or "peak" in name]
    assert held["alexnet_book, training, against Keras"] == "bar 1.00x, measured 1.33x, met"


def test_bars_of_what_was_not_asked_are_left_out() -> None:
    values = {("train", "resnet18", "neocog"): 20, ("train", "resnet18", "torch"): 10}
    said = verdicts(document(values, machine=PLAIN, only="train", networks=("resnet18",)))
    assert said == {
        "resnet18, training, against Keras": "bar 1.00x, not measured: keras: out of time",
        "resnet18, training, against PyTorch": "bar 1.00x, measured 2.00x, met",
        "`neocog --help`, at most": "bar 0.150 s, measured 0.120 s, met",
        "`import neocog`, at most": "bar 0.050 s, measured 0.080 s, missed",
    }


def test_on_a_gpu_its_own_bars_are_judged() -> None:
    machine = {**AMX, "device": "cuda", "gpu": "H200"}
    said = verdicts(document({(*TRAIN, "neocog"): 61_000}, machine=machine))
    assert said["alexnet_book, training, images/s"] == "bar 60,000, measured 61,000, met"
    assert not [name for name in said if "against" in name]


def test_a_quick_run_is_not_judged() -> None:
    assert tables.bar_lines(document({(*TRAIN, "neocog"): 1}, quick=True)) == []


def test_the_page_tells_what_was_measured_and_what_was_not() -> None:
    found = document(
        {(*TRAIN, "neocog"): 200, (*TRAIN, "keras"): MISSING, (*TRAIN, "torch"): 40}, avx2=True
    )
    page = tables.page(found)
    assert page.startswith(f"# neocog bench, {found['date']}: Xeon, 2 cores, held to AVX2\n")
    assert "not installed | 40.0 (5.00x) |" in page
    assert "| 0 |  |  |  |  |  | no module keras |" in page
    assert "its turn did not come" in page
    assert "ONNX Runtime has no such setting" in page
    assert "`neocog bench`" in page
    assert "7 |" in page  # steps


def test_a_result_is_two_files_that_are_rewritten_until_the_run_is_over(tmp_path: Path) -> None:
    found = document({(*TRAIN, "neocog"): 200})
    files = Files(tmp_path)
    page = files.write(found)
    assert page.name == f"{found['date']}-xeon-2-cores.md"
    assert files.write({**found, "rounds": 2}) == page
    assert json.loads(page.with_suffix(".json").read_text())["rounds"] == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_a_result_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    found = document({}, avx2=True)
    first, second = (Files(tmp_path).write(found) for _ in range(2))
    assert first.name == f"{found['date']}-xeon-2-cores-avx2.md"
    assert second.name == f"{found['date']}-xeon-2-cores-avx2-2.md"


def test_results_go_where_results_lie_or_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Files(None).folder == Path()
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    assert Files(None).folder == Path("benchmarks/results")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--out"):
        Files(tmp_path / "file" / "below")


def test_the_readme_takes_the_newest_run_that_was_not_quick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    assert table.speed(table.fastest()) == "Not measured yet."
    for name, started, value, more in (
        ("a", "2026-01-02", 300, {}),
        ("b", "2026-01-01", 200, {}),
        ("c", "2026-01-03", 100, {"quick": True}),
        ("d", "2026-01-04", 90, {"avx2": True}),
        ("e", "2026-01-05", 80, {"only": "inference"}),
    ):
        network = "lenet_relu" if more.get("quick") else "alexnet_book"
        made = document({("train", network, "neocog"): value}, **more)
        kept = [facts for facts in made["rows"] if more.get("only") in (None, facts["section"])]
        made.update(started=started, rows=kept)
        (tmp_path / f"{name}.json").write_text(json.dumps(made), encoding="utf-8")
    (tmp_path / "z.json").write_text('{"arm": "demo"}', encoding="utf-8")
    said = table.speed(table.fastest())
    assert said.count("Training on") == 2
    assert "| 300 |" in said
    assert "Training on Xeon, 2 cores, held to AVX2" in said
    assert "| 90.0 |" in said


def test_what_was_measured_again_later_on_a_machine_hides_the_run_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    runs = (
        ("whole", "2026-01-01", {"alexnet_book": 1, "vgg11": 2, "lenet_relu": 3}),
        ("again", "2026-01-02", {"alexnet_book": 40}),
        ("other", "2026-01-03", {"vgg11": 50}),
        ("newest", "2026-01-04", {"alexnet_book": 60, "lenet_relu": None}),  # no time was left
    )
    for name, started, values in runs:
        made = document({("train", each, "neocog"): value for each, value in values.items()})
        kept = [facts for facts in made["rows"] if facts["network"] in values]
        made.update(started=started, rows=kept)
        (tmp_path / f"{name}.json").write_text(json.dumps(made), encoding="utf-8")
    found = [(run["started"][-2:], table._measured(run)) for run in table.fastest()]
    left = [(day, network) for day, measured in found for _, network in measured]
    assert left == [("01", "lenet_relu"), ("03", "vgg11"), ("04", "alexnet_book")]
    said = table.speed(table.fastest())
    assert said.count("Training on") == 1
    lines = [line.split(" | ")[:3] for line in said.splitlines()[4:]]
    assert lines == [
        ["| LeNet", "128", "3.0"],
        ["| AlexNet, book form", "128", "60.0"],
        ["| VGG-11", "16", "50.0"],
    ]


def test_machines_of_one_name_that_multiply_by_other_units_are_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    machines = ({"vectors": "AVX2"}, {"vectors": "AVX512", "bf16": True}, {"vectors": "AVX512"})
    for number, units in enumerate(machines):
        made = document({("train", "vgg11", "neocog"): 5.0}, machine={**PLAIN, **units})
        made["started"] = f"2026-01-0{number}"
        (tmp_path / f"{number}.json").write_text(json.dumps(made), encoding="utf-8")
    said = table.speed(table.fastest())
    for units in ("AVX2", "AVX512-bf16", "AVX512"):
        assert f"Training on EPYC, 2 cores with {units}, " in said


def test_predictions_that_were_not_measured_again_are_shown_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    again = {("train", "resnet50", "neocog"): 30.0, ("train", "vgg11", "neocog"): 5.0}
    predicting = ("inference", "resnet50", "neocog")
    runs = ({**again, ("train", "alexnet_book", "neocog"): 7.0, predicting: 2.0}, again)
    for number, values in enumerate(runs):
        made = document(values)
        made["started"] = f"2026-01-0{number}"
        (tmp_path / f"{number}.json").write_text(json.dumps(made), encoding="utf-8")
    before, after = table.fastest()
    assert table._measured(before) == {("train", "alexnet_book"), ("inference", "resnet50")}
    assert len(table._measured(after)) == 2
    said = table.speed(table.fastest())
    assert said.count("Training on Xeon") == 1
    assert said.count("Predicting on Xeon") == 1
