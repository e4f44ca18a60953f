"""A recipe: everything that decides the outcome of a run, as one frozen, flat, checked value.

What only changes how fast a run goes (device, threads, layout, precision) is not in it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, get_type_hints

from neocog.errors import UsageError, unknown

OPTIMIZERS = ("sgd", "muon", "diagonal-lm")
SCHEDULES = ("constant", "step", "multistep", "plateau", "cosine", "linear")
LOSSES = ("cross-entropy", "lenet5-map")
PIXELS = ("standard", "unit", "picture", "mean-pixel", "mean-picture", "caffe", "lenet5")
PLACINGS = ("resize", "pad")
BORDERS = ("black", "reflect")
AVERAGES = ("none", "lookahead")
BALANCES = ("none", "sampling", "weights")
VIEWS = ("one", "mirror", "six")
SELECTIONS = ("best", "last")
BATCH_NORMS = ("local", "synchronised")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained. Made with a wrong value, it raises `UsageError` naming the field.

    Fields of the schedule are read by `engine.schedules`, those of the pictures by `data`.
    """

    name: str = "custom"

    epochs: float = 10  # passes over the training split; 2.5: the last one ends halfway
    batch_size: int = 128
    seed: int = 0  # initial weights, split, order, augmentation and dropout follow from it

    # "sgd"; "muon": steps of orthogonal matrices for all but head and biases, which have "sgd";
    # or "diagonal-lm": LeNet-5's per-weight rates
    optimizer: str = "sgd"
    lr: float = 0.1
    bias_lr: float = 0.0  # of biases and norms; 0: lr. Decay a step is that of the others
    head_lr: float = 0.0  # of the last layer's weights; likewise
    momentum: float = 0.0
    muon_momentum: float = 0.6
    nesterov: bool = False
    weight_decay: float = 0.0
    decay_biases: bool = True  # False: weight decay spares biases and batch-norm scales

    schedule: str = "constant"
    warmup: float = 0.0  # epochs of linear rise from 0 to lr
    every: float = 10  # step: epochs between drops
    milestones: tuple[float, ...] = ()  # multistep: epochs (from 0) that begin with a new rate
    factors: tuple[float, ...] = ()  # multistep: lr times this from each milestone; () drops
    patience: int = 3  # plateau: epochs without a better validation error before a drop
    drops: int = 3  # plateau: how many drops at most
    drop: float = 0.1  # step, multistep, plateau: what a drop multiplies lr by
    end: float = 0.0  # cosine, linear: lr reaches this fraction of itself
    average: str = "none"  # lookahead: weights jump back to their own average, more and more

    whiten: bool = False  # the first layer is computed from pictures, where a network has such
    whiten_epochs: float = 0.0  # its bias' rate falls to 0 over so many epochs; 0: as all others

    loss: str = "cross-entropy"
    label_smoothing: float = 0.0
    # of several processes: statistics of each one's pictures, or of the whole batch
    batch_norm: str = "local"

    # standard: (x - mean) / std by channel; unit: 0 to 1; picture: each by its own mean and
    # deviation; 0 to 255 less the mean-pixel, the mean-picture, or BGR as caffe; lenet5: -0.1 to
    # 1.175
    pixels: str = "standard"
    size: int = 0  # input of size x size pixels; 0: the network's own
    placing: str = "resize"  # how a picture of another size meets the input: resize, or pad
    resize: int = 0  # shorter side before cropping to the input, in pixels; 0: the input's size
    begin_size: int = 0  # the input grows from so many pixels to its size; 0: it does not
    grow_epochs: float = 0.0  # over so many epochs
    area: tuple[
        float, ...
    ] = ()  # crops of a share of the picture between these two, such as 0.08,1
    aspect: tuple[float, ...] = (0.75, 1.3333333333333333)  # and of a width / height between these
    mirror: bool = False  # half of the pictures left to right, where labels survive it
    alternate: bool = False  # mirror: each picture by turns from epoch to epoch, not by chance
    shift: int = 0  # translate by up to so many pixels
    border: str = "black"  # what comes in: black, or the edge's reflection
    trivial: bool = False  # TrivialAugment: one change a picture, any of fourteen
    rotate: float = 0.0  # turn by up to so many degrees either way
    jitter: float = 0.0  # brightness, contrast and saturation times 1 - jitter to 1 + jitter
    hue: float = 0.0  # hues turned by up to so much of the circle either way
    pca_noise: float = 0.0  # sigma of AlexNet's colour noise
    cutout: int = 0  # hide a square of so many pixels a side
    erase: float = 0.0  # hide a box of this share of the pictures
    mixup: float = 0.0  # blend pairs of pictures and labels; alpha of the share's distribution
    cutmix: float = 0.0  # paste a box of one into the other; likewise. Both: by turns of chance

    balance: str = "none"  # sampling: every class as often; weights: counted as much in the loss
    validation: float = 0.1  # fraction of the training split held out, stratified
    test: float = 0.1  # the same of a folder or list that has no splits
    select: str = "best"  # weights scored at the end: best validation epoch, or last
    views: str = "one"  # of each picture when it is scored: one, mirror (2), or six

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_type(field.name, getattr(self, field.name))
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown(f"{name} (of a recipe)", getattr(self, name), choices)
        for name, (low, high, open_low) in _RANGES.items():
            _check_range(name, getattr(self, name), low, high, open_low)
        _check_milestones(self.milestones, self.factors, self.schedule)
        if self.nesterov and self.momentum == 0:
            raise UsageError("recipe field nesterov: true needs momentum above 0")
        if self.alternate and not self.mirror:
            raise UsageError("recipe field alternate: true needs mirror to be true")
        _check_pair("area", self.area, 1.0)
        _check_pair("aspect", self.aspect, 100.0)
        if not self.aspect:
            raise UsageError("recipe field aspect: two numbers are needed, such as 0.75,1.33")
        if self.loss == "lenet5-map" and (self.mixup or self.cutmix or self.balance == "weights"):
            raise UsageError(
                "recipe field loss: lenet5-map takes pictures of one class each, all counting "
                "alike; leave out mixup, cutmix and balance=weights, or use cross-entropy"
            )

    def changed(self, changes: dict[str, Any]) -> Recipe:
        """The recipe with some fields changed; a text is read as the field's type.

        `recipe.changed({"lr": 0.05})` and `recipe.changed({"lr": "0.05"})` are the same.
        """
        values = {name: parse(name, value) for name, value in changes.items()}
        return dataclasses.replace(self, **values)

    def lasting(self, epochs: float) -> Recipe:
        """The recipe with its whole schedule stretched or shortened to so many epochs."""
        share = epochs / self.epochs
        changes: dict[str, Any] = {"epochs": epochs}
        for name in _IN_EPOCHS:
            changes[name] = getattr(self, name) * share
        changes["milestones"] = tuple(milestone * share for milestone in self.milestones)
        if self.schedule == "step":
            changes["every"] = self.every * share
        if self.schedule == "plateau":
            changes["patience"] = max(1, round(self.patience * share))
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Recipe:
        return cls().changed(values)


