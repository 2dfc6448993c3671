"""A robot behind a bad link: its process alone in a network of its own, and every packet in our hands.

Two TUN devices, one in the robot's network namespace and one in ours, and a thread between them that
carries IP packets at a rate, late, in a bounded queue, or not at all. So the robot's and the hub's own
kernels see real loss, real delay and a real change of address; 127.0.0.1 on the robot leads to ours,
where servers bind loopback as ever. Needs root, /dev/net/tun, ``ip`` and ``nsenter``; kernels need no
netem for it, which small ones lack.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from fleetward.local.child import Child, Command
from testkit.packets import Conditions, Pump

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_INTERFACE = struct.Struct("16sH14x")
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
"""Where Debian keeps them from people who are not root."""
_NETWORKS = 256
_ADDRESSES = range(2, 7)
"""Of a robot, one after the other, in a network of eight."""
_NOTIFICATION_BYTES = 4096
_ROBOT = "robot"
"""Its device's name, the only one in its namespace."""


class BadLink:
    """One robot's way to the hub. ``set`` changes how bad it is, at any time; perfect at first."""

    def __init__(self, pump: Pump, namespace: int, network: str) -> None:
        self._pump = pump
        self._namespace = f"/proc/{os.getpid()}/fd/{namespace}"
        self._network = network
        self._addresses = iter(_ADDRESSES)
        self._address = self._take_address()
        self._listeners: list[socket.socket] = []

    @property
    def conditions(self) -> Conditions:
        """How bad it is now, each way."""
        return self._pump.conditions

    def set(self, **changes: float | None) -> None:
        """Change some of the conditions from the next packet on."""
        self._pump.conditions = replace(self._pump.conditions, **changes)

    def mend(self) -> None:
        """Perfect from now on."""
        self._pump.conditions = Conditions()

    def carried_bytes(self) -> tuple[int, int]:
        """How many bytes were carried from the robot and to it, packets whole."""
        return self._pump.carried_bytes

    def move(self) -> None:
        """Give the robot another address: what it had open is dead, and nobody is told."""
        old = self._address
        self._address = self._take_address()
        self._ip("address", "del", f"{old}/32", "dev", _ROBOT)

    def launch(self, command: Command) -> Child:
        """``Child.start`` behind this link."""
        inside = [_program("nsenter"), f"--net={self._namespace}", *command.arguments]
        environment = {**command.environment, **self._notifying(command)}
        return Child.start(replace(command, arguments=inside, environment=environment))

    def close(self) -> None:
        """Nobody is heard through it any more."""
        for listener in self._listeners:
            asyncio.get_event_loop().remove_reader(listener)
            listener.close()

    def _notifying(self, command: Command) -> dict[str, str]:
        """An abstract socket belongs to one network: the robot writes to one with a path, read here."""
        wanted = command.environment.get("NOTIFY_SOCKET", "")
        if not wanted.startswith("@"):
            return {}
        path = command.directory / f"notify-{len(self._listeners)}"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(str(path))
        speaker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

        def forward() -> None:
            with suppress(OSError):  # whoever waited has heard enough
                speaker.sendto(listener.recv(_NOTIFICATION_BYTES), f"\0{wanted[1:]}")

        asyncio.get_running_loop().add_reader(listener, forward)
        self._listeners += (listener, speaker)
        return {"NOTIFY_SOCKET": str(path)}

    def _take_address(self) -> str:
        address = f"{self._network}.{next(self._addresses)}"
        self._ip("address", "add", f"{address}/32", "dev", _ROBOT)
        self._ip("link", "set", _ROBOT, "up")
        self._ip("route", "replace", "127.0.0.1/32", "dev", _ROBOT, "src", address)
        return address

    def _ip(self, *arguments: str) -> None:
        _run("nsenter", f"--net={self._namespace}", _program("ip"), *arguments)


@contextmanager
def bad_link(seed: int = 1) -> Iterator[BadLink]:
    """A link for one robot; skips the test where none can be made. ``seed``: of what is lost."""
    if os.geteuid() or not os.access("/dev/net/tun", os.W_OK):
        pytest.skip("a bad link needs root and /dev/net/tun")
    name, network = f"fw{os.getpid()}", None
    try:
        ours = _tun(name)
        theirs, namespace = _namespace_with_tun()
        network = _join(name)
    except (OSError, subprocess.CalledProcessError) as problem:
        pytest.skip(f"a network namespace with a TUN device is not allowed here: {problem}")
    pump = Pump(theirs, ours, seed)
    link = BadLink(pump, namespace, network)
    try:
        yield link
    finally:
        link.close()
        pump.stop()
        for descriptor in (ours, theirs, namespace):  # the last one that holds a device ends it
            os.close(descriptor)


def _join(name: str) -> str:
    """Lead a network that nobody here has to our device; its first three numbers."""
    _run("ip", "link", "set", name, "up")
    _accept_loopback(name)
    for number in range(_NETWORKS):
        network = f"10.213.{(os.getpid() + number) % _NETWORKS}"
        try:
            _run("ip", "route", "add", f"{network}.0/29", "dev", name)
        except subprocess.CalledProcessError:
            continue
        return network
    raise OSError(f"all of 10.213.0.0/16 is taken, up to {_NETWORKS} networks")


def _namespace_with_tun() -> tuple[int, int]:
    """The robot's end and its namespace, which lives as long as they are open."""
    made: list[int | OSError] = []

    def inside() -> None:
        """In a thread: a namespace is a thread's, and this one ends with what it made."""
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "unshare")
            made.append(_tun(_ROBOT))
            _accept_loopback(_ROBOT)
            made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        except OSError as problem:
            made.append(problem)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    descriptors = [each for each in made if isinstance(each, int)]
    for each in made:
        if isinstance(each, OSError):
            raise each
    theirs, namespace = descriptors
    return theirs, namespace


def _tun(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    request = _INTERFACE.pack(name.encode("ascii"), _IFF_TUN | _IFF_NO_PI)
    fcntl.ioctl(descriptor, _TUNSETIFF, request)
    return descriptor


def _accept_loopback(name: str) -> None:
    """127.0.0.1 may be at the other end of this device."""
    Path(f"/proc/sys/net/ipv4/conf/{name}/route_localnet").write_text("1")


def _program(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise FileNotFoundError(name)
    return found


def _run(program: str, *arguments: str) -> None:
    subprocess.run([_program(program), *arguments], check=True, capture_output=True)
