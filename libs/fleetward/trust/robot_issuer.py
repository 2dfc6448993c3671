"""Makes robots' credentials with a key that can make nothing else.

The server knows it as a signing key of the robots' account with the robots' permissions in it: whoever
has it can be any robot, and nobody else. It is another key than the one that enrols, so taking it away
(its file, and a start of the system) ends what it issued and nothing that was enrolled.
"""

from __future__ import annotations

from pathlib import Path

from fleetward.contracts.ids import RobotId, robot_id
from fleetward.contracts.robot_keys import RobotKey
from fleetward.trust import nats_jwt
from fleetward.trust.errors import KeyMissingError
from fleetward.trust.nats_jwt import KeyPair, MalformedTokenError


class RobotIssuer:
    """``account``: the public key of the robots' account."""

    def __init__(self, signer: KeyPair, account: str) -> None:
        self._signer = signer
        self._account = account

    @classmethod
    def load(cls, seed: Path, account: str) -> RobotIssuer:
        """Raises KeyMissingError."""
        try:
            return cls(nats_jwt.key_of(seed.read_bytes().strip()), account)
        except (OSError, MalformedTokenError) as problem:
            raise KeyMissingError(
                f"{seed} holds no key to issue robots' credentials with: {problem!r}."
            ) from problem

    def token(self, robot: RobotId, key: RobotKey) -> str:
        """The JWT of ``key``, the same whenever it is made; raises InvalidIdError."""
        expires_at = int(key.expires_at.timestamp()) if key.expires_at else None
        # The server expands the name into subjects, whoever's it is.
        claims = nats_jwt.user_claims(key.public_key, robot_id(robot), self._account, expires_at)
        return nats_jwt.signed(claims, self._signer, int(key.issued_at.timestamp()))
