"""Where in the bucket an object lies that is named by its digest; nothing there ever changes."""

from __future__ import annotations

from fleetward.contracts.ids import Digest

PACK_PREFIX = "packs/sha256/"
MANIFEST_PREFIX = "manifests/sha256/"
DELTA_PREFIX = "deltas/sha256/"
ADAPTER_PREFIX = "adapters/sha256/"


def pack_key(digest: Digest) -> str:
    """Where a pack lies, for every version that has chunks in it."""
    return PACK_PREFIX + _hex(digest)


def manifest_key(digest: Digest) -> str:
    """Where a chunk manifest lies."""
    return MANIFEST_PREFIX + _hex(digest)


def delta_key(digest: Digest) -> str:
    """Where a delta lies."""
    return DELTA_PREFIX + _hex(digest)


def adapter_key(digest: Digest) -> str:
    """Where an adapter lies that was merged into a version."""
    return ADAPTER_PREFIX + _hex(digest)


def _hex(digest: Digest) -> str:
    return digest.removeprefix("sha256:")
