"""A whole authority in memory for tests: offline root keys, the registry's keys, what it published.

It signs and answers with the registry's own code. Tests that steal keys find them here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path

from fleetward.contracts.ids import Digest, ModelName, ModelRef, Version
from fleetward.contracts.trust import RefreshTrust, RoleName, TrustRefreshed
from fleetward.trust.anchors import write_anchor
from fleetward.trust.answering import answer, roles_wanted
from fleetward.trust.floors import Anchor
from fleetward.trust.listing import Listed, listed
from fleetward.trust.online_keys import OnlineKeys
from fleetward.trust.repository import Repository
from fleetward.trust.roles import COMMANDS, ROOT
from fleetward.trust.roots import NAMED_ROLES, RootPlan, expiry, first_root, next_root, sign_root
from fleetward.trust.signing import SigningKey

NOON = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)


class Authority:
    """keys: role -> its private keys, root's three among them. ``now`` is the registry's clock."""

    def __init__(self, directory: Path, now: datetime = NOON) -> None:
        self.now = now
        self.labels: dict[str, str] | None = None
        """Those that robots are enrolled with."""
        self._directory = directory
        self._made: list[SigningKey] = []
        counts = {role: 3 if role == ROOT else 1 for role in NAMED_ROLES}
        self.keys: dict[str, list[SigningKey]] = {
            role: [self.new_key() for _ in range(count)] for role, count in counts.items()
        }
        root = first_root(self.plan())
        for key in self.keys[ROOT][:2]:
            root = sign_root(root, key)
        self.roots = [root]
        self.roles: dict[RoleName, bytes] = {}
        self._store(self.repository())

    @property
    def root(self) -> bytes:
        """The newest."""
        return self.roots[-1]

    @property
    def commands(self) -> SigningKey:
        """The coordinator's key."""
        return self.keys[COMMANDS][0]

    def new_key(self) -> SigningKey:
        """A key that nothing names yet."""
        self._made.append(SigningKey.create(self._directory / f"{len(self._made)}.key"))
        return self._made[-1]

    def plan(self, changed: Mapping[str, list[SigningKey]] | None = None) -> RootPlan:
        """Today's keys as a root would name them, but for those of some roles."""
        named = {**self.keys, **(changed or {})}
        return RootPlan(
            keys={role: tuple(key.public_bytes for key in named[role]) for role in NAMED_ROLES},
            threshold=2,
            expires=expiry(self.now),
        )

    def online(self) -> OnlineKeys:
        """What the registry holds: it uses what the root names."""
        return OnlineKeys(self._made)

    def repository(self) -> Repository:
        """The metadata, to be changed."""
        return Repository(self.root, self.roles, self.online(), self.now)

    def publish(
        self, name: str, version: str, manifest: bytes, release: int, *, fallback: bool = False
    ) -> Digest:
        """List one more version; its digest is made from the manifest."""
        digest = Digest(f"sha256:{hashlib.sha256(b'model' + manifest).hexdigest()}")
        entry = listed(manifest, digest, release, fallback=fallback)
        self.list_also(name, {Version(version): entry})
        return digest

    def list_also(self, name: str, versions: Mapping[Version, Listed]) -> None:
        """List more versions, or others in the place of those of the same name."""
        repository = self.repository()
        here = repository.versions(ModelName(name))
        repository.list_model(ModelName(name), {**here, **versions})
        self._store(repository)

    def withdraw(self, model: ModelRef) -> None:
        """List a version no more."""
        repository = self.repository()
        kept = {
            version: entry
            for version, entry in repository.versions(model.name).items()
            if version != model.version
        }
        repository.list_model(model.name, kept)
        self._store(repository)

    def later(self, *, days: float = 0, hours: float = 0) -> None:
        """Time passes, and the registry renews what is due."""
        self.now += timedelta(days=days, hours=hours)
        repository = self.repository()
        repository.renew()
        self._store(repository)

    def rotate(self, changed: Mapping[str, list[SigningKey]], signers: list[SigningKey]) -> None:
        """The next root, signed by ``signers``, in which other keys take some roles."""
        root = next_root(self.root, self.plan(changed))
        for key in signers:
            root = sign_root(root, key)
        repository = self.repository()
        self.keys.update(changed)
        repository.follow(root)
        self.roots.append(root)
        self._store(repository)

    def anchor(self, *, pinned: bool = False) -> Anchor:
        """What a robot gets at its enrolment now; ``pinned``: with the versions of today."""
        return Anchor(root=self.root, floors=self.versions() if pinned else {}, at=self.now)

    def enrol(self, trust_dir: Path, *, pinned: bool = False) -> None:
        """Write what a robot finds in its trust directory."""
        anchor = self.anchor(pinned=pinned)
        trust_dir.mkdir(exist_ok=True)
        write_anchor(trust_dir, anchor)

    def versions(self) -> dict[RoleName, int]:
        """role -> version."""
        return self.repository().standing()

    def answer(self, asked: RefreshTrust) -> TrustRefreshed:
        """What the registry says."""
        roles = {role: self.roles[role] for role in roles_wanted(asked) if role in self.roles}
        labels = self.labels if asked.labels else None
        return answer(asked, self.roots, roles, self.online(), self.now, labels)

    def heartbeat(self) -> None:
        """One more timestamp."""
        self.later(hours=1)

    def _store(self, repository: Repository) -> None:
        self.roles |= {role: content for role, (_, content) in repository.changes().items()}
