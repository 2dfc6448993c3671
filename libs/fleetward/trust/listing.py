"""One published version as metadata lists it: which manifest, which bytes, how new, whether to return to."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Struct
from tuf.api.metadata import TargetFile

from fleetward.contracts.ids import Digest
from fleetward.trust.errors import UntrustedMetadataError


class Listed(Struct, frozen=True, kw_only=True):
    """What the registry vouches for.

    manifest: SHA-256 of the manifest's bytes, 64 hex digits. release counts up per model name; a
    robot that served a newer one returns to this one only where ``fallback`` says so.
    """

    digest: Digest
    release: int
    fallback: bool = False
    manifest: str
    manifest_bytes: int

    def describes(self, manifest: bytes) -> bool:
        """Whether these are the bytes of the manifest that was listed."""
        return (len(manifest), hashlib.sha256(manifest).hexdigest()) == (
            self.manifest_bytes,
            self.manifest,
        )


class _Custom(Struct, frozen=True, kw_only=True, omit_defaults=True):
    digest: Digest
    release: int
    fallback: bool = False


def listed(manifest: bytes, digest: Digest, release: int, *, fallback: bool) -> Listed:
    """A version to be listed; ``manifest`` is what its record holds as bytes."""
    return Listed(
        digest=digest,
        release=release,
        fallback=fallback,
        manifest=hashlib.sha256(manifest).hexdigest(),
        manifest_bytes=len(manifest),
    )


def target_of(path: str, version: Listed) -> TargetFile:
    """As it is written into metadata."""
    custom = _Custom(digest=version.digest, release=version.release, fallback=version.fallback)
    return TargetFile(
        version.manifest_bytes,
        {"sha256": version.manifest},
        path,
        {"custom": msgspec.to_builtins(custom)},
    )


def listed_as(target: TargetFile) -> Listed:
    """As it stands in metadata; raises UntrustedMetadataError for what this registry never writes."""
    try:
        custom = msgspec.convert(target.custom, _Custom)
        return listed_with(custom, target.hashes["sha256"], target.length)
    except (msgspec.ValidationError, KeyError) as error:
        raise UntrustedMetadataError(
            f"the metadata lists {target.path} in a way this release does not know: {error}."
        ) from error


def listed_with(custom: _Custom, manifest: str, manifest_bytes: int) -> Listed:
    """The parts of an entry put together."""
    return Listed(
        digest=custom.digest,
        release=custom.release,
        fallback=custom.fallback,
        manifest=manifest,
        manifest_bytes=manifest_bytes,
    )
