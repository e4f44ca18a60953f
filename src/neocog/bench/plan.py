"""What is measured: networks, ways of training them, and the jobs that children are given.

Imports no library beyond Python's: the process that watches the others must not disturb them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from neocog.errors import UsageError, unknown

SECTIONS = ("train", "inference", "accuracy")  # what --only takes
FORMAT = 1  # of the result file


@dataclass(frozen=True)
class Workload:
    """A network and the pictures it is given: `size` is (C, H, W), `pictures` an epoch's number.

    `run` is how many pictures neocog is asked to train on in all. It is stopped long before, but
    what it may try out and whether it compiles follow from the length of a run.
    """

    network: str
    title: str
    size: tuple[int, int, int]
    batch: int
    pictures: int
    classes: int
    run: int = 600_000
    extra: bool = False  # without a bar: measured after all the others, if time is left


# Batch 128 where a step of it ends within seconds on two cores; the deep ones at 224 px take 32 and
# VGG-11 16, or nothing would be measured twice in the benchmark's minutes (`--batch` changes it).
TRAINED = (
    Workload("lenet_relu", "LeNet", (1, 28, 28), 128, 60_000, 10),
    Workload("alexnet_book", "AlexNet, book form", (1, 224, 224), 128, 2_048, 10),
    Workload("resnet18_cifar", "ResNet-18, 32 px", (3, 32, 32), 128, 6_400, 10),
    Workload("vgg11", "VGG-11", (3, 224, 224), 16, 512, 1000, 50_000),
    Workload("resnet50", "ResNet-50", (3, 224, 224), 32, 512, 1000, 50_000),
    Workload("resnet18", "ResNet-18, 224 px", (3, 224, 224), 32, 512, 1000, 50_000, extra=True),
    Workload("mobilenet_v2", "MobileNet v2", (3, 224, 224), 32, 512, 1000, 50_000, extra=True),
    Workload("densenet121", "DenseNet-121", (3, 224, 224), 32, 512, 1000, 50_000, extra=True),
)
# A whole run, from the start of the process to the last evaluation: ten epochs.
WHOLE = (Workload("lenet_relu", "LeNet, ten epochs", (1, 28, 28), 128, 60_000, 10),)
INFERRED = (
    Workload("resnet50", "ResNet-50", (3, 224, 224), 16, 512, 1000),
    Workload("resnet50", "ResNet-50", (3, 224, 224), 1, 512, 1000),
)


@dataclass(frozen=True)
class Target:
    """Test accuracy that is to be reached on a real data set, by whichever recipe exists first."""

    work: Workload
    data: str
    accuracy: float
    recipes: tuple[str, ...]  # neocog's: the first that it has
    lr: float  # of the peers, who have no recipe; momentum likewise
    momentum: float
    epochs: int  # of the peers, at most


TARGETS = {
    "lenet_relu": Target(
        Workload("lenet_relu", "LeNet on MNIST to 99 %", (1, 28, 28), 128, 60_000, 10),
        "mnist",
        0.99,
        ("fast_mnist", "quick"),
        lr=0.05,
        momentum=0.9,
        epochs=20,
    ),
    "alexnet_book": Target(
        Workload(
            "alexnet_book",
            "AlexNet, book form, on Fashion-MNIST to 0.871",
            (1, 224, 224),
            128,
            60_000,
            10,
        ),
        "fashion-mnist",
        0.871,
        ("alexnet_book",),
        lr=0.01,  # the book's: without momentum
        momentum=0.0,
        epochs=15,
    ),
}


@dataclass(frozen=True)
class Arm:
    """Who does the work. `needs` are the modules without which it is not installed."""

    name: str
    title: str
    precision: str  # auto, fp32, bf16
    needs: tuple[str, ...] = ()
    bf16_only: bool = False  # left out where bf16 has no units, or is held back


NEOCOG = Arm("neocog", "neocog", "auto", ("torch",))
TORCH = Arm("torch", "PyTorch", "fp32", ("torch",))
TORCH_BF16 = Arm("torch-bf16", "PyTorch bf16", "bf16", ("torch",), bf16_only=True)
# The same loop over pictures as PyTorch's own example has them
TUTORIAL = Arm("torchvision", "PyTorch, torchvision", "fp32", ("torch", "torchvision"))
TUTORIAL_BF16 = Arm(
    "torchvision-bf16",
    "PyTorch bf16, torchvision",
    "bf16",
    ("torch", "torchvision"),
    bf16_only=True,
)
KERAS = Arm("keras", "Keras", "fp32", ("keras", "tensorflow"))
KERAS_BF16 = Arm("keras-bf16", "Keras bf16", "bf16", ("keras", "tensorflow"), bf16_only=True)
ONNXRUNTIME = Arm("onnxruntime", "ONNX Runtime", "fp32", ("onnxruntime",))
OPENVINO = Arm("openvino", "OpenVINO", "auto", ("openvino",))

ARMS_OF = {
    "train": (NEOCOG, KERAS, KERAS_BF16, TORCH, TORCH_BF16),
    "whole": (NEOCOG, KERAS, KERAS_BF16, TORCH, TORCH_BF16, TUTORIAL, TUTORIAL_BF16),
    "inference": (NEOCOG, TORCH, TORCH_BF16, ONNXRUNTIME, OPENVINO),
    "accuracy": (NEOCOG, KERAS, TORCH),
}
ARMS = {arm.name: arm for arms in ARMS_OF.values() for arm in arms}
ROUNDS = {"train": 3, "whole": 3, "inference": 3, "accuracy": 1}  # unless they are named
LONG = 12 * 3600.0  # seconds
UNITS = {"train": "images/s", "whole": "s", "inference": "images/s", "accuracy": "s"}


LEAST = {"rounds": 1, "minutes": 0, "seconds": 0, "limit": 0, "batch": 1}  # of settings


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `neocog bench` was asked for."""

    only: str | None = None  # one of SECTIONS; None: train and inference
    everything: bool = False  # accuracy too
    networks: tuple[str, ...] = ()  # (): all of them
    arms: tuple[str, ...] = ()
    rounds: int | None = None  # 3, or 1 of whole trainings to an accuracy
    minutes: float | None = None  # 20: no round of a group is begun that would end later; 0: no end
    seconds: float = 4.0  # measured in each child
    limit: float | None = None  # seconds after which a child is stopped: 600, or half a day
    batch: int | None = None
    device: str = "auto"
    avx2: bool = False
    quick: bool = False

    def __post_init__(self) -> None:
        if self.only is not None and self.only not in SECTIONS:
            raise unknown("part of the benchmark", self.only, SECTIONS)
        known = {work.network for work in (*TRAINED, *INFERRED)}
        for name in self.networks:
            if name not in known:
                raise unknown("network (of the benchmark)", name, known)
        for name in self.arms:
            if name not in ARMS:
                raise unknown("arm (of the benchmark)", name, ARMS)
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise UsageError(f"--{name}: {value!r} was given; it takes {least} or more")

    def time_limit(self, kind: str) -> float:
        """Seconds that a job may take."""
        return self.limit or (LONG if kind == "accuracy" else 600.0)

    def total(self) -> float:
        """Seconds that all may take, about."""
        minutes = 20.0 if self.minutes is None else self.minutes
        endless = not minutes or (self.minutes is None and "accuracy" in self.sections())
        return math.inf if endless else 60 * minutes

    def sections(self) -> tuple[str, ...]:
        if self.only == "train":
            return ("train", "whole")
        if self.only:
            return (self.only,)
        return ("train", "whole", "inference", *(("accuracy",) if self.everything else ()))


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one child measures. It travels as JSON, so it holds plain values only."""

    kind: str  # peak, data, reference; train, whole, inference, accuracy
    arm: str
    network: str = ""
    size: tuple[int, int, int] = (1, 1, 1)
    batch: int = 1
    pictures: int = 1
    classes: int = 10
    run: int = 600_000
    epochs: int = 1
    seconds: float = 4.0
    steps: int = 0  # at most so many are measured; 0: as many as the seconds give
    device: str = "auto"
    precision: str = "auto"  # of neocog: "fp32" where bf16 is held back
    data: str = ""  # accuracy: the name of the data set
    seed: int = 0  # the round's
    folder: str = ""  # where children find what an earlier one left for them
    # time.monotonic() at which the parent started the child: one clock for a machine's processes
    launched: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Job:
        return cls(**{**values, "size": tuple(values["size"])})


@dataclass(frozen=True)
class Group:
    """The arms of one piece of work: measured one after the other, again in every round."""

    section: str
    work: Workload
    jobs: tuple[Job, ...]
    rounds: int

    @property
    def name(self) -> str:
        return f"{self.section} {self.work.network}, batch {self.work.batch}"


def groups(settings: Settings, *, bf16: bool) -> list[Group]:
    """What there is to measure; `bf16`: whether the machine has units for it."""
    made = []
    for section in settings.sections():
        for work in _works(section, settings):
            arms = [arm for arm in ARMS_OF[section] if bf16 or not arm.bf16_only]
            chosen = [arm for arm in arms if arm.name in settings.arms or not settings.arms]
            jobs = tuple(_job(section, work, arm, settings, bf16=bf16) for arm in chosen)
            if jobs:
                made.append(Group(section, work, jobs, settings.rounds or ROUNDS[section]))
    if not made:
        raise UsageError(
            "of these networks and arms nothing is measured in this part of the benchmark; leave "
            "out --networks, --arms or --only"
        )
    return sorted(made, key=lambda group: group.work.extra)


def _works(section: str, settings: Settings) -> Iterator[Workload]:
    works: Sequence[Workload] = {
        "train": TRAINED,
        "whole": WHOLE,
        "inference": INFERRED,
        "accuracy": tuple(target.work for target in TARGETS.values()),
    }[section]
    for work in works:
        if settings.networks and work.network not in settings.networks:
            continue
        if settings.quick and not settings.networks and max(work.size) > 64 and section == "train":
            continue
        yield work if section == "accuracy" else _resized(work, section, settings)


def _resized(work: Workload, section: str, settings: Settings) -> Workload:
    """The work with the batch that was asked for; in a quick run smaller in every way."""
    values = dict(vars(work))
    if settings.batch and section != "inference":
        values["batch"] = settings.batch
        values["pictures"] = max(work.pictures // settings.batch, 8) * settings.batch
    if settings.quick:
        values["batch"] = min(values["batch"], 16)
        values["pictures"] = values["run"] = 256
        if section == "inference":
            values["size"], values["pictures"] = (3, 96, 96), 64
    return Workload(**values)


def _job(section: str, work: Workload, arm: Arm, settings: Settings, *, bf16: bool) -> Job:
    target = TARGETS.get(work.network)
    return Job(
        kind=section,
        arm=arm.name,
        network=work.network,
        size=work.size,
        batch=work.batch,
        pictures=work.pictures,
        classes=work.classes,
        run=work.run,
        epochs=_epochs(section, work, settings),
        seconds=1.0 if settings.quick else settings.seconds,
        steps=4 if settings.quick else 0,
        device=settings.device,
        precision="fp32" if settings.avx2 else "auto",
        data=target.data if target and section == "accuracy" else "",
    )


def _epochs(section: str, work: Workload, settings: Settings) -> int:
    if settings.quick:
        return 1
    return TARGETS[work.network].epochs if section == "accuracy" else 10
