from __future__ import annotations

import pytest
import torch
from tests.engine.test_fit import RECIPE, batches, dropout_net, pictures
from torch import nn

from neocog.engine.averaging import EVERY, KEPT, Lookahead, average_for
from neocog.engine.fit import fit
from neocog.engine.state import Training
from neocog.recipe import Recipe


def network(value: float) -> nn.Sequential:
    """A weight, a bias, and a batch norm with statistics and a count."""
    made = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        for tensor in made.state_dict().values():
            tensor.fill_(value)
    return made


def values(net: nn.Sequential) -> set[float]:
    state = net.state_dict()
    count = state.pop("1.num_batches_tracked")
    assert count.dtype == torch.int64
    return {round(float(v), 5) for tensor in state.values() for v in tensor.flatten()}


def test_every_few_steps_weights_and_statistics_jump_to_the_average() -> None:
    net = network(0)
    average = Lookahead(net)
    net.load_state_dict(network(8).state_dict())
    for step in range(1, EVERY):
        average.after(step, net, done=1.0)
        assert values(net) == {8}
    average.after(EVERY, net, done=1.0)
    assert values(net) == {round(8 * (1 - KEPT), 5)}
    assert int(net.state_dict()["1.num_batches_tracked"]) == 8  # counts are not averaged


def test_the_average_keeps_more_of_itself_as_the_run_goes_on() -> None:
    """0.95^5 (done)^3, as airbench has it."""
    for done in (0.0, 0.5, 1.0):
        net = network(0)
        average = Lookahead(net)
        net.load_state_dict(network(1).state_dict())
        average.jump(net, done=done)
        assert values(net) == {round(1 - 0.95**5 * done**3, 5)}


def test_tied_weights_stay_one() -> None:
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    nn.init.zeros_(net[0].weight)
    average = Lookahead(net)
    nn.init.ones_(net[0].weight)
    average.jump(net, done=1.0)
    assert float(net[0].weight.detach()[0, 0]) == pytest.approx(1 - KEPT)


def test_a_recipe_names_it() -> None:
    assert average_for(network(0), Recipe()) is None
    assert isinstance(average_for(network(0), Recipe(average="lookahead")), Lookahead)


def test_another_networks_average_is_refused() -> None:
    with pytest.raises(KeyError):
        Lookahead(network(0)).restore({})


def test_steps_are_counted_through_the_run_and_each_epoch_ends_in_a_jump(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Validation and scores are the average's: without that jump, up to four steps beside it."""
    recipe = RECIPE.changed({"average": "lookahead", "epochs": 2})
    jumps: list[float] = []
    monkeypatch.setattr(Lookahead, "jump", lambda self, net, *, done: jumps.append(done * 12))
    training = Training.begin(dropout_net(), recipe)
    for _ in fit(training, batches(recipe), pictures(8, 1), recipe=recipe):
        pass
    assert jumps == pytest.approx([5, 6, 10, 12])
