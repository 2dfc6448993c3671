"""``python -m alerting`` that waits RECONNECT_GRACE_S seconds for a robot, not its usual time."""

from __future__ import annotations

import os
import sys

import msgspec
import uvloop

from alerting.__main__ import NAME, serve
from alerting.fleet import FleetLimits
from alerting.settings import settings_from
from alerting.silence import SilenceLimits
from fleetward.bus.process import exit_status

FIRST_CONTACT_S = 30.0


def _run() -> None:
    silence = SilenceLimits(
        reconnect_grace_s=float(os.environ["RECONNECT_GRACE_S"]), first_contact_s=FIRST_CONTACT_S
    )
    settings = msgspec.structs.replace(
        settings_from(os.environ), fleet=FleetLimits(silence=silence)
    )
    uvloop.run(serve(settings))


if __name__ == "__main__":
    sys.exit(exit_status(NAME, _run))
