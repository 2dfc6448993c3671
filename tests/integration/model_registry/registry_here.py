"""A registry in this process, built from the parts that a test gives it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from pathlib import Path

from nats.aio.client import Client

from fleetward.contracts.rows import Principal
from fleetward.trust.online_keys import OnlineKeys
from model_registry import model_file
from model_registry.curations import Curations
from model_registry.errors import ModelRefusedError
from model_registry.handlers import Registry
from model_registry.inspection import InspectionLimits
from model_registry.intake import Intake
from model_registry.objects import ModelObjects
from model_registry.records import Records
from model_registry.scratch import Scratch
from model_registry.settings import Settings, StoreSettings
from model_registry.trust_ledger import TrustLedger, read_first_root
from model_registry.verdicts import Inspection, Refusal
from testkit.servers import NatsSystem


def registry_here(
    connection: Client,
    ledger: TrustLedger,
    objects: ModelObjects,
    scratch: Scratch,
    settings: Settings,
) -> Registry:
    """The handlers, as the service builds them."""
    return Registry(
        connection=connection,
        objects=objects,
        curations=Curations(connection, ledger),
        records=Records(connection, ledger),
        ledger=ledger,
        settings=settings,
        intake=Intake(objects, scratch),
        scratch=scratch,
        now=now,
        inspect=_inspected_here,
    )


async def ledger_here(connection: Client, root: Path) -> TrustLedger:
    """A ledger that has begun; the online keys lie beside ``root``."""
    ledger = TrustLedger(connection, OnlineKeys.load(root.parent / "online"), now)
    await ledger.begin(read_first_root(root))
    return ledger


def settings_here(system: NatsSystem, directory: Path, root: Path) -> Settings:
    """What a registry is told whose store the test gives it."""
    return Settings(
        bus=system.settings(Principal.REGISTRY),
        store=StoreSettings(
            endpoint="", public_endpoint="", access_key="", secret_key="", bucket=""
        ),
        state_dir=directory,
        root=root,
        online_keys=root.parent / "online",
    )


def now() -> datetime:
    """The clock."""
    return datetime.now(timezone.utc)


async def _inspected_here(path: Path, limits: InspectionLimits) -> Inspection:
    """Without a process of its own, which takes longer than all the rest of a publish."""
    verdict = await asyncio.to_thread(model_file.inspect, path)
    if isinstance(verdict, Refusal):
        raise ModelRefusedError(verdict.reason)
    return verdict
