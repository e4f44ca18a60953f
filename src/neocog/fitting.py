"""Whether a network, a data set and a recipe fit together, said before anything is written."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neocog.analysis import cost
from neocog.data.dataset import Dataset
from neocog.data.preprocess import input_spec
from neocog.data.spec import InputSpec
from neocog.errors import UsageError
from neocog.networks import Made, create, how_made
from neocog.recipe import Recipe

Size = tuple[int, int, int]  # (C, H, W)


def known(network: nn.Module) -> Made | None:
    """How `create` made this network, if it still makes one like it; None for a foreign one.

    A network of ours whose head was changed has other weights than `create` would give it: it
    is a foreign one.
    """
    made = how_made(network)
    if made is None:
        return None
    with torch.device("meta"):
        twin = create(made.name, num_classes=made.num_classes, in_channels=made.in_channels)
    same = _shapes(twin) == _shapes(network) and type(twin) is type(network)
    return made if same else None


def _shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def fitted_spec(network: nn.Module, dataset: Dataset, recipe: Recipe) -> InputSpec:
    """The InputSpec for this network, data and recipe; `UsageError` where they do not fit."""
    if not isinstance(network, nn.Module):
        raise UsageError(f"the network is a {type(network).__name__}, not an nn.Module instance")
    made, size = known(network), _wanted_size(dataset, recipe)
    if made is None:
        height, width = size or (how_made(network) or _Unmade(dataset)).input[1:]
        channels = _channels_that_run(network, dataset, (height, width))
    else:
        channels, (height, width) = made.in_channels, size or made.input[1:]
        if made.num_classes != len(dataset.classes):
            raise UsageError(_wrong_classes(made.name, made.num_classes, dataset))
        taken = (channels, height, width)  # its own size needs no trying, which imports compilers
        if taken != made.input and not cost.takes(network, taken):
            raise UsageError(_does_not_take(network, (channels, height, width)))
    if recipe.balance == "sampling" and dataset.listing and dataset.listing.shards:
        raise UsageError(
            "recipe field balance: sampling shows some pictures again and again, and those in "
            "shards come in the order of these; use balance=weights"
        )
    _check_growth(network, channels, (height, width), recipe)
    if recipe.shift >= min(height, width):
        raise UsageError(
            f"recipe field shift: {recipe.shift} was given; pictures of {height}x{width} can be "
            f"moved by at most {min(height, width) - 1}"
        )
    if recipe.cutout > min(height, width):
        raise UsageError(
            f"recipe field cutout: {recipe.cutout} was given; pictures are {height}x{width}"
        )
    _check_whitening(network, recipe)
    if recipe.views != "one" and not dataset.mirrors:
        raise UsageError(
            f"recipe field views: {recipe.views} looks at mirror images too, and pictures of "
            f"{dataset.name} do not keep their class when they are mirrored: --set views=one"
        )
    return input_spec(
        dataset,
        channels,
        (height, width),
        pixels=recipe.pixels,
        placing=recipe.placing,
        resize=recipe.resize,
    )


def _check_growth(network: nn.Module, channels: int, size: tuple[int, int], recipe: Recipe) -> None:
    begin = recipe.begin_size
    if not begin:
        return
    if begin > min(size):
        raise UsageError(
            f"recipe field begin_size: {begin} was given; the input is {size[0]}x{size[1]}, and it "
            "grows"
        )
    if not cost.takes(network, (channels, begin, begin)):
        raise UsageError(
            f"recipe field begin_size: {_does_not_take(network, (channels, begin, begin))}"
        )


def _check_whitening(network: nn.Module, recipe: Recipe) -> None:
    if recipe.whiten and not isinstance(getattr(network, "whiten", None), nn.Conv2d):
        made = how_made(network)
        raise UsageError(
            f"recipe field whiten: {made.name if made else type(network).__name__} has no layer "
            "`whiten` to be computed from pictures; fast_cifar has one. Or: --set whiten=false"
        )


class _Unmade:
    """The input of a network that does not say what it takes: the pictures as they are."""

    def __init__(self, dataset: Dataset) -> None:
        if dataset.train.size is None:
            raise UsageError(
                "the network does not say what size it takes, and the pictures are of many sizes; "
                "say it: --size 224"
            )
        self.input = (dataset.channels, *dataset.train.size)


def _wanted_size(dataset: Dataset, recipe: Recipe) -> tuple[int, int] | None:
    asked = (recipe.size, recipe.size) if recipe.size else None
    if dataset.size and asked and dataset.size != asked:
        raise UsageError(
            f"the data set was loaded for {dataset.size[0]}x{dataset.size[1]} and the recipe says "
            f"size {recipe.size}: leave one of them out"
        )
    return dataset.size or asked


def _channels_that_run(network: nn.Module, dataset: Dataset, size: tuple[int, int]) -> int:
    """Tries a picture, for who knows a foreign network: with the data's channels, or 3, or 1."""
    failure: Exception | None = None
    for channels in dict.fromkeys((dataset.channels, 3, 1)):
        try:
            _check_output(network, _tried(network, (channels, *size)), dataset)
            return channels
        except UsageError:
            raise
        except Exception as error:  # whatever a user's forward raises
            failure = failure or error
    given = (dataset.channels, *size)
    if cost.smallest_size(network, dataset.channels) is not None:
        raise UsageError(_does_not_take(network, given)) from failure
    raise UsageError(
        f"{type(network).__name__} cannot take pictures of {_words(given)}: "
        f"{(str(failure).splitlines() or [''])[0]}"
    ) from failure


def _tried(network: nn.Module, size: Size) -> object:
    """What the network makes of one grey picture; its mode is put back."""
    weight = next(network.parameters(), None)
    if weight is None:
        raise UsageError("the network has no weights to train")
    if weight.dtype != torch.float32:
        raise UsageError(f"the network's weights are {weight.dtype}; call .float() on it first")
    training = network.training
    network.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            return network(torch.full((1, *size), 0.5, device=weight.device))
    finally:
        network.train(training)


def _check_output(network: nn.Module, made: object, dataset: Dataset) -> None:
    name, classes = type(network).__name__, len(dataset.classes)
    if not isinstance(made, Tensor):
        raise UsageError(f"{name} puts out a {type(made).__name__}; one tensor of logits is needed")
    if made.ndim != 2:
        raise UsageError(
            f"{name} puts out {tuple(made.shape)} for one picture; logits (1, {classes}) are needed"
        )
    if made.shape[1] != classes:
        raise UsageError(_wrong_classes(name, made.shape[1], dataset))


def _wrong_classes(name: str, outputs: int, dataset: Dataset) -> str:
    classes = len(dataset.classes)
    return (
        f"{name} has {outputs} outputs, {dataset.name} has {classes} classes; make it with "
        f"num_classes={classes}"
    )


def _does_not_take(network: nn.Module, size: Size) -> str:
    made = how_made(network)
    given = f"{made.name if made else type(network).__name__} cannot take pictures of "
    given += f"{_words(size)} (C, H, W)"
    smallest = cost.smallest_size(network, size[0])
    if smallest is None:
        return f"{given}; no size up to 512 fits it with {size[0]} channels"
    side = smallest[0]
    if min(size[1:]) <= side:
        return f"{given}; the smallest that it can is {side}x{side}"
    while cost.takes(network, (size[0], side + 1, side + 1)):
        side += 1
    return f"{given}; it takes {smallest[0]}x{smallest[1]} to {side}x{side}"


def _words(size: Size) -> str:
    return "x".join(str(side) for side in size)
