"""One robot's surroundings on a real NATS server: a coordinator, a registry and an ingest to hear it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar

from nats.aio.client import Client

from edge_bridge.converging.health import HealthBounds
from edge_bridge.settings import Settings
from edge_bridge.workers.staged_model import StagedModel
from fleetward.bus.deliveries import Delivery
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.bus.pull import Pull
from fleetward.bus.requests import answer
from fleetward.contracts.catalog import CONSUMERS
from fleetward.contracts.codec import encode
from fleetward.contracts.event import Event
from fleetward.contracts.ids import RobotId, RolloutId
from fleetward.contracts.receipts import SwapReceipt, SwapReceiptSigned
from fleetward.contracts.registry import FetchGranted, GrantFetch
from fleetward.contracts.robots import RobotNudged, RobotTarget, SignedTarget
from fleetward.contracts.rows import Principal
from fleetward.contracts.telemetry import TelemetryFrame, TelemetryStored
from fleetward.contracts.trust import RefreshTrust, TrustRefreshed
from fleetward.trust.listing import listed
from fleetward.trust.receipts import receipt_in
from fleetward.trust.roles import RULES, TARGETS
from fleetward.trust.signing import MANIFEST, RULE_SET, TARGET, Signature
from testkit.authority import Authority
from testkit.servers import NatsSystem
from tests.unit.edge_bridge_bus.object_server import Objects, Registry, cut_evenly, serving

ROBOT = RobotId("r1")
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
WAIT_S = 60.0
_Fact = TypeVar("_Fact", bound=Event)


class Fleet:
    """Writes targets, grants fetches, hears every report, acknowledges telemetry."""

    def __init__(self, system: NatsSystem, directory: Path, objects: Objects, url: str) -> None:
        self.system = system
        self.directory = directory
        self.objects = objects
        self.heard: list[Event] = []
        self.traceparents: dict[type[Event], str] = {}
        self.frames: dict[tuple[str, int], TelemetryFrame] = {}
        self.renumbered: list[tuple[str, int]] = []
        """Numbers under which another frame came once more."""
        self.stores_telemetry = True
        self.ahead = timedelta()
        """How far the hub's clock is ahead of the robot's."""
        self._news = asyncio.Event()
        self._pulls: list[Pull] = []
        self._heard_sequences: set[int] = set()
        (directory / "keys").mkdir()
        self.authority = Authority(directory / "keys", datetime.now(timezone.utc))
        self._keys = {
            MANIFEST: self.authority.keys[TARGETS][0],
            TARGET: self.authority.commands,
            RULE_SET: self.authority.keys[RULES][0],
        }
        self.authority.enrol(directory / "trust")
        self.registry = Registry(objects, url, self._keys[MANIFEST])
        self.coordinator: Client
        self.ingest: Client

    def settings(self, **changes: object) -> Settings:
        fixed = {
            "robot_id": ROBOT,
            "nats_url": self.system.url,
            "credentials": self.system.credentials(ROBOT),
            "state_dir": self.directory / "robot",
            "trust_dir": self.directory / "trust",
            "poll_s": 0.5,
            "check_in_s": 0.5,
            "control_probe_hz": 0.0,
            "proof_timeout_s": 5.0,
            "health": HealthBounds(min_inferences=5, min_latency_inferences=5),
        }
        return Settings(**{**fixed, **changes})  # type: ignore[arg-type]  # a test names its own

    def environment(self, state_dir: Path, side_px: int) -> dict[str, str]:
        """What a bridge of its own process is told: square frames come from ``frames``, fifty a second."""
        settings = self.settings()
        return {
            "FLEETWARD_ROBOT_ID": ROBOT,
            "FLEETWARD_NATS_URL": settings.nats_url,
            "FLEETWARD_CREDENTIALS": str(settings.credentials),
            "FLEETWARD_STATE_DIR": str(state_dir),
            "FLEETWARD_TRUST_DIR": str(settings.trust_dir),
            "FLEETWARD_FRAMES_DIR": str(self.directory / "frames"),
            "FLEETWARD_FRAME_RATE_HZ": "50",
            "FLEETWARD_FRAME_HEIGHT_PX": str(side_px),
            "FLEETWARD_FRAME_WIDTH_PX": str(side_px),
            "FLEETWARD_CHECK_IN_S": "0.2",
            "FLEETWARD_POLL_S": "0.5",
        }

    async def receipt(self, generation: int) -> SwapReceipt:
        """What the robot signed for this generation, under the key of its credentials."""
        operator = await self.system.connect(Principal.OPERATOR)
        key = self.system.identities.robot_public(ROBOT)
        while True:  # it leaves the robot just after the activation
            value = await last_value(operator, SwapReceiptSigned, robot_id=ROBOT)
            receipt = receipt_in(value.event, key) if value else None
            if receipt is not None and receipt.generation == generation:
                return receipt
            await asyncio.sleep(0.01)

    def publish_model(self, model: StagedModel) -> None:
        """The registry has this model from now on."""
        release = len(self.registry.manifests) + 1
        manifest = self.registry.publish(
            cut_evenly(model.path.read_bytes()), model.model, release=release
        )
        entry = listed(encode(manifest), model.digest, release, fallback=True)
        self.authority.list_also(model.model.name, {model.model.version: entry})

    def sign(self, purpose: str, payload: bytes) -> Signature:
        """As the service that holds the key of this purpose."""
        return self._keys[purpose].sign(purpose, payload)

    async def start(self) -> None:
        self.coordinator = await self.system.connect(Principal.COORDINATOR)
        self.ingest = await self.system.connect(Principal.INGEST)
        registry = await self.system.connect(Principal.REGISTRY)
        await answer(registry, GrantFetch, self._grant)
        await answer(registry, RefreshTrust, self._refresh_trust)
        for connection, durable, handler in (
            (self.coordinator, "coordinator-robots", self._hear),
            (self.ingest, "ingest-telemetry", self._store),
        ):
            (row,) = (row for row in CONSUMERS if row.durable == durable)
            pull = Pull(connection, row, handler)
            await pull.start()
            self._pulls.append(pull)

    def now(self) -> datetime:
        """What the hub's clock says."""
        return datetime.now(timezone.utc) + self.ahead

    async def stop(self) -> None:
        for pull in self._pulls:
            await pull.stop()

    def target(self, model: StagedModel, generation: int, **said: object) -> RobotTarget:
        """What the robot shall do with a model; ``said`` replaces what is usual."""
        usual = {
            "robot_id": ROBOT,
            "generation": generation,
            "rollout_id": RolloutId("ro1"),
            "model": model.model,
            "digest": model.digest,
            "proof_inferences": 10,
            "health_window_s": 1.0,
            "issued_at": NOW + timedelta(seconds=generation),
        }
        return RobotTarget(**{**usual, **said})  # type: ignore[arg-type]  # a test names its own

    async def aim(
        self,
        model: StagedModel,
        generation: int,
        *,
        robot: RobotId = ROBOT,
        key: str = TARGET,
        traceparent: str = "",
        fallback: StagedModel | None = None,
        **said: object,
    ) -> RobotTarget:
        """Write the robot's target and nudge it; ``said`` as in ``target``."""
        if fallback is not None:
            said |= {"fallback": fallback.model, "fallback_digest": fallback.digest}
        target = self.target(model, generation, robot_id=robot, **said)
        await publish(self.coordinator, self._signed(target, key, traceparent))
        await publish(self.coordinator, RobotNudged(robot_id=ROBOT))
        return target

    def _signed(self, target: RobotTarget, key: str, traceparent: str) -> SignedTarget:
        payload = encode(target)
        signature = self._keys[key].sign(TARGET, payload)
        return SignedTarget(
            robot_id=ROBOT,
            payload=payload,
            key_id=signature.key_id,
            signature=signature.signature,
            traceparent=traceparent,
        )

    async def hears(
        self, kind: type[_Fact], matching: Callable[[_Fact], bool] = lambda _: True
    ) -> _Fact:
        """The first ``kind`` the robot reported, ever, that matches."""

        async def found() -> _Fact:
            while True:
                self._news.clear()
                for fact in list(self.heard):
                    if isinstance(fact, kind) and matching(fact):
                        return fact
                await self._news.wait()

        return await asyncio.wait_for(found(), WAIT_S)

    async def stored(self, holds: Callable[[dict[tuple[str, int], TelemetryFrame]], bool]) -> None:
        """Until what ingest has of this robot's telemetry ``holds``."""

        async def waiting() -> None:
            while not holds(self.frames):
                self._news.clear()
                await self._news.wait()

        await asyncio.wait_for(waiting(), WAIT_S)

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(fact, kind) for fact in self.heard)

    async def _hear(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            await delivery.ack()
            if delivery.sequence in self._heard_sequences:
                continue  # its acknowledgement died with the server
            self._heard_sequences.add(delivery.sequence)
            fact = delivery.decode()
            self.heard.append(fact)
            self.traceparents[type(fact)] = delivery.traceparent
        self._news.set()

    async def _store(self, deliveries: Sequence[Delivery]) -> None:
        """As telemetry-ingest does: the watermark is the end of the run from frame 1."""
        for delivery in deliveries:
            frame = delivery.decode()
            key = (frame.boot_id, frame.sequence)
            if self.frames.setdefault(key, frame) != frame:
                self.renumbered.append(key)
            await delivery.ack()
            if self.stores_telemetry:
                sequence = 1
                while (frame.boot_id, sequence + 1) in self.frames:
                    sequence += 1
                await publish(
                    self.ingest,
                    TelemetryStored(robot_id=ROBOT, boot_id=frame.boot_id, sequence=sequence),
                )
        self._news.set()

    async def _refresh_trust(self, asked: RefreshTrust) -> TrustRefreshed:
        self.authority.now = self.now()
        return self.authority.answer(asked)

    async def _grant(self, request: GrantFetch) -> FetchGranted:
        return await self.registry.grant(request.digest, request.held)


@asynccontextmanager
async def running_fleet(
    system: NatsSystem, directory: Path, kind: type[Fleet] = Fleet
) -> AsyncIterator[Fleet]:
    """A fleet of one robot, ready for its bridge."""
    objects = Objects()
    async with serving(objects) as url:
        fleet = kind(system, directory, objects, url)
        await fleet.start()
        try:
            yield fleet
        finally:
            await fleet.stop()
