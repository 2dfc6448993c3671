"""Starts a model-registry process: reads settings, builds the parts, answers until told to stop."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sys
from collections.abc import Coroutine
from datetime import datetime, timezone

import uvloop
from nats.aio.client import Client

from fleetward.bus.connection import close, connect
from fleetward.bus.process import exit_status, stop_signal, unless_stopped
from fleetward.bus.readiness import notify_ready
from fleetward.bus.requests import answer
from fleetward.bus.tracing import setup_tracing
from fleetward.contracts.comparison import CompareVersions
from fleetward.contracts.judgements import (
    ApproveModel,
    AttachReport,
    DeprecateModel,
    RequireGates,
    WithdrawModel,
)
from fleetward.contracts.quotes import QuoteUpdate
from fleetward.contracts.registry import GrantFetch, ListChunks, MoveAlias, RegisterModel
from fleetward.contracts.repairs import CheckPacks, RepairPacks
from fleetward.contracts.rows import Principal
from fleetward.contracts.trust import PublishRoot, RefreshTrust
from fleetward.trust.online_keys import OnlineKeys
from model_registry.changes import Changes
from model_registry.comparing import Comparer
from model_registry.curation import Curator
from model_registry.curations import Curations
from model_registry.deltas import DeltaPreparer
from model_registry.engines import Engines
from model_registry.handlers import Registry
from model_registry.intake import Intake
from model_registry.objects import ModelObjects, open_objects
from model_registry.part_uploads import PartUploads
from model_registry.pruning import Pruner
from model_registry.quotes import Quotes
from model_registry.recording_objects import RecordingObjects, open_recordings
from model_registry.recordings import Recordings
from model_registry.records import Records
from model_registry.renewing import Renewals
from model_registry.repairing import Repairer
from model_registry.reporters import Reporters
from model_registry.scratch import Scratch
from model_registry.segment_room import Countings, SegmentLimits
from model_registry.segments import Segments
from model_registry.settings import Settings, settings_from
from model_registry.trust_ledger import TrustLedger, read_first_root
from model_registry.upkeep import answer_upkeep

NAME = Principal.REGISTRY.value


async def serve(settings: Settings) -> None:
    """Answer requests until the process is told to stop."""
    stopping = stop_signal()
    shutil.rmtree(settings.incoming_dir, ignore_errors=True)
    settings.incoming_dir.mkdir(parents=True)
    root, online_keys = read_first_root(settings.root), OnlineKeys.load(settings.online_keys)
    reporters = Reporters.load(settings.report_trust_dir)
    async with (
        open_objects(settings.store) as objects,
        open_recordings(settings.store, objects) as recordings,
    ):
        await objects.prepare()
        connection = await unless_stopped(stopping, connect(settings.bus))
        if connection is None:
            return
        ledger = TrustLedger(connection, online_keys, _now)
        await ledger.begin(root)
        deltas, pruner = await _answer_all(connection, objects, ledger, reporters, settings)
        uploads = PartUploads(recordings, settings.store.grant_s, _now)
        await Recordings(connection, recordings, uploads, _now).answer()
        await Engines(connection, recordings, uploads, settings.engines_bytes, _now).answer()
        await _segments(connection, recordings, uploads, settings.segments).answer()
        if settings.renewal is not None:
            await Renewals(connection, settings.renewal, _now).answer()
        await connection.flush()
        notify_ready()
        await unless_stopped(stopping, _all(ledger.keep(), deltas.keep(), pruner.keep()))
        await close(connection)


async def _answer_all(
    connection: Client,
    objects: ModelObjects,
    ledger: TrustLedger,
    reporters: Reporters,
    settings: Settings,
) -> tuple[DeltaPreparer, Pruner]:
    """Build the parts and answer every request; what runs in the background is handed back."""
    changes = Changes()
    records, curations = Records(connection, ledger, changes), Curations(connection, ledger)
    scratch = Scratch(settings.incoming_dir)
    intake = Intake(objects, scratch)
    registry = Registry(
        connection=connection,
        objects=objects,
        curations=curations,
        records=records,
        ledger=ledger,
        settings=settings,
        intake=intake,
        scratch=scratch,
        now=_now,
    )
    curator = Curator(
        connection=connection, curations=curations, records=records, reporters=reporters, now=_now
    )
    await _answer_publishing(connection, registry)
    await _answer_curation(connection, curator)
    await _answer_repairs(connection, Repairer(records, objects, intake))
    await _answer_questions(connection, Comparer(records, objects), Quotes(connection, objects))
    await answer(connection, RefreshTrust, ledger.refresh)
    await answer(connection, PublishRoot, ledger.publish_root)
    pruner = await answer_upkeep(connection, objects, records, curations, settings, _now)
    deltas = DeltaPreparer(
        connection=connection,
        records=records,
        changes=changes,
        objects=objects,
        directory=settings.deltas_dir,
    )
    return deltas, pruner


async def _all(*endless: Coroutine[None, None, None]) -> None:
    """Run all of them for as long as all of them run."""
    async with asyncio.TaskGroup() as group:
        for each in endless:
            group.create_task(each)


async def _answer_publishing(connection: Client, registry: Registry) -> None:
    await answer(connection, ListChunks, registry.list_chunks)
    await answer(connection, RegisterModel, registry.register_model)
    await answer(connection, GrantFetch, registry.grant_fetch)


async def _answer_questions(connection: Client, comparer: Comparer, quotes: Quotes) -> None:
    await answer(connection, CompareVersions, comparer.compare)
    await answer(connection, QuoteUpdate, quotes.quote)


async def _answer_repairs(connection: Client, repairer: Repairer) -> None:
    await answer(connection, CheckPacks, repairer.check)
    await answer(connection, RepairPacks, repairer.repair)


async def _answer_curation(connection: Client, curator: Curator) -> None:
    await answer(connection, MoveAlias, curator.move_alias)
    await answer(connection, RequireGates, curator.require_gates)
    await answer(connection, DeprecateModel, curator.deprecate)
    await answer(connection, WithdrawModel, curator.withdraw)
    await answer(connection, ApproveModel, curator.approve)
    await answer(connection, AttachReport, curator.attach_report)


def _segments(
    connection: Client, objects: RecordingObjects, uploads: PartUploads, limits: SegmentLimits
) -> Segments:
    countings = Countings(limits, random.random)
    return Segments(connection, objects, uploads, limits, countings, _now)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def main() -> int:
    """The process's exit status."""
    return exit_status(NAME, _run)


def _run() -> None:
    settings = settings_from(os.environ)
    setup_tracing(NAME, settings.traces_dir)
    uvloop.run(serve(settings))


if __name__ == "__main__":
    sys.exit(main())
