"""Several processes train what one would have trained: the oracle is the one."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest
import torch
from tests.engine.processes import alone, together
from tests.engine.test_fit import SPEC, dropout_net, pictures
from torch import nn

from neocog.data.batches import Augmentation, TrainingBatches
from neocog.data.dataset import Split
from neocog.data.part import Part
from neocog.engine.evaluate import predictions
from neocog.engine.fit import fit
from neocog.engine.hardware import Hardware
from neocog.engine.ranks import ALONE, Ranks
from neocog.engine.state import Training
from neocog.errors import NeocogError
from neocog.networks import create
from neocog.networks.fast import fast
from neocog.recipe import Recipe
from neocog.records import Epoch

PLAIN = Recipe(epochs=2, batch_size=16, lr=0.05, momentum=0.9, schedule="linear")
HARDWARE = Hardware("cpu", "any", 1)
# 99 pictures: a last batch of 3, which two of three processes have nothing of
TRAIN, VAL = pictures(99), pictures(37, 1)
UNEVEN = Split(TRAIN.images[:75], torch.cat([TRAIN.labels[:40] % 2, TRAIN.labels[40:75]]))

# what each changes of a run -> recipe, network, pieces, training pictures
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "fewer pictures than a batch": {"train": TRAIN.first(11)},
    "label smoothing": {"recipe": {"label_smoothing": 0.2}},
    "class weights": {"recipe": {"balance": "weights"}, "train": UNEVEN},
    "balanced sampling": {"recipe": {"balance": "sampling"}, "train": UNEVEN},
    "pieces": {"pieces": 2},
    "pieces and class weights": {
        "recipe": {"balance": "weights"},
        "train": UNEVEN,
        "pieces": 2,
    },
    "muon": {"recipe": {"optimizer": "muon", "lr": 0.1, "head_lr": 0.2, "bias_lr": 0.3}},
    "diagonal-lm": {
        "network": "lenet5",
        "recipe": {"optimizer": "diagonal-lm", "lr": 0.0005, "loss": "lenet5-map", "momentum": 0.0},
        "exact": False,  # its optimizer asks for the network itself, which has no ties
    },
    "lookahead": {"recipe": {"average": "lookahead"}},
    "synchronised norms": {"network": "fast", "recipe": {"batch_norm": "synchronised"}},
    "synchronised and averaged": {
        "network": "fast",
        "recipe": {"batch_norm": "synchronised", "average": "lookahead"},
    },
    "by turns mirrored": {"augmentation": {"mirror": True, "alternate": True}},
}


class Exact(nn.Module):
    """A network in float64: in float32 a tie in a pool, told apart by rounding, grows to a
    thousandth within a few steps.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.network(x.double())
        return made


def network_of(name: str) -> nn.Module:
    if name == "dropout":
        return dropout_net()
    if name == "fast":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return fast((6, 8, 8), num_classes=4, in_channels=1)
    return create(name, num_classes=4, seed=0)


def spec_of(name: str) -> Any:
    if name == "lenet5":
        return dataclasses.replace(SPEC, size=(32, 32), resize=32)
    return dataclasses.replace(SPEC, size=(12, 12), resize=12) if name == "fast" else SPEC


