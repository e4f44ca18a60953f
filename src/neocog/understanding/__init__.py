"""Understanding a network: what its filters, units and maps are, and what speaks for its answers.

`look` opens a run and makes one figure with the numbers behind it; `LOOKS` lists what there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn

from neocog.data.dataset import Dataset
from neocog.errors import UsageError, unknown
from neocog.run import RunFolder
from neocog.understanding import ofdata, ofnetwork, ofpictures
from neocog.understanding.seen import Asked, Progress, Seen, is_ours
from neocog.understanding.subject import Subject

__all__ = [
    "LOOKS",
    "OVERVIEW",
    "Asked",
    "Look",
    "Seen",
    "Subject",
    "is_ours",
    "look",
    "open_subject",
]


@dataclass(frozen=True)
class Look:
    """One way to look at a network."""

    make: Callable[[Subject, Asked], Seen]
    about: str
    of_pictures: bool = False  # whether files can be named for it
    takes: tuple[str, ...] = ()  # of Asked, beside split, number and sample


def _explained(name: str, about: str, *takes: str) -> Look:
    return Look(partial(ofpictures.explained, name), about, True, ("target", *takes))


LOOKS = {
    "sees": Look(
        ofpictures.sees,
        "of a picture: answer, Grad-CAM, occlusion and feature maps",
        True,
        ("target", "layer"),
    ),
    "maps": Look(
        ofpictures.maps, "feature maps of a picture, layer by layer", True, ("target", "layer")
    ),
    "cam": _explained("cam", "Grad-CAM: where the maps of a layer speak for a class", "layer"),
    "saliency": _explained("saliency", "how much a class's logit changes with each pixel"),
    "occlusion": _explained("occlusion", "where hiding a patch lowers a class's probability"),
    "gradients": _explained("gradients", "integrated gradients, and whether they add up"),
    "filters": Look(ofnetwork.filters, "the filters of a convolution", False, ("layer",)),
    "units": Look(ofnetwork.units, "units that are dead, off or saturated", False, ("layer",)),
    "weights": Look(ofnetwork.weights, "weights and gradients of each layer", False, ("layer",)),
    "exciting": Look(ofnetwork.exciting, "what excites channels most", False, ("layer", "channel")),
    "embedding": Look(
        ofdata.embedding,
        "pictures before the last layer, by PCA and t-SNE",
        False,
        ("layer", "seed"),
    ),
    "mistakes": Look(ofdata.mistakes, "the worst mistakes, and the surest"),
    "suspects": Look(ofdata.suspects, "labels that look wrong (confident learning)"),
    "twins": Look(ofdata.twins, "pictures that training has seen too", False, ("layer",)),
}
OVERVIEW = ("filters", "units", "mistakes")  # of a run; of a picture it is "sees"


def look(
    folder: RunFolder,
    what: str,
    *files: str | Path,
    network: nn.Module | None = None,
    data: Dataset | None = None,
    layer: str | None = None,
    target: str | int | None = None,
    channel: int | None = None,
    split: str = "test",
    number: int | None = None,
    sample: int | None = None,
    seed: int = 0,
    from_dir: str | Path | None = None,
    tell: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Seen:
    """One of `LOOKS` at a run: a figure, its numbers, its words. `Run.look` calls this.

    `files` are pictures, for looks that explain what a network says of one; without, some of
    `split` are taken. `layer` is a layer's name ("conv2", "conv4_x.0"), `target` a class by name or
    number (default: the answer), `number` how many things are shown, `sample` how many pictures
    are looked at (default: what half a minute allows). Raises `UsageError` for names that there
    are not, `DataError` for pictures that cannot be read.
    """
    subject = open_subject(
        folder, network, data=data, from_dir=from_dir, tell=tell, progress=progress
    )
    asked = Asked(
        files=tuple(map(Path, files)),
        layer=layer,
        target=None if target is None else str(target),
        channel=channel,
        split=split,
        number=number,
        sample=sample,
        seed=seed,
    )
    return seen(subject, what, asked)


def open_subject(
    folder: RunFolder,
    network: nn.Module | None = None,
    *,
    data: Dataset | None = None,
    from_dir: str | Path | None = None,
    tell: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Subject:
    """A run made ready to be looked into, once for several looks."""
    made = network
    if made is None:
        made = folder.new_network()
        folder.load_weights(made)
    return Subject(
        folder,
        made,
        dataset=data,
        from_dir=from_dir,
        tell=tell or _nobody,
        progress=progress or _uncounted,
    )


def seen(subject: Subject, what: str, asked: Asked) -> Seen:
    """What comes of one look; options that it has no use for are refused."""
    if what not in LOOKS:
        raise unknown("look", what, LOOKS)
    chosen = LOOKS[what]
    if asked.files and not chosen.of_pictures:
        raise UsageError(f"{what} looks at the run's own data: name no picture for it")
    for name in ("number", "sample"):
        value = getattr(asked, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} {value}: at least 1")
    plain = Asked()
    for field in ("layer", "target", "channel"):
        if getattr(asked, field) != getattr(plain, field) and field not in chosen.takes:
            option = {"target": "class"}.get(field, field)
            raise UsageError(f"{what} takes no --{option}")
    return chosen.make(subject, asked)


def _nobody(line: str) -> None:
    """Says nothing."""


def _uncounted(what: str, done: int, total: int) -> None:
    """Counts nothing."""
