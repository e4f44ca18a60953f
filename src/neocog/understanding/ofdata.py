"""Looks at data through the network: mistakes, doubtful labels, twins of splits, embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neocog.analysis import embedding as embedded
from neocog.analysis import listening, pairs
from neocog.analysis import mistakes as disagreeing
from neocog.analysis.mistakes import Disagreement
from neocog.analysis.pairs import Album, Pair
from neocog.errors import UsageError
from neocog.report import fonts, gallery, panels, scatter
from neocog.report.gallery import Block, Card
from neocog.report.page import printable
from neocog.understanding.seen import Asked, Seen
from neocog.understanding.subject import Part, Subject

SHOWN = 12  # pictures of a kind
POINTS = 1000  # of an embedding: t-SNE takes seconds for so many
DOUBTFUL = 0.3  # of the answers are wrong: too many to believe its doubts
SIDE_BY_SIDE = 3  # pairs in a row


def mistakes(subject: Subject, asked: Asked) -> Seen:
    """The pictures of highest loss, and the wrong answers that were given most surely."""
    part = subject.part(asked.split)
    said, places = subject.said(part, asked.sample)
    count, wrong = asked.number or SHOWN, disagreeing.wrong(said)
    worst = disagreeing.by_loss(said, count=count)
    surest = disagreeing.surest(said, count=count)
    blocks = [
        Block("highest loss", _cards(subject, part, worst, places)),
        Block("wrong, and surest of it", _cards(subject, part, surest, places)),
    ]
    head = f"{wrong:,} of {len(places):,} {part.name} pictures are answered wrongly"
    drawn = gallery.figure(blocks, title=f"{head}\n{subject.title}")
    facts = _facts(subject, part, worst, places)
    numbers = {
        "what": "mistakes",
        "split": part.name,
        "pictures": len(places),
        "wrong": wrong,
        "highest_loss": facts,
        "surest_wrong": _facts(subject, part, surest, places),
    }
    words = f"{head}.\n{_in_words(facts[:3])}"
    return Seen("mistakes", drawn, words, numbers, {}, _table(facts))


def suspects(subject: Subject, asked: Asked) -> Seen:
    """Labels that the network doubts, by confident learning: the clearest first."""
    part = subject.part(asked.split)
    if len(subject.spec.classes) < 2:
        raise UsageError(f"{subject.title}: of one class no label can be doubted")
    if part.name == "train":
        subject.tell(
            "the network learned these labels, so wrong ones are doubted less: see "
            "validation and test first"
        )
    said, places = subject.said(part, asked.sample)
    wrong = disagreeing.wrong(said)
    if wrong > DOUBTFUL * len(places):
        subject.tell(
            f"this network is wrong on {wrong:,} of {len(places):,} pictures: its doubts say more "
            "of itself than of the labels"
        )
    found = disagreeing.suspects(said)
    some = found.found[: asked.number or 2 * SHOWN]
    head = (
        f"{len(found.found):,} labels of {len(places):,} {part.name} pictures are doubted "
        f"(about {found.noise:.1%} wrong, by confident learning)"
    )
    blocks = [Block("the clearest first", _cards(subject, part, some, places))]
    drawn = gallery.figure(blocks, title=f"{head}\n{subject.title}")
    facts = _facts(subject, part, found.found, places)
    numbers = {
        "what": "suspects",
        "split": part.name,
        "pictures": len(places),
        "count": len(found.found),
        "noise": found.noise,
        "suspects": facts,
    }
    words = f"{head}.\n{_in_words(facts[:3])}"
    table = _table(facts[: len(some)])
    return Seen("suspects", drawn, words, numbers, {"joint": found.joint}, table)


def twins(subject: Subject, asked: Asked) -> Seen:
    """Pictures of the split that training has seen as well, or nearly so."""
    part, train = subject.part(asked.split), subject.part("train")
    if part.name == "train":
        raise UsageError("twins are looked for between train and another split: --split test")
    one = _album(subject, part, asked)
    found = pairs.pairs(one, _album(subject, train, asked))
    exact, close = sum(pair.exact for pair in found), sum(pair.twins for pair in found)
    shown = found[: asked.number or SHOWN]
    head = (
        f"{close:,} of {len(found):,} {part.name} pictures are in train as well: {exact:,} to the "
        f"pixel, {close - exact:,} nearly (likeness {pairs.NEAR:g} or more)"
    )
    cards = [card for pair in shown for card in _pair(subject, part, train, pair)]
    blocks = [Block(f"{part.name}, and the nearest of train", cards, 2 * SIDE_BY_SIDE)]
    drawn = gallery.figure(blocks, title=f"{head}\n{subject.title}")
    kept = [pair for pair in found if pair.twins]
    numbers = {
        "what": "twins",
        "split": part.name,
        "pictures": len(found),
        "exact": exact,
        "near": close - exact,
        "pairs": [_pair_fact(part, train, pair) for pair in (kept or shown)],
    }
    return Seen("twins", drawn, f"{head}.", numbers)


def embedding(subject: Subject, asked: Asked) -> Seen:
    """What the last layer reads of each picture, or a layer puts out, laid out by PCA and t-SNE."""
    part = subject.part(asked.split)
    count = asked.number or asked.sample or min(subject.enough(None), POINTS)
    made = list(_embedded(subject, part, asked, count))
    vectors, places = (np.concatenate([each[n] for each in made]) for n in (1, 2))
    labels = part.split.labels.cpu().numpy()[places]
    flat, share = embedded.pca(vectors)
    planes = {
        f"PCA ({share:.0%} of the variance)": flat,
        "t-SNE (only neighbours mean something)": embedded.tsne(vectors, seed=asked.seed),
    }
    agree = embedded.neighbours_agree(vectors, labels)
    layer = f"what {_last(subject)} reads" if asked.layer is None else asked.layer
    head = f"{len(labels):,} {part.name} pictures by {layer} ({vectors.shape[1]:,} numbers)"
    said = f"nearest neighbour of the same class: {agree:.1%}"
    title = f"{head}; {said}\n{subject.title}"
    drawn = scatter.figure(planes, labels, subject.spec.classes, title=title)
    numbers = {
        "what": "embedding",
        "split": part.name,
        "pictures": len(labels),
        "layer": layer,
        "dimensions": int(vectors.shape[1]),
        "variance": share,
        "neighbours_agree": agree,
    }
    arrays = {
        "vectors": vectors,
        "labels": labels,
        "places": part.there[places],
        **dict(zip(("pca", "tsne"), planes.values(), strict=True)),
    }
    return Seen("embedding", drawn, f"{head}; {said}.", numbers, arrays)


def _last(subject: Subject) -> str:
    blank = torch.zeros(1, *subject.size, device=subject.device)
    name = listening.last_weighted(subject.network, blank)
    if name is None:
        raise UsageError(f"{subject.title}: no layer has weights; name one with --layer")
    return name


def _embedded(
    subject: Subject, part: Part, asked: Asked, count: int
) -> Iterator[tuple[Tensor, np.ndarray, np.ndarray]]:
    """Pictures of a split, their vectors (n, D), and their places in it."""
    reads = asked.layer is None
    layer = _last(subject) if asked.layer is None else subject.layer(asked.layer)
    places = subject.places(part, count)
    if len(places) < len(part.split):
        subject.tell(f"looking at {len(places):,} of {len(part.split):,} {part.name} pictures")
    for images, inputs, kept in subject.batches(part, places, f"{part.name} pictures embedded"):
        found = embedded.vectors(subject.network, inputs, layer=layer, reads=reads)
        yield images, found.cpu().numpy(), kept


def _album(subject: Subject, part: Part, asked: Asked) -> Album:
    """Vectors and small copies of as many pictures of a split as there is time for."""
    made = _embedded(subject, part, asked, subject.enough(asked.sample, work=2))
    return pairs.together([pairs.album(kept, images, found) for images, found, kept in made])


def _cards(
    subject: Subject, part: Part, found: Sequence[Disagreement], places: np.ndarray
) -> list[Card]:
    """Of those that can still be seen."""
    names, cards = fonts.shown(subject.spec.classes, longest=14), []
    for each in found:
        image = subject.one(part, int(places[each.place]))
        if image is not None:
            answer = f"{names[each.answer]} {each.chance:.0%}"
            text = f"{answer}\nlabel {names[each.label]} {each.label_chance:.0%}"
            colour = panels.WRONG if each.answer != each.label else "black"
            cards.append(Card(image, text, colour))
    return cards


def _facts(
    subject: Subject, part: Part, found: Sequence[Disagreement], places: np.ndarray
) -> list[dict[str, Any]]:
    classes = subject.spec.classes
    return [
        {
            "picture": part.called(int(places[each.place])),
            "label": classes[each.label],
            "answer": classes[each.answer],
            "probability": each.chance,
            "label_probability": each.label_chance,
            "loss": each.loss,
        }
        for each in found
    ]


def _in_words(facts: Sequence[dict[str, Any]]) -> str:
    return "\n".join(
        f"{_plain(fact['picture'])}: labelled {_plain(fact['label'])} "
        f"({fact['label_probability']:.0%}), {_plain(fact['answer'])} {fact['probability']:.0%}."
        for fact in facts
    )


def _table(facts: Sequence[dict[str, Any]]) -> list[list[str]]:
    rows = [
        [
            _plain(fact["picture"]),
            _plain(fact["label"]),
            f"{fact['label_probability']:.1%}",
            _plain(fact["answer"]),
            f"{fact['probability']:.1%}",
            f"{fact['loss']:.2f}",
        ]
        for fact in facts
    ]
    return [["picture", "label", "its chance", "answer", "its chance", "loss"], *rows]


def _plain(name: str | int) -> str:
    return printable(str(name))


def _pair(subject: Subject, part: Part, train: Part, pair: Pair) -> list[Card]:
    like = "the same pixels" if pair.exact else f"likeness {pair.likeness:.3f}"
    cards = []
    for each, place, said in ((part, pair.place, part.name), (train, pair.other, like)):
        images, _ = subject.images(each, np.array([place]))
        name = str(each.called(int(each.there[place]))).rsplit("/", 1)[-1]
        text = f"{said}\n{fonts.shown([name], longest=16)[0]}"
        cards.append(Card(images[0], text, panels.WRONG if pair.twins else "black"))
    return cards


def _pair_fact(part: Part, train: Part, pair: Pair) -> dict[str, Any]:
    return {
        "picture": part.called(int(part.there[pair.place])),
        "train": train.called(int(train.there[pair.other])),
        "exact": pair.exact,
        "likeness": pair.likeness,
        "cosine": pair.cosine,
        "twins": pair.twins,
    }
