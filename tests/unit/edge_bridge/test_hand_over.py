"""Whoever watches a bridge hears from it early and late enough for one to take another's place."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_bridge.__main__ import serve
from edge_bridge.settings import Settings
from fleetward.bus.waiting import cancelled
from fleetward.contracts.ids import RobotId
from testkit.authority import Authority

WAIT_S = 10.0
ALIVE = b"WATCHDOG=1"
BECOMES = """
from pathlib import Path
from edge_bridge.updating.launched import Launched
from fleetward.releases.launch import Place
Launched(Place(Path("/nowhere")), ["/bin/true"], "").become_launcher()
"""


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Its end of the socket; it is patient for 600 s."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(WAIT_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "600000000")
        yield heard


def test_a_bridge_gives_a_sign_of_life_just_before_it_becomes_the_launcher(
    supervisor: socket.socket,
) -> None:
    subprocess.run([sys.executable, "-c", BECOMES], check=True, env=os.environ)
    assert supervisor.recv(100) == ALIVE


async def test_a_bridge_gives_signs_of_life_before_it_is_ready_and_as_it_begins_to_end(
    supervisor: socket.socket, tmp_path: Path
) -> None:
    Authority(tmp_path).enrol(tmp_path / "trust")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # no hub listens there
        settings = Settings(
            robot_id=RobotId("r1"),
            nats_url=f"nats://127.0.0.1:{nobody.getsockname()[1]}",
            credentials=tmp_path / "none.creds",
            state_dir=tmp_path / "state",
            trust_dir=tmp_path / "trust",
            ready_offline_after_s=600.0,
        )
        serving = asyncio.ensure_future(serve(settings))
        assert await asyncio.to_thread(supervisor.recv, 100) == ALIVE
        await cancelled({serving})
        assert await asyncio.to_thread(supervisor.recv, 100) == ALIVE