def trained(
    ranks: Ranks, case: dict[str, Any], *, stop: int = 0, state: bytes = b""
) -> dict[str, Any]:
    """A run, from its start or a state, to its end or `stop` facts."""
    recipe = PLAIN.changed(case.get("recipe", {}))
    name = case.get("network", "lenet_relu")
    augmentation = Augmentation(**case.get("augmentation", {}))
    batches = TrainingBatches(
        case.get("train", TRAIN),
        spec_of(name),
        recipe.batch_size,
        recipe.seed,
        augmentation,
        balance=recipe.balance,
        part=ranks.part,
    )
    made = network_of(name)
    training = Training.begin(Exact(made) if case.get("exact") else made, recipe)
    if state:
        training.restore(torch.load(io.BytesIO(state), weights_only=True), ranks)
    hardware = dataclasses.replace(HARDWARE, accumulate=case.get("pieces", 1))
    facts = fit(training, batches, VAL, recipe=recipe, hardware=hardware, ranks=ranks)
    count = 0
    for count, _ in enumerate(facts, 1):
        if count == stop:
            break
    saved = io.BytesIO()
    torch.save(training.state(ranks), saved)
    facts.close()
    said = predictions(training.network, VAL, spec_of(name), batch_size=5, ranks=ranks)
    return {
        "facts": count,
        "weights": {k: v.numpy() for k, v in training.network.state_dict().items()},
        "history": [plain(epoch) for epoch in training.history],
        "logits": said.logits,
        "labels": said.labels,
        "state": saved.getvalue(),
    }


def plain(epoch: Epoch) -> dict[str, Any]:
    return {name: value for name, value in epoch.to_json().items() if "second" not in name}


def every_case(ranks: Ranks) -> dict[str, Any]:
    return {name: trained(ranks, {"exact": True, **case}) for name, case in CASES.items()}


@pytest.mark.slow
def test_three_processes_train_what_one_does() -> None:
    one = alone(every_case)
    many = together(3, every_case)
    for made in many:
        assert isinstance(made, dict), made
    for name in CASES:
        expected, ours = one[name], [made[name] for made in many]
        for other in ours[1:]:
            assert same(ours[0], other), f"{name}: the processes differ"
        for tensor, values in expected["weights"].items():
            torch.testing.assert_close(
                torch.tensor(ours[0]["weights"][tensor]),
                torch.tensor(values),
                rtol=1e-5 if CASES[name].get("exact", True) else 1e-3,
                atol=1e-6 if CASES[name].get("exact", True) else 1e-5,
                msg=lambda text, what=f"{name}, {tensor}": f"{what}: {text}",
            )
        for then, now in zip(expected["history"], ours[0]["history"], strict=True):
            assert now == pytest.approx(then, rel=1e-4, abs=1e-6), name
        assert (ours[0]["labels"] == VAL.labels.numpy()).all(), name
        assert len(ours[0]["logits"]) == len(VAL), name


# what draws by chance, remembers from step to step, or counts on one process alone
RESUMED: dict[str, dict[str, Any]] = {
    "all": {
        "network": "fast",
        "recipe": {
            "optimizer": "muon",
            "lr": 0.1,
            "head_lr": 0.2,
            "bias_lr": 0.3,
            "average": "lookahead",
            "label_smoothing": 0.1,
        },
        "augmentation": {"mirror": True, "shift": 2, "cutout": 3, "mixup": 0.3},
    },
    "synchronised": {
        "network": "fast",
        "recipe": {"batch_norm": "synchronised"},
        "augmentation": {"mirror": True, "shift": 2},
    },
    "dropout": {"network": "dropout", "pieces": 2, "augmentation": {"shift": 1}},
}


def stopped_and_not(ranks: Ranks) -> dict[str, Any]:
    made = {}
    for name, case in RESUMED.items():
        straight = trained(ranks, case)
        again = trained(ranks, case)
        stopped = trained(ranks, case, stop=4)
        assert stopped["facts"] == 4
        resumed = trained(ranks, case, state=ranks.shared(stopped["state"]))
        fewer = straight["facts"] - resumed["facts"]
        made[name] = (same(straight, again), same(straight, resumed), fewer)
    return made


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    weights = all(
        (one["weights"][k] == other["weights"][k]).all()
        for k in one["weights"]
        # statistics are the first process's; the others have them at each step and at the end
    )
    logits = (one["logits"] == other["logits"]).all()
    return bool(weights and logits and one["history"] == other["history"])