_TYPES: dict[str, Any] = get_type_hints(Recipe)
_CHOICES = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "loss": LOSSES,
    "pixels": PIXELS,
    "placing": PLACINGS,
    "border": BORDERS,
    "average": AVERAGES,
    "balance": BALANCES,
    "select": SELECTIONS,
    "views": VIEWS,
    "batch_norm": BATCH_NORMS,
}
_IN_EPOCHS = ("warmup", "whiten_epochs", "grow_epochs")  # what stretches with every schedule
# lowest, highest, whether the lowest itself is refused
_RANGES: dict[str, tuple[float, float, bool]] = {
    "epochs": (0, 1_000_000, True),
    "batch_size": (1, 1_000_000, False),
    "seed": (0, 2**63 - 1, False),
    "lr": (0, 1e6, True),
    "bias_lr": (0, 1e6, False),
    "head_lr": (0, 1e6, False),
    "momentum": (0, 0.9999999, False),
    "muon_momentum": (0, 0.9999999, False),
    "weight_decay": (0, 1e6, False),
    "warmup": (0, 1e6, False),
    "every": (0, 1_000_000, True),
    "patience": (1, 1_000_000, False),
    "drops": (0, 1_000_000, False),
    "drop": (0, 1, True),
    "end": (0, 1, False),
    "label_smoothing": (0, 0.999, False),
    "size": (0, 65_536, False),
    "resize": (0, 65_536, False),
    "shift": (0, 65_536, False),
    "cutout": (0, 65_536, False),
    "whiten_epochs": (0, 1e6, False),
    "pca_noise": (0, 1e3, False),
    "begin_size": (0, 65_536, False),
    "grow_epochs": (0, 1e6, False),
    "rotate": (0, 180, False),
    "jitter": (0, 1, False),
    "hue": (0, 0.5, False),
    "erase": (0, 1, False),
    "mixup": (0, 1e3, False),
    "cutmix": (0, 1e3, False),
    "validation": (0, 0.9, False),
    "test": (0, 0.9, False),
}


