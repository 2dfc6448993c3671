"""Starts a robot's bridge: the release on trial, its own, the one before, or the one it was enrolled with.

``launch.py STATE_DIR ENROLLED``; ENROLLED is the environment that enrolment made. This program becomes
the bridge (execve), so that the bridge is the process which the service manager knows. It belongs to no
release: enrolment puts it on the robot, and no release can break it. Standard library alone.

A release on trial that is not proved after ``STARTS_OF_TRIAL`` starts or ``TRIAL_S`` is left for the
robot's own. What was decided is on the disk before anything is started by it.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

STARTS_OF_TRIAL = 2
"""The first may have met a power cut."""
STARTS_OF_OWN = 5
"""In a row, none of which came so far as to be ready."""
TRIAL_S = 120.0
LOOK_S = 1.0
"""How often it is looked whether a trial is over."""
MAX_REASON_CHARACTERS = 1_000
LAUNCHED_BY = "FLEETWARD_LAUNCHED_BY"
"""What a bridge replaces itself with to have another release started; words of a shell."""
RELEASE = "FLEETWARD_RELEASE"
"""Which release was started; empty: the one it was enrolled with."""
TRIAL_LIMIT = "FLEETWARD_TRIAL_S"


class Choice(NamedTuple):
    """Releases by name; empty: the one it was enrolled with, for a trial: none is on trial.

    Fields may be added; a program that does not know them leaves them out.
    """

    enrolled: str = ""
    """Which environment enrolment had made when the rest was decided."""
    own: str = ""
    before: str = ""
    """What was its own before."""
    trial: str = ""
    starts: int = 0
    """Of the trial, or of the own since one was last ready."""
    boot: str = ""
    """The machine's newest boot in which the trial was started."""
    began_s: float = 0.0
    """When it was started first in that boot, by its monotonic clock."""
    asked_s: float = 0.0
    """When, by that clock, the bridge before began to make way."""
    left: str = ""
    """A release that was left, until the bridge wrote its report."""
    reason: str = ""
    """Why."""
    was_own: bool = False
    """Whether the one that was left had been proved before."""


class Moment(NamedTuple):
    """When and where a start is decided. trial_s: how long a trial may take."""

    enrolled: str
    boot: str
    now_s: float
    trial_s: float = TRIAL_S


def decided(choice: Choice, at: Moment, is_whole: Callable[[str], bool]) -> tuple[Choice, str]:
    """What to remember and what to start. is_whole: whether a release can be started at all."""
    if choice.enrolled != at.enrolled:  # somebody enrolled the robot anew: that is the newer word
        choice = Choice(enrolled=at.enrolled)
    if choice.trial and (why := why_left(choice, at, is_whole)):
        choice = left(choice, why)
    if choice.trial:
        begun = choice if choice.boot == at.boot else _begun(choice, at)
        return begun._replace(starts=choice.starts + 1), choice.trial
    while choice.own and (why := _why_own_left(choice, is_whole)):
        choice = _fallen(choice, why)
    return choice._replace(starts=choice.starts + 1), choice.own


def _begun(choice: Choice, at: Moment) -> Choice:
    """The trial's time begins: no other boot's clock says anything in this one."""
    asked_s = choice.asked_s if not choice.starts else 0.0
    return choice._replace(boot=at.boot, began_s=at.now_s, asked_s=asked_s)


def why_left(choice: Choice, at: Moment, is_whole: Callable[[str], bool]) -> str:
    """Why the release on trial is not started again; empty: it is."""
    if not is_whole(choice.trial):
        return "its environment is damaged"
    if choice.starts and choice.boot == at.boot and at.now_s - choice.began_s >= at.trial_s:
        return f"it was not proved within {at.trial_s:g} s"
    if choice.starts >= STARTS_OF_TRIAL:
        return f"it was started {choice.starts} times and ended each time before it was proved"
    return ""


def on_trial(choice: Choice, name: str, now_s: float = 0.0) -> Choice:
    """``name`` is started next, and has to prove itself; empty: nothing is on trial any more."""
    return choice._replace(trial=name, starts=0, boot="", began_s=0.0, asked_s=now_s)


def proved(choice: Choice) -> Choice:
    """The release on trial is the robot's own from here on."""
    before = choice.before if choice.trial == choice.own else choice.own
    return on_trial(choice, "")._replace(own=choice.trial, before=before)


def left(choice: Choice, reason: str) -> Choice:
    """The release on trial is the robot's own no more than it was."""
    said = reason[:MAX_REASON_CHARACTERS]
    return on_trial(choice, "")._replace(left=choice.trial, reason=said, was_own=False)


def reported(choice: Choice) -> Choice:
    """The bridge wrote down that a release was left."""
    return choice._replace(left="", reason="", was_own=False)


def settled(choice: Choice) -> Choice:
    """The robot's own is ready, or was stopped in order."""
    return choice if choice.trial else choice._replace(starts=0)


