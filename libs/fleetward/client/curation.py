"""What is said of published versions, and what people and pipelines may say."""

from __future__ import annotations

from msgspec import Struct, structs
from nats.aio.client import Client

from fleetward.bus.last_values import last_value, last_values
from fleetward.bus.requests import ask
from fleetward.client import models
from fleetward.contracts import ids
from fleetward.contracts.codec import decode
from fleetward.contracts.curation import (
    NONE_WITHDRAWN,
    ModelCard,
    ModelCuration,
    SignedWithdrawals,
    Standing,
    Withdrawals,
)
from fleetward.contracts.ids import ModelName, ModelRef
from fleetward.contracts.judgements import (
    ApproveModel,
    AttachReport,
    DeprecateModel,
    GatesRequired,
    ModelApproved,
    ModelDeprecated,
    ModelPreflighted,
    ModelsPruned,
    ModelWithdrawn,
    PreflightModel,
    PruneModels,
    RequireGates,
    ValidationReported,
    WithdrawModel,
)
from fleetward.contracts.registry import ModelVersion
from fleetward.contracts.validation import REPORT_PURPOSE
from fleetward.trust.signing import SigningKey


class Curated(Struct, frozen=True, kw_only=True):
    """One version, what is said of it, and its card."""

    version: ModelVersion
    curation: ModelCuration
    card: str = ""


class Curation:
    """Everything that may be said of a version after it was published. ``Fleet.curation``.

    Every method raises FleetwardError with a message for people. ``model``: name:version or
    name@alias.
    """

    def __init__(self, connection: Client) -> None:
        self._connection = connection

    async def of(self, model: str) -> Curated:
        """One version with all that is said of it."""
        return await self._curated(await self._version(model))

    async def of_each(self, model: str) -> list[Curated]:
        """A version and its variants, each with all that is said of it."""
        return [await self._curated(version) for version in await self._versions(model)]

    async def _curated(self, version: ModelVersion) -> Curated:
        name, release = version.manifest.model.name, str(version.manifest.release)
        said = await last_value(self._connection, ModelCuration, name=name, release=release)
        card = await last_value(self._connection, ModelCard, name=name, release=release)
        curation = said.event if said else _unsaid(version)
        withdrawn = await self.withdrawals()
        return Curated(
            version=version,
            curation=_as_withdrawn(curation, withdrawn),
            card=card.event.text if card else "",
        )

    async def of_all(self, name: ModelName) -> dict[int, ModelCuration]:
        """What is said of every version of one model, by release; also of those long gone."""
        said = await last_values(self._connection, ModelCuration, name=name)
        withdrawn = await self.withdrawals()
        return {value.event.release: _as_withdrawn(value.event, withdrawn) for value in said}

    async def standings(self) -> dict[ModelRef, Standing]:
        """How every published version stands that anything was said of."""
        said = await last_values(self._connection, ModelCuration)
        withdrawn = await self.withdrawals()
        found = (_as_withdrawn(value.event, withdrawn) for value in said)
        return {ModelRef(each.name, each.version): each.standing for each in found}

    async def withdrawals(self) -> Withdrawals:
        """Every digest that was withdrawn."""
        signed = await last_value(self._connection, SignedWithdrawals)
        return decode(signed.event.payload, Withdrawals) if signed else NONE_WITHDRAWN

    async def deprecate(
        self, model: str, *, reason: str, by: str = ""
    ) -> tuple[ModelDeprecated, ...]:
        """Say that another version should be used; this one, with its variants, still may be."""
        done: list[ModelDeprecated] = []
        for ref in await self._refs(model):
            request = DeprecateModel(name=ref.name, version=ref.version, reason=reason, by=by)
            done.append(await ask(self._connection, request))
        return tuple(done)

    async def withdraw(
        self, model: str, *, reason: str, by: str = ""
    ) -> tuple[ModelWithdrawn, ...]:
        """Never let these bytes, nor those of its variants, be granted, targeted or fallen back to again.

        One after the other: cut off, ask again.
        """
        done: list[ModelWithdrawn] = []
        for ref in await self._refs(model):
            request = WithdrawModel(name=ref.name, version=ref.version, reason=reason, by=by)
            done.append(await ask(self._connection, request))
        return tuple(done)

    async def approve(self, model: str, *, by: str, note: str = "") -> ModelApproved:
        """Say yes to exactly the bytes that ``model`` has now."""
        manifest = (await self._version(model)).manifest
        request = ApproveModel(
            name=manifest.model.name,
            version=manifest.model.version,
            digest=manifest.digest,
            by=by,
            note=note,
        )
        done: ModelApproved = await ask(self._connection, request)
        return done

    async def preflight(self, model: str) -> ModelPreflighted:
        """Have the registry build and run a version."""
        ref = await self._ref(model)
        done: ModelPreflighted = await ask(
            self._connection, PreflightModel(name=ref.name, version=ref.version)
        )
        return done

    async def report(
        self, model: str, payload: bytes, *, key: SigningKey | None = None
    ) -> ValidationReported:
        """Attach a validation report: JSON of ValidationReport, signed by ``key`` if given."""
        ref = await self._ref(model)
        signed = key.sign(REPORT_PURPOSE, payload) if key else None
        request = AttachReport(
            name=ref.name,
            version=ref.version,
            payload=payload,
            key_id=signed.key_id if signed else "",
            signature=signed.signature if signed else b"",
        )
        done: ValidationReported = await ask(self._connection, request)
        return done

    async def require_gates(
        self, name: str, alias: str, gates: tuple[str, ...], *, by: str = ""
    ) -> GatesRequired:
        """Let an alias move only to versions that have all this, in this order; () frees it."""
        request = RequireGates(
            name=ids.model_name(name), alias=ids.alias_name(alias), gates=gates, by=by
        )
        done: GatesRequired = await ask(self._connection, request)
        return done

    async def prune(self, *, dry_run: bool = False) -> ModelsPruned:
        """Remove what nothing needs any more, or only say what would go."""
        done: ModelsPruned = await ask(self._connection, PruneModels(dry_run=dry_run))
        return done

    async def _version(self, model: str) -> ModelVersion:
        wanted = ids.model_selector(model)
        return models.version_of(await models.record(self._connection, wanted.name), wanted)

    async def _ref(self, model: str) -> ModelRef:
        return (await self._version(model)).manifest.model

    async def _refs(self, model: str) -> list[ModelRef]:
        return [version.manifest.model for version in await self._versions(model)]

    async def _versions(self, model: str) -> tuple[ModelVersion, ...]:
        wanted = ids.model_selector(model)
        return models.versions_of(await models.record(self._connection, wanted.name), wanted)


def _unsaid(version: ModelVersion) -> ModelCuration:
    manifest = version.manifest
    return ModelCuration(
        name=manifest.model.name,
        release=manifest.release,
        version=manifest.model.version,
        digest=manifest.digest,
        inspected_at=manifest.published_at,
    )


def _as_withdrawn(curation: ModelCuration, withdrawn: Withdrawals) -> ModelCuration:
    """Bytes are withdrawn under every name they have."""
    reason = withdrawn.reasons.get(curation.digest)
    if reason is None or curation.standing is Standing.WITHDRAWN:
        return curation
    return structs.replace(curation, standing=Standing.WITHDRAWN, standing_reason=reason)
