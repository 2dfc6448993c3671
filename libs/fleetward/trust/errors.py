"""Why metadata, a root or a key is not believed: one class per cause."""

from __future__ import annotations

from fleetward.contracts.errors import FleetwardError


class TrustError(FleetwardError):
    """The root of what keys and metadata can be refused for."""


class UntrustedMetadataError(TrustError):
    """Metadata that no trusted key signed, that is older than what is known, or that is expired."""


class NotFreshError(TrustError):
    """An answer that does not prove that it was made now, for this question."""


class RootRefusedError(TrustError):
    """A root that lacks signatures, skips a version, or trusts what it must not."""


class KeyMissingError(TrustError):
    """A role is to be signed and no key at hand is trusted for it."""


class TooMuchMetadataError(TrustError):
    """More models or versions than metadata may list."""
