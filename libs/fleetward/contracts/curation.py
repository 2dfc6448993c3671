"""What is said of a published version: where it comes from, what it may be used for, what proves it.

A model's record says which bytes are a version and is signed; this says what people and machines
think of it, may grow for years, and lies in a row of its own per version.
"""

from __future__ import annotations

import enum

from msgspec import Struct

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import Digest, ModelName, Version

MAX_CARD_BYTES = 128 * 1024
MAX_LINEAGE_ENTRIES = 32
MAX_LINEAGE_KEY_CHARS = 64
MAX_LINEAGE_VALUE_CHARS = 512
MAX_LICENCE_CHARS = 200
MAX_REASON_CHARS = 500
MAX_NAME_CHARS = 100
"""Of a person, or of a kind of report."""
MAX_APPROVALS = 32
MAX_REPORT_KINDS = 16
MAX_GATES = 16
MAX_WITHDRAWN = 10_000


class Standing(str, enum.Enum):
    """What the registry lets happen with a version."""

    CURRENT = "current"
    DEPRECATED = "deprecated"
    """Still granted and rolled out; whoever looks at it is told why another one is better."""
    WITHDRAWN = "withdrawn"
    """Never granted, never targeted, never fallen back to: for good."""
    RETIRED = "retired"
    """Its bytes were removed by the retention policy; what was said of it is kept."""


class Preflight(Struct, frozen=True, kw_only=True):
    """Whether the model really ran where the registry tried it.

    tools: what tried it and its version, for example ``{"onnxruntime": "1.23.2"}``.
    skipped: what would have tried it too, and why it did not.
    """

    passed: bool
    reason: str = ""
    tools: dict[str, str] = {}
    skipped: dict[str, str] = {}
    inference_ms: float = 0.0
    at: UtcTime


class ReportSummary(Struct, frozen=True, kw_only=True):
    """The newest validation report of one kind; the whole of it is the fact ValidationReported."""

    kind: str
    passed: bool
    reported_by: str
    digest: Digest
    """Of the report itself."""
    key_id: str = ""
    at: UtcTime


class Approval(Struct, frozen=True, kw_only=True):
    """Somebody wants this version in production; one name counts once."""

    by: str
    note: str = ""
    at: UtcTime


class ModelCuration(Event, frozen=True, kw_only=True):
    """Everything said of one version: the state the registry compares and sets.

    ``release`` names the version in the subject, where a version's own dots would be a path.
    """

    name: ModelName
    release: int
    version: Version
    digest: Digest
    lineage: dict[str, str] = {}
    """As the publisher gave it: dataset, commit, training_run, origin and free keys."""
    licence: str = ""
    """An SPDX expression; empty: nobody said."""
    card_bytes: int = 0
    standing: Standing = Standing.CURRENT
    standing_reason: str = ""
    standing_by: str = ""
    standing_at: UtcTime | None = None
    inspected_at: UtcTime | None = None
    preflight: Preflight | None = None
    reports: tuple[ReportSummary, ...] = ()
    approvals: tuple[Approval, ...] = ()


class ModelCard(Event, frozen=True, kw_only=True):
    """The model card of one version, as its publisher wrote it (Markdown)."""

    name: ModelName
    release: int
    text: str


class Withdrawals(Struct, frozen=True, kw_only=True):
    """Every digest that was withdrawn, with the reason. ``counter`` counts up with each list."""

    counter: int
    reasons: dict[Digest, str]


NONE_WITHDRAWN = Withdrawals(counter=0, reasons={})


class SignedWithdrawals(Event, frozen=True, kw_only=True):
    """The digests no robot shall serve, as signed bytes: verify before decoding.

    payload: msgpack of Withdrawals. signature: Ed25519, 64 bytes, by the registry's manifest key
    over ``withdrawals_message(payload)``.
    """

    payload: bytes
    key_id: str
    signature: bytes


def withdrawals_message(payload: bytes) -> bytes:
    """What is signed: a list of withdrawals can never pass for a manifest, nor the reverse."""
    return b"withdrawals\0" + payload
