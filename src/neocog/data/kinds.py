"""The kinds of things that `neocog data doctor` says of a folder. docs/doctor.md has the same list.

A problem makes training, or its scores, wrong until somebody looks; a note is handled by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

PROBLEM, NOTE = "problem", "note"


@dataclass(frozen=True)
class Kind:
    """What is said of a file or a class, and what would do."""

    severity: str
    about: str
    remedy: str
    skip: bool = False  # whether the skip list leaves such a picture out


KINDS = {
    # -- pictures that cannot be used
    "unreadable": Kind(
        PROBLEM,
        "It cannot be read: its content is damaged, or its permissions forbid it.",
        "Get the file again, or allow it to be read; until then leave it out.",
        skip=True,
    ),
    "truncated": Kind(
        PROBLEM,
        "The file ends before the picture does.",
        "Get the file again, whole; until then leave it out.",
        skip=True,
    ),
    "damaged": Kind(
        PROBLEM,
        "It can be shown, but a part of its content is wrong: grey, shifted or miscoloured areas.",
        "Look at it; get the file again, or leave it out.",
        skip=True,
    ),
    "empty": Kind(
        PROBLEM, "The file has no bytes.", "Get the file again, or remove it.", skip=True
    ),
    "not_a_picture": Kind(
        PROBLEM,
        "Its name says a picture; its content is none that can be read here.",
        "See what it is: an error page saved as .jpg is to be fetched again, a HEIC photograph "
        "saved as JPEG.",
    ),
    "missing": Kind(
        PROBLEM,
        "The list names it, and it is not there.",
        "Correct the list, or get the file.",
    ),
    "enormous": Kind(
        PROBLEM,
        "It has more than 100,000,000 pixels or 1 GiB, and is never opened: a small file can fill "
        "the memory in this way.",
        "If it is a real picture, save it smaller; until then leave it out.",
        skip=True,
    ),
    "tiny": Kind(
        PROBLEM,
        "Its shorter side has fewer than 8 pixels; or fewer than 64, and less than a tenth of what "
        "is usual in this folder.",
        "Look at it: icons and failed downloads are to be left out.",
        skip=True,
    ),
    "blank": Kind(
        PROBLEM,
        "It shows one flat shade and nothing else.",
        "Look at it; leave it out unless that is what the class is about.",
        skip=True,
    ),
    # -- pictures that are alike
    "duplicate": Kind(
        PROBLEM,
        "The same file, byte for byte, is in the same class and split a second time.",
        "Keep one of them.",
        skip=True,
    ),
    "duplicate_across_classes": Kind(
        PROBLEM,
        "The same file, byte for byte, is in two classes: one of the labels is wrong.",
        "Keep it in the right class; until then leave all copies out.",
        skip=True,
    ),
    "duplicate_across_splits": Kind(
        PROBLEM,
        "The same file, byte for byte, is held out as well, so the score is too good.",
        "Keep the copy that is held out, and leave this one out of training.",
        skip=True,
    ),
    "near_duplicate": Kind(
        NOTE,
        "The same picture, resized, saved again or cut a little, is in the same class and split.",
        "Nothing has to be done; keep one of them if the picture should count once.",
    ),
    "near_duplicate_across_classes": Kind(
        PROBLEM,
        "The same picture, resized, saved again or cut a little, is in two classes.",
        "Look at both: if it is one picture, keep it in the right class.",
    ),
    "near_duplicate_across_splits": Kind(
        PROBLEM,
        "The same picture, resized, saved again or cut a little, is held out as well, so the score "
        "is too good.",
        "Keep the one that is held out, and leave this one out of training.",
        skip=True,
    ),
    "series_across_splits": Kind(
        PROBLEM,
        "It was taken right before or after a picture that is held out (a burst, or frames of a "
        "film) and looks like it, so the score is too good.",
        "Keep a whole series in one split; or leave its part of the training split out.",
        skip=True,
    ),
    "series": Kind(
        NOTE,
        "Pictures taken one right after the other (a burst, or frames of a film) that look alike: "
        "where validation pictures are drawn by chance, some of a series come to either side.",
        "Hold out whole series: make the folders train and val yourself.",
    ),
    # -- classes
    "no_data_set": Kind(
        PROBLEM,
        "There is nothing to learn from: no pictures, or one class, or a list that does not fit.",
        "See what was expected, and where; put each class into a folder of its own.",
    ),
    "class_missing": Kind(
        PROBLEM,
        "A class has no picture that can be read in one of the splits.",
        "Add some, or take the class out of all splits.",
    ),
    "class_small": Kind(
        PROBLEM,
        "A class has fewer than 5 pictures to learn from.",
        "Add some, or take the class out.",
    ),
    "imbalance": Kind(
        NOTE,
        "The largest class has more than 10 times the pictures of the smallest.",
        "Read the balanced accuracy; weigh the classes, or draw from them evenly.",
    ),
    # -- what is left out or handled by itself
    "unused": Kind(
        NOTE,
        "A picture that lies where no class or split is, or behind a link that is not followed.",
        "Move it into the folder of its class if it should count.",
    ),
    "wrong_suffix": Kind(
        NOTE,
        "Its name says another kind of file than its content is.",
        "Nothing has to be done here, the content counts; other programs go by the name.",
    ),
    "animated": Kind(
        NOTE,
        "It has several frames or pages; the first one is used.",
        "Nothing has to be done if the first one shows the class.",
    ),
    "deep": Kind(
        NOTE,
        "It has 16 bits or more a value; they are scaled to 8.",
        "Nothing has to be done.",
    ),
    "cmyk": Kind(
        NOTE,
        "Its colours are those of print (CMYK); they are turned to RGB, a little off.",
        "Nothing has to be done; save it as RGB if its colours matter.",
    ),
    "palette": Kind(
        NOTE,
        "It has a palette of at most 256 colours; they are turned to RGB.",
        "Nothing has to be done.",
    ),
    "alpha": Kind(
        NOTE,
        "It may be transparent in places; those become black.",
        "Nothing has to be done; lay it on another ground yourself if black is wrong.",
    ),
    "sideways": Kind(
        NOTE,
        "It is stored turned or mirrored, and says so in its EXIF; it is put upright.",
        "Nothing has to be done here; many other programs read it sideways.",
    ),
    "profile": Kind(
        NOTE,
        "Its colour profile is not sRGB; its values are taken as they stand.",
        "Nothing has to be done; save it as sRGB if its colours matter.",
    ),
}
