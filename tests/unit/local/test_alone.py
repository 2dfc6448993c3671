"""Whoever changes what the server believes does it alone."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from fleetward.local.alone import alone_at


async def test_nobody_else_gets_in_until_the_block_has_ended(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with lock.open("wb") as other:
        async with alone_at(lock):
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
