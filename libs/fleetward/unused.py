"""What our libraries import only in case, kept out of processes that never use it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast


@contextmanager
def hidden(package: str) -> Iterator[None]:
    """Let imports within the block find ``package`` not installed, unless it is loaded already.

    securesystemslib imports boto3, where there is one, for keys kept at Amazon; we keep none
    there, and the import costs each process half a second of processor time.
    """
    modules = cast("dict[str, ModuleType | None]", sys.modules)  # None: an import of it fails
    if package in modules:
        yield
        return
    modules[package] = None
    try:
        yield
    finally:
        del modules[package]
