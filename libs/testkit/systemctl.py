"""A small stand-in for systemctl where no systemd runs: it really starts and stops one unit's program.

Copied onto a PATH as ``systemctl`` by ``install``; it imports nothing of ours. What it holds of systemd:
a unit counts as it was at the last daemon-reload; Type=notify, so a start is over at READY=1 or fails;
EnvironmentFile, WorkingDirectory, WATCHDOG_USEC; SIGTERM and a wait at a stop. What it does not:
restarts, a watchdog that kills, accounts, sandboxes, control groups. What was asked is written to
``calls``, and that the program gave a sign of life, to ``alive``.
"""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

STATE_DIR = "run/systemctl"
START_TIMEOUT_S = 60.0


def install(programs: Path, root: Path) -> None:
    """Put a ``systemctl`` for the machine below ``root`` into ``programs``."""
    (root / STATE_DIR).mkdir(parents=True)
    script = programs / "systemctl"
    source = shlex.quote(__file__)
    script.write_text(
        f'#!/bin/sh\nexec {sys.executable} -IS {source} {shlex.quote(str(root))} "$@"\n'
    )
    script.chmod(0o755)


class Machine:
    """Everything that is known of one unit, in files below ``root``."""

    def __init__(self, root: Path, unit: str) -> None:
        self.root = root
        self.state = root / STATE_DIR
        self.file = root / "etc/systemd/system" / unit
        self.loaded = self.state / "loaded"
        self.enabled = self.state / "enabled"
        self.pid_file = self.state / "pid"

    @property
    def pid(self) -> int:
        """The running program, or 0."""
        try:
            pid = int(self.pid_file.read_text())
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return 0
        return 0 if stat.rpartition(")")[2].split()[0] == "Z" else pid

    def is_stale(self) -> bool:
        """The file is not what was loaded."""
        return _content(self.file) != _content(self.loaded)

    def reload(self) -> int:
        """Read the unit file, or forget it."""
        if self.file.exists():
            shutil.copyfile(self.file, self.loaded)
        else:
            self.loaded.unlink(missing_ok=True)
        return 0

    def enable(self) -> int:
        """It starts with the machine, which it would if this were one."""
        self.enabled.touch()
        return 0

    def disable(self) -> int:
        """As ``disable --now``."""
        self.enabled.unlink(missing_ok=True)
        return self.stop()

    def restart(self) -> int:
        """Stop, then start."""
        self.stop()
        return self.start()

    def start(self) -> int:
        """Start the loaded unit; 0 when it said READY=1 and gave its first sign of life."""
        unit = _settings(self.loaded)
        name = f"systemctl-{os.getpid()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard, _log(self.state) as log:
            heard.bind("\0" + name)
            process = subprocess.Popen(
                shlex.split(unit["ExecStart"]),
                cwd=unit["WorkingDirectory"],
                env={
                    "PATH": "/usr/bin:/bin",
                    **_settings(Path(unit["EnvironmentFile"])),
                    "NOTIFY_SOCKET": f"@{name}",
                    "WATCHDOG_USEC": str(int(unit["WatchdogSec"]) * 1_000_000),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self.pid_file.write_text(str(process.pid))
            return self._until_alive(heard, process)

    def _until_alive(self, heard: socket.socket, process: subprocess.Popen[bytes]) -> int:
        wanted, deadline_s = [b"READY=1", b"WATCHDOG=1"], time.monotonic() + START_TIMEOUT_S
        gone = os.pidfd_open(process.pid)
        while wanted:
            left_s = deadline_s - time.monotonic()
            ready, _, _ = select.select([heard.fileno(), gone], [], [], max(left_s, 0))
            if heard.fileno() not in ready:
                self.stop()
                return 1
            said = heard.recv(4096).splitlines()
            wanted = [state for state in wanted if state not in said]
        (self.state / "alive").touch()
        return 0

    def stop(self) -> int:
        """Stop it, and return when it is gone."""
        pid = self.pid
        if pid:
            gone = os.pidfd_open(pid)
            os.kill(pid, signal.SIGTERM)
            select.select([gone], [], [], START_TIMEOUT_S)
        self.pid_file.unlink(missing_ok=True)
        return 0

    def status(self) -> int:
        """The program's last words."""
        log = self.state / "log"
        _say(log.read_text()[-2000:] if log.exists() else "no log")
        return 0


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _settings(path: Path) -> dict[str, str]:
    lines = (line for line in path.read_text().splitlines() if line and line[0] not in "#[")
    pairs = (line.partition("=") for line in lines)
    return {
        name: "".join(shlex.split(value)) if '"' in value else value for name, _, value in pairs
    }


def _log(state: Path) -> BinaryIO:
    return (state / "log").open("ab")


def _told(answer: bool, word: str, other: str) -> int:
    _say(word if answer else other)
    return 0 if answer else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main(root: str, verb: str, *words: str) -> int:
    """One call."""
    unit = next((word for word in words if not word.startswith("-")), "")
    machine = Machine(Path(root), unit or "fleetward-bridge.service")
    with (machine.state / "calls").open("a") as journal:
        journal.write(" ".join((verb, *words)) + "\n")
    calls = {
        "is-active": lambda: _told(bool(machine.pid), "active", "inactive"),
        "is-enabled": lambda: _told(machine.enabled.exists(), "enabled", "disabled"),
        "show": lambda: _told(machine.is_stale(), "yes", "no"),
        "daemon-reload": machine.reload,
        "enable": machine.enable,
        "restart": machine.restart,
        "disable": machine.disable,
        "status": machine.status,
    }
    return calls[verb]()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
