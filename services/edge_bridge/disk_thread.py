"""One thread that waits for the disk, so that the event loop does not.

A robot at rest writes a few times a second. In a pool with several idle threads CPython wakes two for each
call, and the pool grows whenever one call comes while another waits; both wait for the same disk anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from typing_extensions import ParamSpec

_Asked = ParamSpec("_Asked")
_Result = TypeVar("_Result")


class DiskThread:
    """Does one thing after the other, in the order in which it was asked; started by the first."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="disk")

    async def run(
        self, call: Callable[_Asked, _Result], *args: _Asked.args, **named: _Asked.kwargs
    ) -> _Result:
        """What it returns or raises. Cancelled, it is done all the same, unless it did not begin."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: call(*args, **named))

    def close(self) -> None:
        """Take nothing more; what is under way ends by itself."""
        self._thread.shutdown(wait=False)
