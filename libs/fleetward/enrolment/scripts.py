"""How each step is done on a robot, as a POSIX shell script; ``$staged`` is what was sent beforehand.

A file is written beside its place, synced, renamed, and its directory synced: also after a power cut
it is the old one or the new one.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from fleetward.enrolment.steps import (
    EnableUnit,
    Install,
    MakeAccount,
    MakeDirectory,
    PointLink,
    PushWheel,
    PutFile,
    ReloadUnits,
    RemoveAccount,
    RemoveTree,
    RestartUnit,
    RobotStep,
    StopUnit,
)
from fleetward.releases.extras import modules_of
from fleetward.releases.identity import FILE, written
from fleetward.releases.unpacking import UNPACK

_HEAD = "set -eu; umask 022; PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH LC_ALL=C"
LOG_LINES = 15


def script_of(step: RobotStep | PushWheel, staged: str = "") -> str:
    """What a shell with the needed rights is to read; it ends with 0 only if all was done."""
    lines = _WRITERS[type(step)](step)
    return "\n".join([_HEAD, f"staged={shlex.quote(staged)}", lines, ""])


def _account(step: MakeAccount) -> str:
    groups = f"--groups {shlex.quote(','.join(step.groups))} " if step.groups else ""
    return (
        f"useradd --system --user-group --home-dir {shlex.quote(step.home)} --no-create-home "
        f"--shell /usr/sbin/nologin {groups}{shlex.quote(step.name)}"
    )


def _directory(step: MakeDirectory) -> str:
    path = shlex.quote(step.path)
    return (
        f"install -d -m {step.mode} -o {shlex.quote(step.owner)} {path}\n"
        f"sync {shlex.quote(_parent(step.path))}"
    )


def _file(step: PutFile) -> str:
    partial = shlex.quote(f"{step.path}.partial")
    return "\n".join(
        [
            f"mkdir -p {shlex.quote(_parent(step.path))}",
            f"rm -f {partial}",
            f'install -m {step.mode} -o {shlex.quote(step.owner)} "$staged" {partial}',
            *_into_place(step.path),
        ]
    )


def _wheel(step: PushWheel) -> str:
    partial = shlex.quote(f"{step.path}.partial")
    folder = _parent(step.path)
    half = shlex.quote(f"{_parent(folder)}/.partial-{step.wheel.folder}")
    return "\n".join(
        [
            f'[ "$(stat -c %s "$staged")" = {step.wheel.size_bytes} ]',
            f"rm -rf {half} {shlex.quote(folder)} {partial}",
            f"mkdir {half}",
            f'install -m 644 "$staged" {half}/{shlex.quote(step.wheel.filename)}',
            f"sync {half}/*",
            f"mv -T {half} {shlex.quote(folder)}",
            f"sync {shlex.quote(_parent(folder))}",
        ]
    )


_COMPILED = (
    "edge_bridge.bridge",
    "edge_bridge.workers.worker",
    *("edge_bridge.backends.onnx_backend", "edge_bridge.workers.distance"),
    *("edge_bridge.workers.serving", "onnxruntime"),
    *("edge_bridge.fetching.arrival", "edge_bridge.fetching.transfer", "aiohttp"),
    *("mcap.reader", "mcap.writer"),
)
"""With what a robot at rest does not hold, and loads when it fetches, serves or records."""


def _install(step: Install) -> str:
    release, marker = shlex.quote(step.release), shlex.quote(step.marker)
    system = "--system-site-packages " if step.system_packages else ""
    wheels = " ".join(map(shlex.quote, step.wheels))
    compiled = ", ".join((*_COMPILED, *modules_of(step.extras)))
    return "\n".join(
        [
            f"rm -rf {release}",
            f"{shlex.quote(step.python)} -m venv --without-pip {system}{release}",
            f"{release}/bin/python -I -c {shlex.quote(UNPACK)} {wheels}",
            # Compiles what the bridge imports, once and for an account that may not write here.
            f"env -u PYTHONDONTWRITEBYTECODE {release}/bin/python -c 'import {compiled}'",
            *_identified(step),
            f"sync -f {release}",
            f"date -u >{marker}.partial",
            *_into_place(step.marker),
        ]
    )


def _identified(step: Install) -> list[str]:
    if step.identity is None:
        return []
    path = shlex.quote(f"{step.release}/{FILE}")
    return [f"printf %s {shlex.quote(written(step.identity))} >{path}"]


def _link(step: PointLink) -> str:
    partial = shlex.quote(f"{step.path}.partial")
    return "\n".join(
        [
            f"ln -sfn {shlex.quote(step.target)} {partial}",
            f"mv -fT {partial} {shlex.quote(step.path)}",
            f"sync {shlex.quote(_parent(step.path))}",
        ]
    )


def _restart(step: RestartUnit) -> str:
    unit = shlex.quote(step.unit)
    return (
        f"systemctl restart {unit} || {{ "
        f"systemctl status --no-pager --lines={LOG_LINES} {unit} >&2 || true; exit 1; }}"
    )


def _into_place(path: str) -> list[str]:
    partial = shlex.quote(f"{path}.partial")
    return [
        f"sync {partial}",
        f"mv -fT {partial} {shlex.quote(path)}",
        f"sync {shlex.quote(_parent(path))}",
    ]


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


_WRITERS: Mapping[type, Callable[[Any], str]] = {  # each takes its own key
    MakeAccount: _account,
    MakeDirectory: _directory,
    PutFile: _file,
    PushWheel: _wheel,
    Install: _install,
    PointLink: _link,
    ReloadUnits: lambda _: "systemctl daemon-reload",
    EnableUnit: lambda step: f"systemctl enable --quiet {shlex.quote(step.unit)}",
    RestartUnit: _restart,
    StopUnit: lambda step: f"systemctl disable --quiet --now {shlex.quote(step.unit)}",
    RemoveTree: lambda step: f"rm -rf {shlex.quote(step.path)}",
    RemoveAccount: lambda step: f"userdel {shlex.quote(step.name)}",
}