def _why_own_left(choice: Choice, is_whole: Callable[[str], bool]) -> str:
    if not is_whole(choice.own):
        return "its environment is damaged"
    if choice.starts >= STARTS_OF_OWN:
        return f"it was started {choice.starts} times and was never ready"
    return ""


def _fallen(choice: Choice, reason: str) -> Choice:
    ended = on_trial(choice, "")
    return ended._replace(
        own=choice.before, before="", left=choice.own, reason=reason, was_own=True
    )


class Place:
    """Where a robot keeps releases and what was decided about them, below its state directory."""

    def __init__(self, state: Path) -> None:
        self.directory = state / "bridge"
        self.releases = self.directory / "releases"
        self._file = self.directory / "choice.json"
        self._turn = threading.Lock()

    def release(self, name: str) -> Path:
        """A release's environment."""
        return self.releases / name

    def complete(self, name: str) -> Path:
        """Written last into an environment: without it, what is there is half an installation."""
        return self.release(name) / "complete"

    def python(self, name: str) -> Path:
        """What runs a release."""
        return self.release(name) / "bin" / "python"

    def is_whole(self, name: str) -> bool:
        """Whether it can be started."""
        return self.complete(name).exists() and os.access(self.python(name), os.X_OK)

    def read(self) -> Choice:
        """What was decided; nothing, where the file is missing or cannot be read as one."""
        try:
            found = json.loads(self._file.read_bytes())
            return Choice(
                **{name: _typed(name, found[name]) for name in Choice._fields if name in found}
            )
        except (OSError, ValueError, TypeError, RecursionError):
            return Choice()

    def write(self, choice: Choice) -> None:
        """Durable when this returns; raises OSError and changes nothing."""
        self.directory.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_name("choice.json.partial")
        with partial.open("wb") as file:
            file.write(json.dumps(choice._asdict()).encode())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._file)
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def change(self, change: Callable[[Choice], Choice]) -> Choice:
        """Read, change, and write where that changed anything, one after the other; raises OSError."""
        with self._turn:
            was = self.read()
            now = change(was)
            if now != was:
                self.write(now)
        return now


def _typed(name: str, value: Any) -> Any:  # noqa: ANN401 (of JSON; a field has its default's type)
    wanted = type(Choice._field_defaults[name])
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise TypeError(name)
    return value


def _choose(place: Place, at: Moment) -> str:
    """What to start now. Where that cannot be written down, nothing is tried that was not proved."""
    choice = place.read()
    remembered, name = decided(choice, at, place.is_whole)
    try:
        if remembered != choice:
            place.write(remembered)
    except OSError as problem:
        _say(f"what is started cannot be written down: {problem}. Free space on the robot's disk.")
        return choice.own if place.is_whole(choice.own) else ""
    return name


def _launch(state: Path, enrolled: Path, argv: list[str]) -> NoReturn:
    place = Place(state)
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _say(f"another bridge runs in {state}. Stop it, or give this robot its own.")
            sys.exit(1)
        at = Moment(os.path.realpath(enrolled), _boot(), time.monotonic(), trial_s_of(os.environ))
        name = _choose(place, at)
    if name and place.read().trial == name:
        _watch(place, name, at)
    python = str(place.python(name) if name else enrolled / "bin" / "python")
    environment = {**os.environ, LAUNCHED_BY: shlex.join(argv), RELEASE: name}
    os.execve(python, [python, "-m", "edge_bridge"], environment)  # noqa: S606 (that is what it is for)


def _watch(place: Place, name: str, at: Moment) -> None:
    """Leave a process behind that kills this one, unless the trial is over in time."""
    watched = os.pidfd_open(os.getpid())
    child = os.fork()
    if child:
        os.close(watched)
        os.waitpid(child, 0)
        return
    if os.fork():
        os._exit(0)  # whoever watches is no child of the bridge
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    ends_s = place.read().began_s + at.trial_s
    while place.read().trial == name:
        if select.select([watched], [], [], LOOK_S)[0]:
            break
        if time.monotonic() >= ends_s:
            signal.pidfd_send_signal(watched, signal.SIGKILL)
            break
    os._exit(0)


def trial_s_of(environment: Mapping[str, str]) -> float:
    """How long a trial may take; what is no number counts as not said."""
    try:
        return float(environment.get(TRIAL_LIMIT, "") or TRIAL_S)
    except ValueError:
        return TRIAL_S


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _say(line: str) -> None:
    sys.stderr.write(f"launch: {line}\n")


def main(argv: list[str]) -> NoReturn:
    """Become the bridge."""
    state, enrolled = argv[1:]
    words = [sys.executable, "-IS", str(Path(argv[0]).absolute()), state, enrolled]
    _launch(Path(state), Path(enrolled), words)


if __name__ == "__main__":
    main(sys.argv)