_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def fields() -> list[str]:
    """The names of a recipe's fields, in their order."""
    return list(_TYPES)


def parse(name: str, value: object) -> Any:
    """`value` as field `name` holds it; a text is read ("0.05", "true", "30,60").

    Raises `UsageError` for a field that does not exist or a text that cannot be read.
    """
    if name not in _TYPES:
        raise unknown("recipe field", name, _TYPES)
    kind = _TYPES[name]
    if isinstance(value, list):
        return tuple(value)
    if hasattr(value, "item"):  # a number of numpy's or torch's
        value = value.item()
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str) or kind is str:
        return value
    try:
        return _read(value.strip(), kind)
    except ValueError:
        raise _wrong(name, value) from None


def _read(text: str, kind: Any) -> Any:
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            raise ValueError(text)
        return _BOOLEANS[text.lower()]
    if kind == tuple[float, ...]:
        return tuple(float(part) for part in text.strip("()[]").split(",") if part.strip())
    return kind(text)


def _wrong(name: str, value: object) -> UsageError:
    return UsageError(f"recipe field {name}: {value!r} was given; it takes {_words(_TYPES[name])}")


def _words(kind: Any) -> str:
    return {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "a text",
        tuple[float, ...]: "numbers with commas between, such as 30,60",
    }[kind]


def _check_type(name: str, value: object) -> None:
    kind = _TYPES[name]
    if kind == tuple[float, ...]:
        right = isinstance(value, tuple) and all(_is_a(part, float) for part in value)
    else:
        right = _is_a(value, kind)
    if not right:
        raise _wrong(name, value)


def _is_a(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def _check_range(name: str, value: float, low: float, high: float, open_low: bool) -> None:
    inside = low < value <= high if open_low else low <= value <= high
    if not inside:  # also a NaN
        bound = f"above {low:,}" if open_low else f"{low:,} or more"
        raise UsageError(
            f"recipe field {name}: {value!r} was given; it takes {_words(_TYPES[name])}, "
            f"{bound} and at most {high:,}"
        )


def _check_pair(name: str, pair: tuple[float, ...], most: float) -> None:
    if pair and not (len(pair) == 2 and 0 < pair[0] <= pair[1] <= most):
        raise UsageError(
            f"recipe field {name}: {pair} was given; it takes two numbers that rise, above 0 and "
            f"at most {most:g}"
        )


def _check_milestones(
    milestones: tuple[float, ...], factors: tuple[float, ...], schedule: str
) -> None:
    if list(milestones) != sorted(set(milestones)) or any(not m > 0 for m in milestones):
        raise UsageError(
            f"recipe field milestones: {milestones} was given; they rise and begin above 0"
        )
    if factors and len(factors) != len(milestones):
        raise UsageError(
            f"recipe field factors: {len(factors)} for {len(milestones)} milestones; "
            "give one a milestone, or none"
        )
    if any(not factor >= 0 for factor in factors):
        raise UsageError(f"recipe field factors: {factors} was given; none may be negative")
    if schedule == "multistep" and not milestones:
        raise UsageError("recipe field schedule: multistep needs milestones, such as 30,60")
