"""The robot's one HTTP session; it and its library cost nothing until something is fetched or sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp


class Web:
    """Makes the session when it is first asked for, on the event loop."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """The session, the same one each time."""
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=False)
        return self._session

    async def close(self) -> None:
        """Close what was made."""
        if self._session is not None:
            await self._session.close()
