"""Everything alerting can be told from outside, read once, with every limit and its unit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from alerting.fleet import FleetLimits
from fleetward.contracts.errors import FleetwardError


class SettingsError(FleetwardError):
    """A setting is missing or cannot be what it says."""


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

    nats_url: str
    credentials: Path
    state_dir: Path
    rules_dir: Path
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


def settings_from(environment: Mapping[str, str]) -> Settings:
    """The settings in FLEETWARD_* variables; raises SettingsError."""
    traces = environment.get("FLEETWARD_TRACES_DIR")
    return Settings(
        nats_url=_required(environment, "FLEETWARD_NATS_URL"),
        credentials=Path(_required(environment, "FLEETWARD_CREDENTIALS")),
        state_dir=Path(_required(environment, "FLEETWARD_STATE_DIR")),
        rules_dir=Path(_required(environment, "FLEETWARD_RULES_DIR")),
        traces_dir=Path(traces) if traces else None,
        webhook_urls=_urls(environment.get("FLEETWARD_WEBHOOK_URLS", "")),
    )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise SettingsError(f"{name} is not set. Set it before starting alerting.")
    return value


def _urls(text: str) -> tuple[str, ...]:
    urls = tuple(url.strip() for url in text.split(",") if url.strip())
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError(
                f"FLEETWARD_WEBHOOK_URLS holds {url!r}, which is not an http(s) URL. Correct it."
            )
    return urls
