"""What the environment says of logs: off until asked for, and what makes no sense is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_bridge.logs.limits import LogSettings, as_argument, from_argument
from edge_bridge.logs.variables import logs_of
from fleetward.bus.environment import Environment, SettingsError


def read(**variables: str) -> LogSettings:
    return logs_of(Environment({f"FLEETWARD_{name}": said for name, said in variables.items()}))


def test_logs_are_off_and_everything_about_them_can_be_said() -> None:
    assert not read().enabled
    settings = read(
        LOGS="on",
        LOG_FILES="/var/log/ros/**/*.log, /opt/nav/out.log",
        LOG_SOCKET="/run/fleetward/logs.sock",
        LOG_JOURNAL="nav.service,camera.service",
        LOG_SEGMENT_S="10",
        LOG_OUTBOX_MIB="64",
        LOG_BYTES_PER_S="20000",
    )
    assert settings.enabled
    assert settings.files == ("/var/log/ros/**/*.log", "/opt/nav/out.log")
    assert settings.socket == Path("/run/fleetward/logs.sock")
    assert settings.journal == ("nav.service", "camera.service")
    assert settings.segment_s == 10.0
    assert settings.shipping.outbox_bytes == 64 * 1024 * 1024
    assert settings.shipping.bytes_per_s == 20_000.0
    assert from_argument(as_argument(settings)) == settings


@pytest.mark.parametrize(
    ("name", "said"), [("LOGS", "yes"), ("LOG_FILES", "logs/*.log"), ("LOG_SEGMENT_S", "soon")]
)
def test_what_makes_no_sense_is_named(name: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"FLEETWARD_{name}"):
        read(**{name: said})
