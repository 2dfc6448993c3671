"""Puts together what looks after published versions: trying, exporting and pruning them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nats.aio.client import Client

from fleetward.bus.requests import answer
from fleetward.contracts.judgements import ExportModel, PreflightModel, PruneModels
from model_registry.curations import Curations
from model_registry.exporting import Exporter
from model_registry.objects import ModelObjects
from model_registry.preflight import Preflighter
from model_registry.pruning import Pruner
from model_registry.records import Records
from model_registry.scratch import Scratch
from model_registry.settings import Settings


async def answer_upkeep(
    connection: Client,
    objects: ModelObjects,
    records: Records,
    curations: Curations,
    settings: Settings,
    now: Callable[[], datetime],
) -> Pruner:
    """Answer what is asked; the pruner, which also works by itself, is handed back."""
    preflighter = Preflighter(
        curations=curations, objects=objects, scratch=Scratch(settings.incoming_dir), now=now
    )
    exporter = Exporter(
        connection=connection,
        curations=curations,
        objects=objects,
        grant_s=settings.store.grant_s,
        now=now,
    )
    pruner = Pruner(
        connection=connection,
        records=records,
        objects=objects,
        policy=settings.retention,
        memory=settings.state_dir / "unnamed.json",
        now=now,
    )
    await answer(connection, PreflightModel, preflighter.preflight)
    await answer(connection, ExportModel, exporter.export)
    await answer(connection, PruneModels, pruner.prune)
    return pruner
