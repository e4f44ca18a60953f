from __future__ import annotations

import contextlib
import gc
import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell without job control starts what it puts in the background so, and the commands that
    # tests interrupt would inherit it and never end
    signal.signal(signal.SIGINT, signal.default_int_handler)


CACHES = itertools.count()


def pytest_collection_finish() -> None:
    """What is imported stays: looked through again and again it took a twentieth of all tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees, or fills, the cache of whoever runs it; made by the first that needs one."""
    with pytest.MonkeyPatch.context() as patch:
        own = tmp_path_factory.getbasetemp() / "caches" / f"{next(CACHES)}"
        patch.setenv("NEOCOG_CACHE", str(own))
        patch.delenv("NEOCOG_DATA", raising=False)
        yield


@pytest.fixture
def kept_c(tmp_path_factory: pytest.TempPathFactory, _own_cache: None) -> Iterator[None]:
    """The test's cache has the C that another has compiled, or a command that is started anew
    would wait seconds for a compiler.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "libraries"
    own = Path(os.environ["NEOCOG_CACHE"]) / "compiled"
    _link(shared, own)
    yield
    _link(own, shared)


def _link(there: Path, here: Path) -> None:
    here.mkdir(mode=0o700, parents=True, exist_ok=True)  # or what is in it is not believed
    for path in there.glob("*.so"):
        with contextlib.suppress(FileExistsError):
            (here / path.name).hardlink_to(path)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LeNet trained for three epochs on the digits that scikit-learn carries."""
    from neocog import api

    out = tmp_path_factory.mktemp("runs") / "digits"
    api.train("lenet_relu", "digits", epochs=3, out=out, tell=lambda line: None, watcher=Silent())
    return out


class Silent:
    """A watcher that shows nothing."""

    def see(self, fact: object) -> None:
        pass

    def close(self) -> None:
        pass
