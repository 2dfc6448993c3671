"""The registry's side: what is published becomes signed metadata, and stays signed.

Pure but for signing: the roles as they stand go in, the roles that change come out, to be stored
in one atomic batch. What stands is believed only under the keys of the root it was signed for, so
whoever can write to the store and holds no key gets nothing signed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Signed,
    Snapshot,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from fleetward.contracts.ids import Digest, ModelName, ModelRef, Version
from fleetward.contracts.trust import RoleName
from fleetward.trust.errors import TooMuchMetadataError, UntrustedMetadataError
from fleetward.trust.listing import Listed, listed_as, target_of
from fleetward.trust.online_keys import OnlineKeys
from fleetward.trust.roles import (
    MAX_METADATA_BYTES,
    MAX_MODELS,
    ONLINE_ROLES,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    TIMESTAMP_PERIOD_S,
    VALID_S,
    is_model_role,
    path_of,
    paths_in,
    role_of,
)
from fleetward.trust.roots import expiry, keys_of, read_root


class Repository:
    """The metadata of one system, being changed. ``roles``: what stands, of the roles it concerns.

    Without a ``timestamp`` in ``roles`` it begins anew. Raises UntrustedMetadataError when what
    stands was not signed by the root's keys.
    """

    def __init__(
        self, root: bytes, roles: Mapping[RoleName, bytes], keys: OnlineKeys, now: datetime
    ) -> None:
        self._root = read_root(root).signed
        self._keys = keys
        self._now = now
        self._changed: set[RoleName] = set()
        self._standing: dict[RoleName, int] = {}
        """The version of each role that is stored; absent: none is."""
        self._signed: dict[RoleName, Signed] = {}
        keys.check(self._root)
        if TIMESTAMP in roles:
            for role in ONLINE_ROLES:
                self._take(role, roles)
            for role in self._delegated() & set(roles):
                self._take(role, roles)
        else:
            self._begin()

    def versions(self, name: ModelName) -> dict[Version, Listed]:
        """What is listed of one model."""
        targets = self._model(role_of(name))
        return {
            Version(path.partition("/")[2]): listed_as(target)
            for path, target in (targets.targets if targets else {}).items()
        }

    def list_model(self, name: ModelName, versions: Mapping[Version, Listed]) -> None:
        """List exactly these versions of a model; raises TooMuchMetadataError."""
        role, wanted = role_of(name), dict(versions)
        known = self._model(role)
        if known is None:
            self._delegate(name)
            known = Targets(expires=self._now)
            self._signed[role] = known
        elif self.versions(name) == wanted:
            return
        paths = {path_of(ModelRef(name, version)): listed for version, listed in wanted.items()}
        known.targets = {path: target_of(path, listed) for path, listed in paths.items()}
        self._changed.add(role)

    def withdraw(self, digests: Collection[Digest]) -> None:
        """List these bytes no more, under whatever name. Needs every role."""
        for role, signed in self._signed.items():
            if is_model_role(role) and isinstance(signed, Targets):
                kept = {
                    path: target
                    for path, target in signed.targets.items()
                    if listed_as(target).digest not in digests
                }
                if len(kept) < len(signed.targets):
                    signed.targets = kept
                    self._changed.add(role)

    def standing(self) -> dict[RoleName, int]:
        """role -> the version that is stored; what an enrolment pins."""
        return dict(self._standing)

    def renew(self) -> None:
        """Let nothing expire: sign again what is in the second half of its time, and the timestamp."""
        for role, signed in self._signed.items():
            valid_s = VALID_S[TARGETS if is_model_role(role) else role]
            left_s = (signed.expires - self._now).total_seconds()
            due_s = valid_s - TIMESTAMP_PERIOD_S if role == TIMESTAMP else valid_s / 2
            if left_s <= due_s:
                self._changed.add(role)

    def follow(self, root: bytes) -> None:
        """Go over to a later root: what its keys did not sign is signed anew. Needs every role."""
        before, self._root = self._root, read_root(root).signed
        self._keys.check(self._root)
        for role in ONLINE_ROLES:
            if set(before.roles[role].keyids) != set(self._root.roles[role].keyids):
                self._changed.add(role)
        if TARGETS in self._changed:
            self._delegate_all()

    def changes(self) -> dict[RoleName, tuple[int, bytes]]:
        """role -> (version, metadata) of all that changed, the timestamp among them; or nothing.

        Raises TooMuchMetadataError, KeyMissingError.
        """
        if not self._changed:
            return {}
        snapshot, timestamp = self._signed[SNAPSHOT], self._signed[TIMESTAMP]
        assert isinstance(snapshot, Snapshot)
        assert isinstance(timestamp, Timestamp)
        changed = {}
        for role in sorted(self._changed - {SNAPSHOT, TIMESTAMP}):
            changed[role] = self._sign(role)
            snapshot.meta[f"{role}.json"] = MetaFile(changed[role][0])
        if changed or SNAPSHOT in self._changed:
            changed[SNAPSHOT] = self._sign(SNAPSHOT)
            timestamp.snapshot_meta = MetaFile(changed[SNAPSHOT][0])
        changed[TIMESTAMP] = self._sign(TIMESTAMP)
        return changed

    def _take(self, role: RoleName, roles: Mapping[RoleName, bytes]) -> None:
        """Believe what stands, if the right keys signed it."""
        delegator = self._top_targets() if is_model_role(role) else self._root
        try:
            metadata: Metadata[Any] = Metadata.from_bytes(roles[role])
            delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
        except (RepositoryError, ValueError, KeyError) as error:
            raise UntrustedMetadataError(
                f"the {role} metadata that is stored was not signed under root v"
                f"{self._root.version} ({error!r}): somebody else wrote it, or the root was changed "
                "by another way than fleetward keys publish-root."
            ) from error
        self._signed[role] = metadata.signed
        self._standing[role] = metadata.signed.version

    def _begin(self) -> None:
        self._signed = {
            TARGETS: Targets(expires=self._now),
            SNAPSHOT: Snapshot(expires=self._now),
            TIMESTAMP: Timestamp(expires=self._now),
        }
        self._changed = {*ONLINE_ROLES}

    def _delegate(self, name: ModelName) -> None:
        """Let a role of its own list the versions of a model."""
        targets = self._top_targets()
        if targets.delegations is None:
            targets.delegations = Delegations(keys={}, roles={})
        delegated = targets.delegations.roles
        assert delegated is not None, "this registry writes no other kind"
        if len(delegated) >= MAX_MODELS:
            raise TooMuchMetadataError(
                f"{MAX_MODELS} models are listed, the most there may be. {name} cannot be published."
            )
        role = role_of(name)
        delegated[role] = DelegatedRole(role, [], 1, terminating=True, paths=[paths_in(name)])
        self._delegate_all([role])

    def _delegate_all(self, only: list[RoleName] | None = None) -> None:
        """Name the root's keys for targets as the keys of the models' roles, and sign those."""
        targets = self._top_targets()
        self._changed.add(TARGETS)
        if targets.delegations is None or targets.delegations.roles is None:
            return
        keys = keys_of(self._root, TARGETS)
        targets.delegations.keys = {key.keyid: key for key in keys}
        for name, delegated in targets.delegations.roles.items():
            if only is None or name in only:
                delegated.keyids = [key.keyid for key in keys]
                self._changed.add(RoleName(name))

    def _sign(self, role: RoleName) -> tuple[int, bytes]:
        signed = self._signed[role]
        own = TARGETS if is_model_role(role) else role
        signed.version = self._standing.get(role, 0) + 1
        signed.expires = expiry(self._now, own)
        metadata: Metadata[Any] = Metadata(signed)
        metadata.sign(self._keys.signer(self._root, own))
        content = metadata.to_bytes(JSONSerializer(compact=True))
        if len(content) > MAX_METADATA_BYTES:
            raise TooMuchMetadataError(
                f"the {role} metadata would have {len(content)} bytes, its limit is "
                f"{MAX_METADATA_BYTES}. Retire versions that no robot needs."
            )
        return signed.version, content

    def _model(self, role: RoleName) -> Targets | None:
        signed = self._signed.get(role)
        assert signed is None or isinstance(signed, Targets)
        assert (role in self._delegated()) == (signed is not None), f"load {role} too"
        return signed

    def _delegated(self) -> set[RoleName]:
        delegations = self._top_targets().delegations
        return {RoleName(role) for role in (delegations.roles if delegations else None) or ()}

    def _top_targets(self) -> Targets:
        targets = self._signed[TARGETS]
        assert isinstance(targets, Targets)
        return targets


def root_version(root: bytes) -> int:
    """Which version a root is."""
    return read_root(root).signed.version
