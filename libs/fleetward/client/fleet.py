"""One object for a whole fleet: what the command line does, any program can do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path

from nats.aio.client import Client
from opentelemetry import trace

from fleetward.bus import connection as bus
from fleetward.bus.requests import ask
from fleetward.bus.tracing import setup_tracing
from fleetward.client import alerts, diffs, models, publishing, robots, rollouts
from fleetward.client.access import DEFAULT_HOME, Access, read_access
from fleetward.client.connecting import connected
from fleetward.client.curation import Curation
from fleetward.client.descriptions import NOTHING_SAID, Description
from fleetward.client.diffs import ModelDiff
from fleetward.client.live import live_facts
from fleetward.client.publishing import MergedFile
from fleetward.client.rollouts import has_ended
from fleetward.client.sites import SitePolicies
from fleetward.client.uploads import Progress, Uploads, open_uploads
from fleetward.contracts import ids
from fleetward.contracts.alerts import AlertFired, AlertResolved, Severity
from fleetward.contracts.control import AbortMode, ControlAction
from fleetward.contracts.ids import ModelRef, ModelSelector, RobotId
from fleetward.contracts.registry import (
    AliasMoved,
    ModelRecord,
    ModelRegistered,
    ModelVersion,
)
from fleetward.contracts.rollouts import Rollout, RolloutPolicy, RolloutRequested, Strategy
from fleetward.contracts.rows import Principal
from fleetward.contracts.telemetry import QueryTelemetry, TelemetryFrame, TelemetryQueried

CONNECT_TIMEOUT_S = 5.0


class Fleet:
    """A connection to one running system. Made by ``Fleet.connect``.

    Every method raises FleetwardError with a message for people: what, which, what to do.
    """

    def __init__(self, connection: Client, access: Access) -> None:
        self.connection = connection
        self.curation = Curation(connection)
        self.sites = SitePolicies(connection)
        self._access = access

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        home: str | Path = DEFAULT_HOME,
        *,
        principal: Principal = Principal.OPERATOR,
        access: Access | None = None,
        timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> AsyncIterator[Fleet]:
        """Connect as ``principal`` to the system whose state is in ``home``; raises NoSystemError.

        OPERATOR publishes models and steers rollouts; APPLICATION reads, asks for rollouts and
        raises own alerts. Once connected, a lost connection is taken up again for ever.
        """
        access = access or read_access(Path(home), principal)
        _trace_unless_the_program_does(access)
        connection = await connected(access, timeout_s)
        try:
            yield cls(connection, access)
        finally:
            await bus.close(connection)

    # --- models

    async def push_model(
        self,
        path: str | Path,
        name: str,
        version: str,
        *,
        metadata: Mapping[str, str] | None = None,
        progress: Progress = lambda sent, total: None,
        description: Description = NOTHING_SAID,
        merged: MergedFile | None = None,
        fits: str = "",
    ) -> ModelRegistered:
        """Upload, verify, sign and announce ``name:version``; the same bytes again are fine.

        ``fits``: a selector over labels; ``version`` is then written VERSION+VARIANT.
        """
        model = ModelRef(ids.model_name(name), ids.version(version))
        async with self.uploads() as uploads:
            return await publishing.push(
                self.connection,
                uploads,
                Path(path),
                model,
                metadata or {},
                progress,
                description,
                merged,
                fits=fits,
            )

    def uploads(self) -> AbstractAsyncContextManager[Uploads]:
        """A way to send objects to the store, for as long as a block runs."""
        return open_uploads(self._access.store)

    async def models(self) -> list[ModelRecord]:
        """Every model with its versions and aliases, by name."""
        return await models.records(self.connection)

    async def model_record(self, name: str) -> ModelRecord:
        """One model with its versions and aliases."""
        return await models.record(self.connection, ids.model_name(name))

    async def model(self, selector: str | ModelSelector) -> ModelVersion:
        """The version that ``name:version`` or ``name@alias`` names."""
        wanted = ids.model_selector(selector) if isinstance(selector, str) else selector
        return models.version_of(await models.record(self.connection, wanted.name), wanted)

    async def diff_models(self, base: str, target: str) -> ModelDiff:
        """What an update from one published version to another changes, and what moves for it."""
        versions = [(await self.model(one)).manifest.model for one in (base, target)]
        return await diffs.diff_versions(self.connection, *versions)

    async def move_alias(
        self,
        name: str,
        alias: str,
        version: str,
        *,
        expected: str | None = None,
        by: str = "",
    ) -> AliasMoved:
        """Let ``name@alias`` name a version, if it still names ``expected`` (None: it is new)."""
        return await models.move_alias(
            self.connection,
            ids.model_name(name),
            ids.alias_name(alias),
            ids.version(version),
            ids.version(expected) if expected is not None else None,
            by,
        )

    # --- rollouts

    async def start_rollout(
        self,
        model: str | ModelSelector,
        to: str,
        *,
        strategy: Strategy = Strategy.CANARY,
        policy: RolloutPolicy = RolloutPolicy(),  # noqa: B008 (a frozen Struct)
        rollout: str | None = None,
        is_continuous: bool = False,
        requested_by: str = "",
        begins_at: datetime | None = None,
        again: bool = False,
        together: Sequence[str] = (),
        timeout_s: float = rollouts.DECISION_TIMEOUT_S,
    ) -> Rollout:
        """Start a rollout of ``model`` to the robots that ``to`` selects; its trace begins here.

        ``together``: further models that switch at one instant with it on each robot, or none does.

        Choose its id yourself and asking twice is harmless. Raises RolloutRefusedError.
        """
        request = RolloutRequested(
            rollout_id=ids.rollout_id(rollout) if rollout else rollouts.new_rollout_id(),
            model=ids.model_selector(model) if isinstance(model, str) else model,
            selector=to,
            strategy=strategy,
            policy=policy,
            is_continuous=is_continuous,
            requested_by=requested_by,
            requested_at=datetime.now(timezone.utc),
            begins_at=begins_at,
            again=again,
            together=tuple(map(ids.model_selector, together)),
        )
        return await rollouts.start(self.connection, request, timeout_s=timeout_s)

    async def control_rollout(
        self,
        rollout: str,
        action: ControlAction,
        *,
        abort: AbortMode = AbortMode.REVERT,
        to_all: bool = False,
        skip: bool = False,
        requested_by: str = "",
    ) -> str:
        """Ask something of a rollout; the word by which ``Rollout.word`` tells that it heard.

        ``to_all``: promote to everybody left. ``skip``: roll back without robots that are newer.
        """
        return await rollouts.control(
            self.connection,
            ids.rollout_id(rollout),
            action,
            abort=abort,
            to_all=to_all,
            skip=skip,
            requested_by=requested_by,
        )

    async def rollout(self, rollout: str) -> Rollout:
        """One rollout as it stands."""
        return await rollouts.state(self.connection, ids.rollout_id(rollout))

    async def rollouts(self) -> list[Rollout]:
        """Every rollout as it stands, the newest first."""
        return await rollouts.states(self.connection)

    def watch_rollout(
        self, rollout: str, until: Callable[[Rollout], bool] = has_ended
    ) -> AsyncIterator[Rollout]:
        """A rollout as it stands, then each change, at first until it reached a final state."""
        return rollouts.watch(self.connection, ids.rollout_id(rollout), until)

    async def wait_rollout(self, rollout: str, *, timeout_s: float | None = None) -> Rollout:
        """The rollout in its final state; raises RolloutTimeoutError, which leaves it running."""
        return await rollouts.wait(self.connection, ids.rollout_id(rollout), timeout_s=timeout_s)

    # --- robots, telemetry, alerts

    async def robots(self, where: str = "all") -> Sequence[robots.RobotStatus]:
        """Enrolled robots that a selector names, each with what it last said about itself."""
        return await robots.selected(self.connection, where)

    async def telemetry(
        self,
        signal: str,
        *,
        start: datetime,
        end: datetime,
        robot: str | None = None,
        limit: int = 1000,
    ) -> TelemetryQueried:
        """Stored samples of one signal in [start, end), oldest first, at most ``limit``."""
        query = QueryTelemetry(
            signal=signal,
            robot_id=ids.robot_id(robot) if robot is not None else None,
            start=start,
            end=end,
            limit=limit,
        )
        answer: TelemetryQueried = await ask(self.connection, query)
        return answer

    async def telemetry_stream(self, robot: str | None = None) -> AsyncIterator[TelemetryFrame]:
        """Frames as robots send them, of one robot or all; ``samples_of`` unpacks them."""
        fields: dict[str, str] = {"robot_id": ids.robot_id(robot)} if robot is not None else {}
        async with live_facts(self.connection, TelemetryFrame, **fields) as frames:
            async for frame in frames:
                yield frame

    async def alerts(self) -> Sequence[alerts.AlertStatus]:
        """The newest incident of every alert that ever fired, the newest first."""
        return await alerts.statuses(self.connection)

    async def raise_alert(
        self,
        robot: RobotId,
        alert: str,
        *,
        value: float,
        expression: str,
        summary: str = "",
        severity: Severity = Severity.WARNING,
        labels: Mapping[str, str] | None = None,
    ) -> AlertFired:
        """Announce the next incident of an own alert (principal APPLICATION)."""
        return await alerts.raise_alert(
            self.connection,
            ids.robot_id(robot),
            ids.alert_name(alert),
            value=value,
            expression=expression,
            summary=summary,
            severity=severity,
            labels=labels,
        )

    async def resolve_alert(self, fired: AlertFired) -> AlertResolved:
        """Announce that an own alert no longer holds (principal APPLICATION)."""
        return await alerts.resolve_alert(self.connection, fired)


def _trace_unless_the_program_does(access: Access) -> None:
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        setup_tracing("fleetward-client", access.traces_dir)
