"""The catalog's facts carried over NATS: connect, provision, publish, batch, pull, ask, trace."""

from fleetward.unused import hidden

with hidden("aiohttp"):  # for NATS over WebSockets: 9 MiB that a robot at rest need not hold
    import nats as _nats  # noqa: F401 (loaded here first, so without aiohttp)
