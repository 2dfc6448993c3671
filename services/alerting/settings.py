"""Everything alerting can be told from outside, read once, with every limit and its unit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from alerting.fleet import FleetLimits
from fleetward.bus.connection import BusSettings
from fleetward.bus.environment import Environment, SettingsError
from fleetward.contracts.rows import Principal


class NotifyLimits(Struct, frozen=True, kw_only=True):
    """How webhooks are tried: pauses double from ``backoff_s`` up to ``max_backoff_s``."""

    timeout_s: float = 5.0
    backoff_s: float = 0.5
    max_backoff_s: float = 60.0
    max_attempts: int = 30
    max_waiting: int = 10_000
    kept_failures: int = 1000


class Settings(Struct, frozen=True, kw_only=True):
    """Where the bus, the rules and the receivers are, and the limits of each part."""

    bus: BusSettings
    state_dir: Path
    rules_dir: Path
    signing_key: Path | None = None
    """What signs the rules that robots judge themselves by; None: robots are sent none."""
    traces_dir: Path | None = None
    webhook_urls: tuple[str, ...] = ()
    batch: int = 500
    max_wait_s: float = 0.02
    """How long the pull gathers frames: a part of every alert's latency."""
    tick_s: float = 0.25
    hub_check_s: float = 1.0
    """How soon the hub must answer a ping before a robot may be called silent."""
    inventory_refresh_s: float = 60.0
    fleet: FleetLimits = FleetLimits()
    notify: NotifyLimits = NotifyLimits()


def settings_from(variables: Mapping[str, str]) -> Settings:
    """Settings from FLEETWARD_ variables; raises SettingsError."""
    environment = Environment(variables)
    return Settings(
        bus=environment.bus(Principal.ALERTING.value),
        state_dir=environment.path("FLEETWARD_STATE_DIR"),
        rules_dir=environment.path("FLEETWARD_RULES_DIR"),
        signing_key=environment.optional_path("FLEETWARD_SIGNING_KEY"),
        traces_dir=environment.optional_path("FLEETWARD_TRACES_DIR"),
        webhook_urls=_urls(variables.get("FLEETWARD_WEBHOOK_URLS", "")),
    )


def _urls(text: str) -> tuple[str, ...]:
    urls = tuple(url.strip() for url in text.split(",") if url.strip())
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError(
                f"FLEETWARD_WEBHOOK_URLS holds {url!r}, which is not an http(s) URL. Correct it."
            )
    return urls
