"""What systemd is told about a bridge, and what the bridge is told in its environment."""

from __future__ import annotations

from collections.abc import Mapping

from fleetward.enrolment.layout import Layout

WATCHDOG_S = 30
CPU_WEIGHT = 50
"""Half of what every other unit has: where the processor is short, the robot's own programs go first."""
START_TIMEOUT_S = 90
"""The bridge waits 10 s for its hub, and a Jetson takes long to import what it needs."""
STOP_TIMEOUT_S = 10

_UNIT = """\
# Written by `fleetward robot enroll`; it is written again when it differs.
[Unit]
Description=Fleetward edge bridge
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User={account}
EnvironmentFile={settings}
WorkingDirectory={state}
ExecStart={current}/bin/python -IS {launcher} {state} {current}
Restart=always
RestartSec=2
TimeoutStartSec={start_s}
TimeoutStopSec={stop_s}
WatchdogSec={watchdog_s}
KillMode=mixed
CPUWeight={cpu_weight}
# A worker that loads under SCHED_IDLE may return to SCHED_OTHER only within this limit (sched(7)).
LimitNICE=-10
UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ReadWritePaths={state}

[Install]
WantedBy=multi-user.target
"""


def unit_text(layout: Layout, account: str) -> str:
    """The unit file."""
    return _UNIT.format(
        account=account,
        settings=layout.settings,
        state=layout.state,
        current=layout.current,
        launcher=layout.launcher,
        start_s=START_TIMEOUT_S,
        stop_s=STOP_TIMEOUT_S,
        watchdog_s=WATCHDOG_S,
        cpu_weight=CPU_WEIGHT,
    )


def settings_text(
    layout: Layout, robot: str, nats_url: str, extra: Mapping[str, str] | None = None
) -> str:
    """The environment file. It holds no secret; ``extra`` adds variables or overrides them."""
    variables = {
        "FLEETWARD_ROBOT_ID": robot,
        "FLEETWARD_NATS_URL": nats_url,
        "FLEETWARD_CREDENTIALS": layout.credentials,
        "FLEETWARD_TRUST_DIR": layout.trust,
        "FLEETWARD_STATE_DIR": layout.state,
        **(extra or {}),
    }
    return "".join(f"{name}={_quoted(value)}\n" for name, value in variables.items())


def robot_in(settings: str) -> str:
    """The robot's id in an environment file; empty where there is none."""
    for line in settings.splitlines():
        name, _, value = line.partition("=")
        if name == "FLEETWARD_ROBOT_ID":
            return value.strip().strip('"')
    return ""


def _quoted(value: str) -> str:
    """As systemd and a shell both read it."""
    escaped = (
        value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    )
    return f'"{escaped}"'
