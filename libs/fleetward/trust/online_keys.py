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

    def __init__(self, keys: Sequence[SigningKey], directory: Path | None = None) -> None:
        self._keys = _by_public_bytes(keys)
        self._directory = directory

    @classmethod
    def load(cls, directory: Path) -> OnlineKeys:
        """Every ``*.key`` of ``directory``, also one that is put there later.

        Raises SigningKeyError, KeyMissingError.
        """
        keys = _keys_in(directory)
        if not keys:
            raise KeyMissingError(f"no key (*.key) in {directory}. Make them: fleetward keys init")
        return cls(keys, directory)

    def of(self, root: Root, role: str) -> SigningKey:
        """The key that signs for ``role`` under this root; raises KeyMissingError."""
        held = self._held(root, role)
        if held is None and self._directory is not None:
            self._keys = _by_public_bytes(_keys_in(self._directory))
            held = self._held(root, role)
        if held is not None:
            return held
        named = ", ".join(key.keyid[:16] for key in keys_of(root, role))
        raise KeyMissingError(
            f"root v{root.version} lets {named} sign as {role}, and no such key is at hand. "
            "Put its key file beside the others."
        )

    def _held(self, root: Root, role: str) -> SigningKey | None:
        found = (self._keys.get(key.public_bytes) for key in keys_of(root, role))
        return next((key for key in found if key is not None), None)

    def signer(self, root: Root, role: str) -> MetadataSigner:
        """Signs metadata of ``role``; raises KeyMissingError."""
        return MetadataSigner(self.of(root, role))

    def check(self, root: Root) -> None:
        """Raises KeyMissingError unless every online role can be signed under this root."""
        for role in ONLINE_ROLES:
            self.of(root, role)


def _keys_in(directory: Path) -> list[SigningKey]:
    return [SigningKey.load(path) for path in sorted(directory.glob("*.key"))]


def _by_public_bytes(keys: Sequence[SigningKey]) -> dict[bytes, SigningKey]:
    return {key.public_bytes: key for key in keys}
