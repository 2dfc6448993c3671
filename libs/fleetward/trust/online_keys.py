"""The registry's private keys: every key file of one directory, used where the root names it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tuf.api.metadata import Root

from fleetward.trust.errors import KeyMissingError
from fleetward.trust.metadata_keys import MetadataSigner
from fleetward.trust.roles import ONLINE_ROLES
from fleetward.trust.roots import keys_of
from fleetward.trust.signing import SigningKey


class OnlineKeys:
    """Keys of today and, while a rotation is under way, of tomorrow."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        self._keys = {key.public_bytes: key for key in keys}

    @classmethod
    def load(cls, directory: Path) -> OnlineKeys:
        """Every ``*.key`` of ``directory``; raises SigningKeyError, KeyMissingError."""
        paths = sorted(directory.glob("*.key"))
        if not paths:
            raise KeyMissingError(f"no key (*.key) in {directory}. Make them: fleetward keys init")
        return cls([SigningKey.load(path) for path in paths])

    def of(self, root: Root, role: str) -> SigningKey:
        """The key that signs for ``role`` under this root; raises KeyMissingError."""
        for key in keys_of(root, role):
            held = self._keys.get(key.public_bytes)
            if held is not None:
                return held
        named = ", ".join(key.keyid[:16] for key in keys_of(root, role))
        raise KeyMissingError(
            f"root v{root.version} lets {named} sign as {role}, and no such key is at hand. "
            "Put its key file beside the others."
        )

    def signer(self, root: Root, role: str) -> MetadataSigner:
        """Signs metadata of ``role``; raises KeyMissingError."""
        return MetadataSigner(self.of(root, role))

    def check(self, root: Root) -> None:
        """Raises KeyMissingError unless every online role can be signed under this root."""
        for role in ONLINE_ROLES:
            self.of(root, role)
