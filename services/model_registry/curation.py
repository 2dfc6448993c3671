"""Answers what people ask about published versions: load, decide, save."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from nats.aio.client import Client

from fleetward.bus.logs import log
from fleetward.contracts.judgements import (
    ApproveModel,
    AttachReport,
    DeprecateModel,
    GatesRequired,
    ModelApproved,
    ModelDeprecated,
    ModelWithdrawn,
    RequireGates,
    ValidationReported,
    WithdrawModel,
)
from fleetward.contracts.registry import AliasMoved, MoveAlias
from fleetward.contracts.variants import named
from model_registry import aliases, gates, judgement, reports
from model_registry.curations import Curations
from model_registry.judgement import Known
from model_registry.records import Records
from model_registry.reporters import Reporters

_logger = logging.getLogger(__name__)


class Curator:
    """The handlers of everything that happens to a version after it was published."""

    def __init__(
        self,
        *,
        connection: Client,
        curations: Curations,
        records: Records,
        reporters: Reporters,
        now: Callable[[], datetime],
    ) -> None:
        self._records = records
        self._curations = curations
        self._reporters = reporters
        self._now = now

    async def move_alias(self, request: MoveAlias) -> AliasMoved:
        """Let an alias name another version, by compare-and-set, if it has what the alias demands."""
        now = self._now()
        known = await self._known(request)
        await self._records.change(
            request.name, lambda record: gates.guarded_move(record, request, known, now)
        )
        log(_logger, "alias.moved", model=request.name, alias=request.alias, to=request.version)
        return aliases.moved(request, now)

    async def _known(self, request: MoveAlias) -> list[Known]:
        """What is said of each artifact of the version that the alias shall name."""
        record, _ = await self._records.load(request.name)
        versions = [each.manifest.model.version for each in named(record, request.version)]
        return [
            (await self._curations.load(request.name, each)).known
            for each in versions or [request.version]
        ]

    async def require_gates(self, request: RequireGates) -> GatesRequired:
        """Demand that an alias move only to versions that have all this."""
        now = self._now()
        await self._records.change(request.name, lambda record: gates.require(record, request, now))
        log(_logger, "gates.required", model=request.name, alias=request.alias, gates=request.gates)
        return gates.required(request, now)

    async def deprecate(self, request: DeprecateModel) -> ModelDeprecated:
        """Mark a version as superseded."""
        now = self._now()
        done = await self._curations.change(
            request.name, request.version, lambda known: judgement.deprecate(known, request, now)
        )
        log(_logger, "model.deprecated", model=_called(request), reason=request.reason)
        return judgement.deprecated(done.curation.digest, request, now)

    async def withdraw(self, request: WithdrawModel) -> ModelWithdrawn:
        """Never grant or target these bytes again, and tell every robot."""
        now = self._now()
        done = await self._curations.change(
            request.name, request.version, lambda known: judgement.withdraw(known, request, now)
        )
        log(_logger, "model.withdrawn", model=_called(request), reason=request.reason)
        return judgement.withdrawn(done.curation.digest, request, now)

    async def approve(self, request: ApproveModel) -> ModelApproved:
        """Count somebody's yes."""
        now = self._now()
        await self._curations.change(
            request.name, request.version, lambda known: judgement.approve(known, request, now)
        )
        log(_logger, "model.approved", model=_called(request), by=request.by)
        return judgement.approved(request, now)

    async def attach_report(self, request: AttachReport) -> ValidationReported:
        """Let a validation report count."""
        now = self._now()
        report = reports.readable(request)
        self._reporters.verify(request, report)
        await self._curations.change(
            request.name, request.version, lambda known: reports.attach(known, request, now)
        )
        log(
            _logger,
            "model.reported",
            model=_called(request),
            kind=report.kind,
            passed=report.passed,
        )
        return reports.reported(request, report, now)


def _called(request: DeprecateModel | WithdrawModel | ApproveModel | AttachReport) -> str:
    return f"{request.name}:{request.version}"
