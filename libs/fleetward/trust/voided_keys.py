"""Keys that the server lets in no more: taken away by people for good, or replaced by their own robot.

Two files, since they weigh differently: what people took away is void in every account, and its robot is
given another key at the next enrolment. What robots replaced is void among robots alone, since a service
names it; and a robot that did so is as it should be.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.robot_keys import RobotKeysChanged
from fleetward.trust.private_files import write_private

FOR_GOOD = int(datetime.max.replace(tzinfo=timezone.utc).timestamp())
"""Unix seconds: the server lets nobody in by a JWT that was issued before."""
REPLACED_KEPT = 20_000
"""Those that end first go first: they die without us. So many make an account of some 2 MB."""


class _Replaced(Struct, frozen=True, kw_only=True):
    """replaced.json. keys: public key -> (unix seconds of its end, 0 for never; of its replacement).
    alive_until: the key that a robot was enrolled with -> when the one that it has now ends. is_told:
    the server knows of all of them."""

    keys: dict[str, tuple[int, int]] = {}
    alive_until: dict[str, int] = {}
    is_told: bool = True


class VoidedKeys:
    """The two files in a directory of keys."""

    def __init__(self, directory: Path) -> None:
        self._taken_path = directory / "revoked.json"
        self._replaced_path = directory / "replaced.json"

    def taken(self) -> dict[str, int]:
        """What people took away -> unix seconds."""
        if not self._taken_path.exists():
            return {}
        taken: dict[str, int] = json.loads(self._taken_path.read_bytes())
        return taken

    def revocations(self, *, of_robots: bool) -> dict[str, int]:
        """For an account, whenever a JWT was issued: whoever issued it may have a clock of another time.

        of_robots: what robots replaced is void in it too.
        """
        replaced = self._replaced().keys if of_robots else ()
        return dict.fromkeys((*replaced, *self.taken()), FOR_GOOD)

    def take(self, public: str, now_s: int) -> None:
        """Void a key for good."""
        write_private(self._taken_path, json.dumps({**self.taken(), public: now_s}).encode())

    def alive_until(self, enrolled_key: str) -> int:
        """When the robot's newest key ends, unix seconds; 0: it never replaced the one it was enrolled with."""
        return self._replaced().alive_until.get(enrolled_key, 0)

    def follow(self, known: RobotKeysChanged, now_s: int) -> bool:
        """Void what this robot replaced; whether the server has something to learn, until ``told``."""
        current, held = known.key(known.current), self._replaced()
        if known.closed_at is not None or current is None or known.current == known.enrolled_key:
            return not held.is_told
        fresh = {
            key.public_key: (_seconds(key.expires_at), now_s)
            for key in known.keys
            if key.retired_at is not None and key.public_key not in held.keys
        }
        alive = {**held.alive_until, known.enrolled_key: _seconds(current.expires_at)}
        fresh = {key: ends for key, ends in fresh.items() if not 0 < ends[0] <= now_s}
        if fresh or alive != held.alive_until:
            kept = _bounded({**held.keys, **fresh}, now_s)
            held = replace(held, keys=kept, alive_until=alive, is_told=held.is_told and not fresh)
            self._write(held)
        return not held.is_told

    def told(self) -> None:
        """The server knows of everything that is void."""
        held = self._replaced()
        if not held.is_told:
            self._write(replace(held, is_told=True))

    def _write(self, held: _Replaced) -> None:
        write_private(self._replaced_path, msgspec.json.encode(held))

    def _replaced(self) -> _Replaced:
        if not self._replaced_path.exists():
            return _Replaced()
        return msgspec.json.decode(self._replaced_path.read_bytes(), type=_Replaced)


def _bounded(keys: dict[str, tuple[int, int]], now_s: int) -> dict[str, tuple[int, int]]:
    """Without those that ended, and of too many those that end last or never."""
    alive = [(key, ends) for key, ends in keys.items() if ends[0] == 0 or ends[0] > now_s]
    alive.sort(key=lambda each: each[1][0] or float("inf"), reverse=True)
    return dict(alive[:REPLACED_KEPT])


def _seconds(at: datetime | None) -> int:
    return int(at.timestamp()) if at is not None else 0