@pytest.mark.slow
def test_three_processes_reach_the_same_bits_again_and_resumed() -> None:
    for answer in together(3, stopped_and_not):
        assert answer == dict.fromkeys(RESUMED, (True, True, 4))


def saved_in_the_middle(ranks: Ranks) -> bytes:
    return bytes(trained(ranks, {"exact": True}, stop=3)["state"])


@pytest.mark.slow
def test_a_run_goes_on_in_another_number_of_processes() -> None:
    state, _other = together(2, saved_in_the_middle)
    assert isinstance(state, bytes), state
    straight, resumed = alone(trained, {"exact": True}), alone(goes_on, state)
    for tensor, values in straight["weights"].items():
        torch.testing.assert_close(
            torch.tensor(resumed["weights"][tensor]), torch.tensor(values), rtol=1e-5, atol=1e-6
        )
    for then, now in zip(straight["history"], resumed["history"], strict=True):
        assert now == pytest.approx(then, rel=1e-4)


def goes_on(ranks: Ranks, state: bytes) -> dict[str, Any]:
    return trained(ranks, {"exact": True}, state=state)


def wrong_in_one(ranks: Ranks) -> list[str]:
    """What is raised where one process alone has what no run can take."""
    said = []
    for do in (lambda: with_noise(ranks, 1e3), lambda: with_noise(ranks, 1e30), None):
        try:
            other_weights(ranks) if do is None else do()
        except NeocogError as error:
            said.append(f"{type(error).__name__}: {error}")
    return said


def with_noise(ranks: Ranks, sigma: float) -> Any:
    noise = {"pca_noise": sigma, "components": torch.full((1, 1), 1e30)}
    return trained(ranks, {"augmentation": noise if ranks.rank == 1 else {}})


def other_weights(ranks: Ranks) -> Any:
    network = network_of("lenet_relu")
    if ranks.rank == 1:
        with torch.no_grad():
            next(network.parameters()).view(-1)[0] += 1e-6
    ranks.check_alike(network)


def ends_early(ranks: Ranks) -> Any:
    if ranks.rank == 1:
        raise NeocogError("its disk is full")
    return trained(ranks, {})


@pytest.mark.usefixtures("kept_c")
def test_what_goes_wrong_in_one_ends_all() -> None:
    one, other = together(2, wrong_in_one)
    assert isinstance(one, list), one
    assert len(one) == len(other) == 3
    assert one[0].startswith("DivergedError: ")
    first, second = (text.split("diverged. ")[1] for text in (one[0], other[0]))
    assert first == second  # both name the layer that one of them has found
    assert "conv" in first or "head" in first
    assert one[1] == other[1]
    assert one[1].startswith("DataError: step 1 of epoch 1: the pictures hold values")
    assert "not the same any more" in one[2] == other[2]


@pytest.mark.slow
def test_who_goes_on_is_told_that_another_has_ended() -> None:
    first, second = together(2, ends_early)
    assert second == "NeocogError: its disk is full"
    assert str(first).startswith("AbandonedError: another process of this run has ended")


@pytest.mark.parametrize("of", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17])
def test_parts_share_a_batch_without_repeats(of: int, count: int) -> None:
    parts = [Part(rank, of) for rank in range(of)]
    busy = [part for part in parts if not part.idle(count)]
    assert sorted(row for part in busy for row in part.rows(count)) == list(range(count))
    assert sum(part.weight(count) for part in parts) == pytest.approx(of)
    assert min(len(part.rows(count)) for part in busy) == busy[0].least(count) >= min(count, 2)
    for part in parts:  # nobody stays away from where all meet
        assert len(part.rows(count)) >= min(count, 2)


def test_alone_nothing_is_waited_for() -> None:
    network = network_of("fast")
    assert ALONE.total([1.5, 2]) == [1.5, 2]
    assert ALONE.shared(b"as it is") == b"as it is"
    assert ALONE.agree(save=True) == {"save"}
    ALONE.alike(network)
    ALONE.check_alike(network)
