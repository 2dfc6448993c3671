"""What a bridge knows of the launcher that started it; without one it cannot start another release."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_bridge.errors import TrialFailedError
from fleetward.bus.logs import log
from fleetward.bus.readiness import calm_watchdog
from fleetward.contracts.ids import Digest
from fleetward.releases import launch
from fleetward.releases.identity import FILE, Identity, identity_in
from fleetward.releases.launch import Choice, Place

_logger = logging.getLogger(__name__)

GIVE_UP_BEFORE_S = 10.0
"""A release on trial gives up by itself a little before it is killed: then it can say why."""


class Launched:
    """``argv``: what this process becomes to have a release started. ``name``: the one it is; empty: the
    one that the robot was enrolled with, which is ``enrolled`` where the registry knows it."""

    def __init__(
        self,
        place: Place,
        argv: Sequence[str],
        name: str,
        trial_s: float = launch.TRIAL_S,
        enrolled: Identity | None = None,
    ) -> None:
        self.place = place
        self.name = name
        self.enrolled = enrolled
        self.leaving = asyncio.Event()
        """Set once another release is to be started."""
        self._argv = argv
        self._trial_s = trial_s
        choice = place.read()
        self.on_trial = bool(name) and choice.trial == name
        self._trial = choice

    @property
    def digest(self) -> Digest | None:
        """Of the release that this is; None: enrolment brought it, and the registry does not know it."""
        if not self.name and self.enrolled is not None:
            return self.enrolled.digest
        return digest_of(self.name)

    @property
    def asked_s(self) -> float:
        """When the bridge before this one began to make way, by the monotonic clock."""
        return self._trial.asked_s

    def proved(self) -> None:
        """The release on trial is the robot's own from here on. Blocks for an fsync; raises OSError."""
        self.place.change(lambda now: launch.proved(now) if now.trial == self.name != "" else now)
        self.on_trial = False

    def settle(self) -> None:
        """This bridge is ready: its start counts as good. Blocks for an fsync."""
        try:
            self.place.change(launch.settled)
        except OSError as problem:  # the next start is counted with this one; the robot serves
            log(_logger, "bridge.unsettled", level=logging.ERROR, reason=str(problem))

    def choose(self, name: str) -> None:
        """Have ``name`` tried when the launcher runs next; empty: the robot's own. Raises OSError."""
        self.place.change(lambda now: launch.on_trial(now, name, time.monotonic()))

    def failed(self, reason: str) -> None:
        """We are on trial and no good: have the robot's own started, with a word of why. Raises OSError."""
        self.place.change(lambda now: launch.left(now, reason) if now.trial == self.name else now)
        self.leaving.set()

    def refuse_without(self, model: str, reason: str) -> None:
        """Raise TrialFailedError on a trial: what the robot served has to be served again."""
        if self.on_trial:
            raise TrialFailedError(f"it does not serve {model} as the release before did: {reason}")

    def refuse_late(self, reason: str) -> None:
        """Raise TrialFailedError shortly before the launcher's patience ends."""
        patience_s = max(self._trial_s - GIVE_UP_BEFORE_S, self._trial_s / 2)
        if self.on_trial and time.monotonic() - self._trial.began_s >= patience_s:
            raise TrialFailedError(f"it was not proved within {patience_s:g} s: {reason}")

    def become_launcher(self) -> None:
        """Never returns. Raises OSError where the launcher is gone.

        The watchdog goes on counting: from here, until the next bridge gives signs of life.
        """
        calm_watchdog()
        os.execv(self._argv[0], list(self._argv))  # noqa: S606 (becomes it)

    def choice(self) -> Choice:
        """What was decided about releases, as of now."""
        return self.place.read()


def launched_by(environment: Mapping[str, str]) -> Launched | None:
    """None: nobody who could start another release started this one."""
    argv = shlex.split(environment.get(launch.LAUNCHED_BY, ""))
    if not argv:
        return None
    *_, state_dir, enrolled = argv
    name, trial_s = environment.get(launch.RELEASE, ""), launch.trial_s_of(environment)
    return Launched(Place(Path(state_dir)), argv, name, trial_s, _identity_of(Path(enrolled)))


def _identity_of(environment: Path) -> Identity | None:
    """None: enrolment installed what no release names, or the file cannot be read as one."""
    try:
        return identity_in((environment / FILE).read_bytes())
    except OSError:
        return None


def digest_of(name: str) -> Digest | None:
    """Of a release by its name; None for the one of the enrolment."""
    return Digest(f"sha256:{name}") if name else None


def name_of(digest: Digest | None) -> str:
    """What a release of this digest is called on the robot."""
    return digest.partition(":")[2] if digest else ""
