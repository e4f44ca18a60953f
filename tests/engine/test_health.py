"""A run that goes wrong is stopped, with the step, the layer, and what to try."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tests.conftest import Silent
from tests.engine.test_fit import batches, dropout_net, pictures
from torch import Tensor, nn

import neocog
from neocog import checkpoints
from neocog.data.batches import TrainingBatches, derived_seed
from neocog.engine import health, tracing
from neocog.engine.asleep import asleep
from neocog.engine.fit import Training, fit
from neocog.engine.hardware import Hardware
from neocog.engine.optimizers import optimizer_for
from neocog.errors import DataError, DivergedError
from neocog.networks import create
from neocog.recipe import Recipe
from neocog.records import Predictions, Step
from neocog.saving import Saver
from neocog.training import begin
from neocog.training import run as run_of

RECIPE = Recipe(epochs=3, batch_size=16, lr=0.01, momentum=0.9)  # 6 steps an epoch


class Failing(nn.Module):
    """Sound, until it has seen so many training batches."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after, self.calls = after, 0

    def forward(self, x: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled():
            self.calls += 1
        return self.broken(x) if self.calls > self.after else x

    def broken(self, x: Tensor) -> Tensor:
        return x / 0


class FailingBack(Failing):
    """The same on the way back."""

    def broken(self, x: Tensor) -> Tensor:
        return x + (x - x.detach()).sqrt().sum()  # 0, whose slope is infinite


def net(part: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    layers: dict[str, nn.Module] = {"flat": nn.Flatten(), "first": nn.Linear(784, 16)}
    layers |= {"norm": nn.BatchNorm1d(16), "part": part, "last": nn.Linear(16, 4)}
    network = nn.Sequential()
    for name, layer in layers.items():
        network.add_module(name, layer)
    return network


def run(network: nn.Module, recipe: Recipe = RECIPE, **how: Any) -> Training:
    training = Training.begin(network, recipe)
    for _ in fit(training, batches(recipe), pictures(8, 1), recipe=recipe, **how):
        pass
    return training


def message(network: nn.Module, recipe: Recipe = RECIPE, **how: Any) -> str:
    with pytest.raises(DivergedError) as caught:
        run(network, recipe, **how)
    return str(caught.value)


def test_the_layer_is_named_in_which_it_began_on_the_way_forward() -> None:
    said = message(net(Failing(8)))
    assert "the loss is nan in step 3 of epoch 2, at lr 0.01: training has diverged" in said
    assert "It began on the way forward, in part (Failing): 256 of the 256 values" in said
    assert "a smaller lr (--lr 0.0033), or a warm-up" in said
    assert "batch norm" not in said  # it has one


def test_between_layers_the_one_that_holds_them_is_named() -> None:
    class Joining(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(784, 8), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x.flatten(1)) * math.inf)  # b is given what is no number

    assert "in block (Joining)" in message(named(Joining()))


def named(block: nn.Module) -> nn.Sequential:
    network = nn.Sequential()
    network.add_module("block", block)
    return network


def test_the_gradient_is_named_that_came_first_on_the_way_back() -> None:
    said = message(net(FailingBack(8)))
    assert "the norm of the gradients is nan, in step 3 of epoch 2" in said
    # those behind it are sound, those before it are not: `norm` is the first of them to be reached
    assert "It began on the way back, in the gradient of norm." in said
    assert "last" not in said


def test_weights_that_an_update_broke_are_named() -> None:
    network = net(nn.Identity())
    with torch.no_grad():
        network.last.weight[1, 2] = math.nan  # type: ignore[index, union-attr]
    said = message(network)
    assert "in step 1 of epoch 1" in said
    assert "an update broke the weights: last.weight holds 1 values of 64" in said


def test_pictures_that_are_no_numbers_are_no_divergence(monkeypatch: pytest.MonkeyPatch) -> None:
    made = TrainingBatches._made

    def spoilt(self: TrainingBatches, *place: Any) -> Iterator[tuple[Tensor, Tensor]]:
        for step, (images, labels) in enumerate(made(self, *place)):
            images[3] *= math.nan if step == 2 else 1
            yield images, labels

    monkeypatch.setattr(TrainingBatches, "_made", spoilt)
    with pytest.raises(
        DataError, match=r"step 3 of epoch 1: the pictures hold .* 1 of 16 .*number 4"
    ):
        run(net(nn.Identity()))


def test_gradients_that_explode_stop_the_run_while_its_loss_is_a_number() -> None:
    network = net(nn.Identity())
    said = message(network, RECIPE.changed({"lr": 1e6}))
    assert "the gradients explode: their norm is" in said
    assert "in step 1 of epoch 1" in said
    assert "The largest gradient is that of " in said
    assert all(bool(torch.isfinite(w).all()) for w in network.parameters())


@pytest.mark.parametrize("optimizer", ["sgd", "muon"])
def test_gradients_that_only_grow_do_not(optimizer: str) -> None:
    """Steps as large as the weights themselves, and for Muon, which scales them away, any."""
    network = create("lenet_relu", num_classes=4, seed=0)
    made = optimizer_for(network, RECIPE.changed({"optimizer": optimizer, "lr": 1.0}))
    size = math.sqrt(sum(float(w.detach().square().sum()) for w in network.parameters()))
    for group in made.param_groups:
        for weight in group["params"]:
            absurd = 1e9 if group.get("matrices") else 1.0
            weight.grad = torch.full_like(weight, absurd * size / math.sqrt(weight.numel()))
    assert health._wrong(made, 1.0) is None
    for group in made.param_groups:
        for weight in group["params"]:
            if weight.ndim < 2:
                weight.grad *= 1e5
    assert "explode" in str(health._wrong(made, 1.0))


def test_the_norm_of_gradients_that_float32_cannot_square_is_known() -> None:
    network = nn.Linear(2, 2, bias=False)
    network.weight.grad = torch.tensor([[3e30, 0.0], [0.0, 4e30]])
    assert not math.isfinite(health.gradient_norm(optimizer_for(network, RECIPE)))
    assert tracing.all_finite([network.weight.grad])  # yet none of them is no number


@pytest.mark.parametrize("value", [1.0, math.nan, math.inf, -math.inf, 3e30])
def test_the_norm_is_that_of_all_however_large_they_are_and_lie(value: float) -> None:
    torch.manual_seed(0)
    slopes = [torch.randn(300, 300), torch.randn(7), torch.randn(64, 64, 5, 5), torch.randn(400, 9)]
    slopes[2] = slopes[2].contiguous(memory_format=torch.channels_last)
    wanted = math.sqrt(sum(float(t.double().square().sum()) for t in slopes))
    assert tracing.norm(slopes) == pytest.approx(wanted, rel=1e-5)
    for slope in slopes:
        before = slope.flatten()[5].item()
        slope[slope == before] = value
        assert math.isfinite(tracing.norm(slopes)) == (value == 1.0)
        assert tracing.all_finite(slopes) == math.isfinite(value)
        slope[(slope == value) | slope.isnan()] = before
    assert tracing.norm([]) == 0


def test_looking_leaves_no_trace() -> None:
    """Statistics, mode, generators: as they were; and the masks of dropout those of the step."""
    network = dropout_net()
    network.add_module("norm", nn.BatchNorm1d(4))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    masks = []
    network.pool2[1].register_forward_hook(lambda m, i, o: masks.append(o == 0))  # type: ignore
    images, random = torch.randn(8, 1, 28, 28), torch.get_rng_state()
    torch.manual_seed(derived_seed(0, "dropout", 1, 2))
    network(images)
    network.load_state_dict(before)
    torch.set_rng_state(random)
    with tracing.untouched(network, derived_seed(0, "dropout", 1, 2)):
        trace = tracing.traced(network, lambda: network(images))
    assert torch.equal(*masks)
    assert trace.begun is None
    assert trace.order.index("conv1") < trace.order.index("norm")
    assert torch.equal(torch.get_rng_state(), random)
    assert network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert not network.conv1._forward_hooks  # type: ignore[union-attr]


def test_a_compiled_network_is_looked_at_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled shows no layers: the pass is repeated uncompiled."""
    calls: list[int] = []

    def compiled(eager: Any) -> Any:
        return lambda images: (calls.append(len(images)), eager(images))[1]

    monkeypatch.setattr("neocog.engine.passes._compiled", compiled)
    hardware = Hardware("cpu", "x", torch.get_num_threads(), compile=True)
    assert "in part (Failing)" in message(net(Failing(3)), hardware=hardware)
    assert calls == 4 * [16]


def test_on_a_gpu_where_a_look_waits_it_is_rare() -> None:
    assert all(health.due(torch.device("cpu"), step) for step in range(100))
    looks = [step for step in range(200) if health.due(torch.device("cuda"), step)]
    assert looks == [49, 99, 149, 199]


def test_logits_that_are_no_numbers_name_what_holds_none() -> None:
    network = net(nn.Identity())
    network.norm.running_var.fill_(math.inf)  # type: ignore[union-attr, operator]
    said = Predictions(torch.full((2, 4), math.nan).numpy(), torch.zeros(2).long().numpy())
    with pytest.raises(DivergedError, match=r"norm.running_var holds 16 values of 16"):
        health.check_logits(said, "the test split", network)


def test_what_is_no_number_is_never_saved() -> None:
    training = Training.begin(net(nn.Identity()), RECIPE)
    health.check_state(training, RECIPE)
    run_on = fit(training, batches(RECIPE), pictures(0), recipe=RECIPE)
    next(run_on)
    health.check_state(training, RECIPE)
    buffer = next(iter(training.optimizer.state.values()))["momentum_buffer"]
    kept, buffer[0] = buffer[0].clone(), math.inf
    with pytest.raises(DivergedError, match=r"step 1 of epoch 1.*what the optimizer remembers"):
        health.check_state(training, RECIPE)
    buffer[0] = kept
    training.network.norm.running_mean[0] = math.nan  # type: ignore[union-attr, index]
    with pytest.raises(DivergedError, match=r"norm.running_mean holds 1 "):
        health.check_state(training, RECIPE)


# -- the run folder


class FailsLater(nn.Module):
    """Sound for an epoch of digits and a few steps, then its update breaks it."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.dense, self.fails = nn.Linear(64, 10), FailingBack(after)

    def forward(self, x: Tensor) -> Tensor:
        return self.fails(self.dense(x.flatten(1)))


def test_a_run_that_diverges_leaves_what_is_good_and_says_where(tmp_path: Path) -> None:
    data = neocog.load("digits")
    recipe = Recipe(epochs=3, batch_size=64, lr=0.05, momentum=0.9)
    steps = -(-len(data.train) // 64)
    with pytest.raises(DivergedError) as caught:
        neocog.train(
            FailsLater(steps + 4),
            data,
            recipe=recipe,
            precision="fp32",
            out=tmp_path / "run",
            watcher=Silent(),
            tell=lambda line: None,
        )
    said = str(caught.value)
    assert "in step 5 of epoch 2" in said
    assert "in the gradient of dense." in said
    assert f"What stands in {tmp_path / 'run'}: a checkpoint from the end of epoch 1, " in said
    assert "best.safetensors, the weights after epoch 1" in said
    assert "--precision" not in said
    for name in ("last.pt", "before.pt"):
        state = checkpoints.read(tmp_path / "run" / name)
        held = [*state["network"].values()]
        held += [m["momentum_buffer"] for m in state["optimizer"]["state"].values()]
        assert all(bool(torch.isfinite(t).all()) for t in held)
    assert safetensors.torch.load_file(tmp_path / "run" / "best.safetensors")
    with pytest.raises(DivergedError, match="step 5 of epoch 2"):  # as it says: the same end
        neocog.resume(
            tmp_path / "run",
            network=FailsLater(4),
            data=data,
            watcher=Silent(),
            tell=lambda line: None,
        )


def test_a_state_that_holds_no_numbers_ends_the_run_and_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Saver, "due", lambda self: True)  # also while the state before is written
    recipe = Recipe(epochs=1, batch_size=64, lr=0.05, momentum=0.9)
    job = begin(
        create("lenet_relu", seed=0), neocog.load("digits"), recipe=recipe, out=tmp_path / "run"
    )
    with pytest.raises(DivergedError, match="an update went wrong in step 4 of epoch 1"):
        for fact in run_of(job):
            if isinstance(fact, Step) and fact.step == 3:
                moments = next(iter(job.training.optimizer.state.values()))
                moments["momentum_buffer"].fill_(math.inf)
    assert job.folder.state()["step"] in (1, 2, 3)
    assert all(bool(torch.isfinite(t).all()) for t in job.folder.state()["network"].values())


def test_in_bf16_going_on_without_it_is_offered(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"neocog resume .*run --precision fp32"):
        neocog.train(
            FailsLater(2),
            "digits",
            epochs=1,
            precision="bf16",
            out=tmp_path / "run",
            watcher=Silent(),
            tell=lambda line: None,
        )


# -- not started


def test_what_is_dead_in_a_network_is_named() -> None:
    network = create("lenet_relu", num_classes=4, seed=0)
    images = torch.rand(32, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    network(images).sum().backward()
    assert asleep(network, images) == []
    with torch.no_grad():
        network.conv2.bias.fill_(-100)  # type: ignore[union-attr, operator]
    network.zero_grad()
    network(images)[:, 0].sum().backward()
    said = " ".join(asleep(network, images))
    assert "100% of the units of " in said
    assert "(ReLU) are 0 for each of 32 pictures" in said
    assert network.training


def test_a_gradient_that_fades_on_its_way_is_named() -> None:
    torch.manual_seed(0)
    deep = [nn.Sequential(nn.Linear(64, 64), nn.Sigmoid()) for _ in range(8)]
    network = nn.Sequential(nn.Flatten(), *deep, nn.Linear(64, 4))
    images = torch.rand(32, 1, 8, 8)
    torch.nn.functional.cross_entropy(network(images), torch.arange(32) % 4).backward()
    said = asleep(network, images)
    assert "The gradient of 1.0.weight is " in said[0]
    assert " times that of 9.weight" in said[0]
    assert "puts out the same for all of 32 pictures" in said[1]
