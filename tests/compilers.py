"""Where C of ours can be compiled."""

from __future__ import annotations

import platform
import shutil
import sys

import pytest

from neocog import compiled

# Where there is a compiler, as in CI, what is marked so runs: a library that was not made fails it.
needs_compiler = pytest.mark.skipif(
    sys.platform != "linux"
    or platform.machine() != "x86_64"
    or not any(map(shutil.which, compiled.COMPILERS)),
    reason="there is no C compiler here",
)
