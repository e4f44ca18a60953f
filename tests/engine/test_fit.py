from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from neocog.data.batches import Augmentation, TrainingBatches, in_order
from neocog.data.dataset import Split
from neocog.data.spec import InputSpec
from neocog.engine.evaluate import predictions
from neocog.engine.fit import fit
from neocog.engine.state import Training
from neocog.errors import DivergedError
from neocog.networks import create
from neocog.networks.fast import fast
from neocog.recipe import Recipe
from neocog.records import Epoch, Step

SPEC = InputSpec(
    classes=tuple("abcd"),
    channels=1,
    size=(28, 28),
    resize=28,
    placing="resize",
    mean=(0.5,),
    std=(0.3,),
)
GOLDEN = Path(__file__).with_name("golden_losses.json")


def pictures(n: int, seed: int = 0) -> Split:
    """Four classes, told apart by which quarter of the picture is bright."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 4
    images = torch.randint(0, 90, (n, 1, 28, 28), generator=generator)
    for i, label in enumerate(labels.tolist()):
        y, x = divmod(label, 2)
        images[i, 0, y * 14 : y * 14 + 14, x * 14 : x * 14 + 14] += 120
    return Split(images.to(torch.uint8), labels)


def batches(recipe: Recipe, n: int = 96, augmentation: Augmentation | None = None):
    augmentation = augmentation or Augmentation(shift=recipe.shift, mirror=recipe.mirror)
    return TrainingBatches(pictures(n), SPEC, recipe.batch_size, recipe.seed, augmentation)


def dropout_net(seed: int = 0) -> nn.Sequential:
    network = create("lenet_relu", num_classes=4, seed=seed)
    network.pool2 = nn.Sequential(network.pool2, nn.Dropout(0.3))
    return network


RECIPE = Recipe(
    epochs=3, batch_size=16, lr=0.05, momentum=0.9, nesterov=True, shift=1, schedule="linear"
)


def test_it_learns_and_tells_every_step_and_epoch() -> None:
    network = create("lenet_relu", num_classes=4, seed=0)
    training = Training.begin(network, RECIPE)
    facts = list(fit(training, batches(RECIPE), pictures(32, 1), recipe=RECIPE))
    epochs = [fact for fact in facts if isinstance(fact, Epoch)]
    steps = [fact for fact in facts if isinstance(fact, Step)]
    assert [e.epoch for e in epochs] == [0, 1, 2]
    assert [(s.epoch, s.step) for s in steps] == [(e, s) for e in range(3) for s in range(1, 7)]
    assert steps[-1].pictures == 96
    assert epochs[-1].val_accuracy is not None
    assert epochs[-1].val_accuracy > 0.9
    assert epochs[-1].train_loss < epochs[0].train_loss
    assert epochs[-1].train_loss == pytest.approx(steps[-1].loss)
    assert epochs[0].best


def test_the_loop_is_plain_sgd() -> None:
    """Against torch alone: the same batches through the five lines that every tutorial has."""
    recipe = Recipe(epochs=2, batch_size=16, lr=0.05, momentum=0.9, weight_decay=1e-3)
    ours, theirs = (create("lenet_relu", num_classes=4, seed=0) for _ in range(2))
    for _ in fit(Training.begin(ours, recipe), batches(recipe), pictures(0), recipe=recipe):
        pass
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    for epoch in range(2):
        for images, labels in batches(recipe).epoch(epoch):
            loss = F.cross_entropy(theirs(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_bias_that_rests_is_asked_for_no_gradient_and_is_to_be_trained_again_after() -> None:
    recipe = Recipe(
        epochs=2, batch_size=16, lr=0.1, optimizer="muon", whiten=True, whiten_epochs=1.0
    )
    training = Training.begin(fast((6, 8, 8), num_classes=4, in_channels=1), recipe)
    bias = training.network.whiten.bias
    facts = fit(training, batches(recipe), pictures(0), recipe=recipe)
    asked = [bias.grad is not None for fact in facts if isinstance(fact, Step)]
    assert asked == [True] * 6 + [False] * 6
    assert bias.requires_grad


def test_norms_are_those_of_the_last_steps_gradient_and_the_weights_after_it() -> None:
    recipe = Recipe(epochs=2, batch_size=16, lr=0.05, momentum=0.9)
    training = Training.begin(create("lenet_relu", num_classes=4, seed=0), recipe)
    for _ in fit(training, batches(recipe), pictures(0), recipe=recipe):
        pass
    assert [each.epoch for each in training.norms] == [0, 1]
    last, matrices = training.norms[-1], [w for w in training.network.parameters() if w.ndim > 1]
    assert list(last.weights) == ["conv1", "conv2", "head.fc3", "head.fc4", "head.fc5"]
    for weights, gradient, of in zip(
        last.weights.values(), last.gradients.values(), matrices, strict=True
    ):
        assert weights == pytest.approx(float(np.linalg.norm(of.detach().numpy())), rel=1e-6)
        slope = of.grad
        assert slope is not None
        assert gradient == pytest.approx(float(np.linalg.norm(slope.numpy())), rel=1e-6)


@pytest.mark.parametrize("stop_at", [1, 4, 6, 7, 13])
def test_stopped_anywhere_and_resumed_it_reaches_the_same_weights(stop_at: int) -> None:
    straight = Training.begin(dropout_net(), RECIPE)
    for _ in fit(straight, batches(RECIPE), pictures(32, 1), recipe=RECIPE):
        pass

    first = Training.begin(dropout_net(), RECIPE)
    for count, _ in enumerate(fit(first, batches(RECIPE), pictures(32, 1), recipe=RECIPE), 1):
        if count == stop_at:
            break
    saved = io.BytesIO()
    torch.save(first.state(), saved)
    saved.seek(0)

    torch.manual_seed(999)  # what happened in between must not matter
    second = Training.begin(dropout_net(seed=5), RECIPE)
    second.restore(torch.load(saved, weights_only=True))
    for _ in fit(second, batches(RECIPE), pictures(32, 1), recipe=RECIPE):
        pass
    for (name, a), b in zip(
        straight.network.state_dict().items(), second.network.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name
    assert straight.norms == second.norms
    # stop_at 6 is an epoch's last step: its lr is told though no step of it is left
    told = [(e.train_loss, e.train_accuracy, e.val_loss, e.lr) for e in straight.history]
    assert told == [(e.train_loss, e.train_accuracy, e.val_loss, e.lr) for e in second.history]


def test_the_last_epoch_may_end_before_its_end() -> None:
    recipe = RECIPE.changed({"epochs": 1.5})
    training = Training.begin(create("lenet_relu", num_classes=4, seed=0), recipe)
    facts = list(fit(training, batches(recipe), pictures(32, 1), recipe=recipe))
    steps = [fact for fact in facts if isinstance(fact, Step)]
    assert [(s.epoch, s.step, s.steps) for s in steps[5:]] == [
        (0, 6, 6),
        (1, 1, 3),
        (1, 2, 3),
        (1, 3, 3),
    ]
    assert [s.done for s in steps] == pytest.approx([n / 9 for n in range(1, 10)])
    assert len(training.history) == 2
    assert steps[-1].lr == pytest.approx(recipe.lr * 0.5 / 9)  # the schedule ends with the run


def test_time_up_ends_the_run_as_its_end_would() -> None:
    training = Training.begin(create("lenet_relu", num_classes=4, seed=0), RECIPE)
    facts = list(fit(training, batches(RECIPE), pictures(32, 1), recipe=RECIPE, until=0.0))
    assert [type(fact) for fact in facts] == [Step, Epoch]
    assert facts[1].val_accuracy is not None
    assert facts[1].train_loss == pytest.approx(facts[0].loss)
    assert [norms.epoch for norms in training.norms] == [0]


def test_dropout_differs_from_step_to_step() -> None:
    """Its seed is set before every step: were it the same seed, the masks would be too."""
    masks = []
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 4))
    network[1].register_forward_hook(lambda m, i, o: masks.append(o == 0) if m.training else None)
    recipe = Recipe(epochs=2, batch_size=16, lr=0.01)
    for _ in fit(Training.begin(network, recipe), batches(recipe), pictures(0), recipe=recipe):
        pass
    assert len(masks) == 12
    assert not any(torch.equal(a, b) for i, a in enumerate(masks) for b in masks[i + 1 :])


def test_auxiliary_heads_add_their_losses_by_weight() -> None:
    class TwoHeads(nn.Sequential):
        def training_logits(self, x: torch.Tensor) -> list[tuple[float, torch.Tensor]]:
            return [(1.0, self(x)), (0.3, self(x) * 2)]

    network = TwoHeads(nn.Flatten(), nn.Linear(784, 4))
    recipe = Recipe(epochs=1, batch_size=16, lr=1e-9)
    made = batches(recipe)
    (images, labels), *_ = made.epoch(0)
    with torch.no_grad():
        expected = F.cross_entropy(network(images), labels)
        expected += 0.3 * F.cross_entropy(network(images) * 2, labels)
    first = next(fit(Training.begin(network, recipe), made, pictures(0), recipe=recipe))
    assert isinstance(first, Step)
    assert first.loss == pytest.approx(float(expected), rel=1e-5)
    assert first.accuracy == pytest.approx(
        float((network(images).argmax(1) == labels).float().mean())
    )


def test_torchs_own_generator_is_put_back() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    for _ in fit(
        Training.begin(dropout_net(), RECIPE), batches(RECIPE), pictures(8, 1), recipe=RECIPE
    ):
        pass
    assert torch.equal(before, torch.get_rng_state())


def test_a_loss_that_is_not_finite_stops_at_once_and_says_what_to_try() -> None:
    recipe = Recipe(epochs=2, batch_size=16, lr=1e6)
    training = Training.begin(create("lenet_relu", num_classes=4, seed=0), recipe)
    with pytest.raises(DivergedError, match=r"epoch 1, at lr 1e\+06.*smaller lr"):
        list(fit(training, batches(recipe), pictures(8, 1), recipe=recipe))
    assert training.step < 6


class BrokenInTheEnd(nn.Module):
    """As after a last update too many: sound while it trains, no numbers when it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(784, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.dense(x.flatten(1))
        return logits if self.training else logits * math.nan


def test_a_last_update_that_breaks_the_network_is_noticed() -> None:
    recipe = Recipe(epochs=1, batch_size=96, lr=0.01)
    training = Training.begin(BrokenInTheEnd(), recipe)
    with pytest.raises(DivergedError, match="no numbers on the validation split after epoch 1"):
        list(fit(training, batches(recipe), pictures(8, 1), recipe=recipe))


def test_the_best_epoch_is_the_best_validation_so_far() -> None:
    training = Training.begin(create("lenet_relu", num_classes=4, seed=0), RECIPE)
    recipe = RECIPE.changed({"epochs": 6})
    epochs = [
        f
        for f in fit(training, batches(recipe), pictures(16, 1), recipe=recipe)
        if isinstance(f, Epoch)
    ]
    best = -1.0
    for epoch in epochs:
        assert epoch.val_accuracy is not None
        assert epoch.best == (epoch.val_accuracy > best)
        best = max(best, epoch.val_accuracy)


def test_predictions_are_in_order_in_eval_mode_and_leave_the_mode_alone() -> None:
    network, val = dropout_net(), pictures(21, 1)
    network.train()
    said = predictions(network, val, SPEC, batch_size=8)
    assert network.training
    network.eval()
    with torch.no_grad():
        whole = torch.cat([network(images) for images, _ in in_order(val, SPEC, 8)])
    torch.testing.assert_close(torch.from_numpy(said.logits), whole)
    assert said.labels.tolist() == val.labels.tolist()


GOLDEN_RECIPES = {
    "lenet_relu": Recipe(batch_size=32, lr=0.005, momentum=0.9, nesterov=True, mirror=True),
    "lenet_sigmoid": Recipe(batch_size=32, lr=0.1, pixels="unit"),
    "lenet5": Recipe(
        batch_size=4, lr=0.00002, optimizer="diagonal-lm", loss="lenet5-map", placing="pad"
    ),
}


@pytest.mark.parametrize("name", list(GOLDEN_RECIPES))
def test_twenty_steps_give_the_recorded_losses(name: str) -> None:
    """Recorded once (2026-11-22, torch 2.13.0); `python -m tests.engine.test_fit` records anew.

    The bound is what other processors' kernels may round differently, no more.
    """
    assert golden(name) == pytest.approx(json.loads(GOLDEN.read_text())[name], rel=2e-4)


def golden(name: str) -> list[float]:
    recipe = GOLDEN_RECIPES[name].changed({"epochs": 1})
    size = 32 if name == "lenet5" else 28
    spec = InputSpec.from_json({**SPEC.to_json(), "size": [size, size], "placing": recipe.placing})
    split = pictures(20 * recipe.batch_size)
    made = TrainingBatches(
        split, spec, recipe.batch_size, recipe.seed, Augmentation(mirror=recipe.mirror)
    )
    training = Training.begin(create(name, num_classes=4, seed=0), recipe)
    losses, before = [], 0.0
    for fact in fit(training, made, pictures(0), recipe=recipe):
        if isinstance(fact, Step):
            losses.append((float(fact.loss_sum) - before) / recipe.batch_size)
            before = float(fact.loss_sum)
    assert len(losses) == 20
    assert all(math.isfinite(loss) for loss in losses)
    return losses


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: golden(name) for name in GOLDEN_RECIPES}, indent=1) + "\n")
