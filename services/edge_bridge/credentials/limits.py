"""How often a robot looks after its credentials."""

from __future__ import annotations

from msgspec import Struct


class RenewalLimits(Struct, frozen=True, kw_only=True):
    """look_s: how often it looks whether it is time to renew them. retry_*: after a failure, doubling."""

    look_s: float = 300.0
    retry_wait_s: float = 10.0
    retry_limit_s: float = 3600.0
