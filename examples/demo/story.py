"""The story the demo tells, act by act, on a running system.

Nothing here decides how a rollout goes: the story publishes, asks, breaks things, waits and
writes down what happened.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from examples.demo.observer import Observer
from examples.demo.releases import MODEL_NAME
from examples.demo.report import AlertLine, Report, RobotLine, RolloutLine
from examples.demo.webhook import Webhook
from fleetward.client.fleet import Fleet
from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutPolicy, RolloutState, Strategy
from fleetward.local.programs import process_of

ROLLOUT_LIMIT_S = 90.0
SETTLE_LIMIT_S = 30.0
ALERT_LIMIT_S = 20.0
LOOK_EVERY_S = 0.1
REGRESSION_ALERT = "InferenceOverBudget"
SILENCE_ALERT = "RobotSilent"

POLICY = RolloutPolicy(
    wave_percents=(20, 60, 100),
    bake_s=3.0,
    silent_after_s=45.0,
    latency_tolerance=1.0,
    min_inferences=20,
    proof_inferences=10,
    health_window_s=5.0,
)
"""A policy for impatient spectators: a real one bakes for minutes or hours."""

Kill = Callable[[str], Awaitable[None]]
"""Kills a process of the system with -9 by its name; it is started again by the supervisor."""


class Stage(Struct, frozen=True):
    """Everything the story needs at hand."""

    fleet: Fleet
    observer: Observer
    report: Report
    webhook: Webhook
    releases: Path
    kill: Kill
    picture: Callable[[], None]
    """Keeps the live view as it is now."""


async def perform(stage: Stage) -> None:
    """Tell the whole story; the report then says which promises were kept."""
    await publish_models(stage)
    await v1_everywhere(stage)
    await v2_by_canary(stage)
    await v3_is_taken_back(stage)
    await things_break(stage)
    await everybody_serves(stage)


async def publish_models(stage: Stage) -> None:
    """Three versions are published; nobody knows yet that the third is bad."""
    async with _act(stage, "publish", "Act 1: a team publishes three versions"):
        for version in ("v1", "v2", "v3"):
            path = stage.releases / f"{version}.onnx"
            pushed = await stage.fleet.push_model(path, MODEL_NAME, version)
            manifest = pushed.version.manifest
            stage.observer.versions[manifest.digest] = version
            stage.observer.tell(
                f"{manifest.model} is verified and signed: {manifest.size_bytes / 1e6:.1f} MB, "
                f"opset {manifest.opset}, {manifest.digest[:19]}"
            )


async def v1_everywhere(stage: Stage) -> None:
    """Every robot gets its first model."""
    async with _act(stage, "v1_everywhere", "Act 2: v1 goes to every robot"):
        ended = await _rollout(stage, "v1", "first-model", Strategy.ALL_AT_ONCE)
    serving = await _serving(stage, "v1", ended)
    stage.report.promise(
        "v1 serves on every robot",
        kept=ended.state is RolloutState.SUCCEEDED and serving == len(ended.robots),
        seen=f"{ended.state.value}, {serving} of {len(ended.robots)} robots serve v1",
    )


async def v2_by_canary(stage: Stage) -> None:
    """A good model: one robot, then three, then all."""
    async with _act(stage, "v2_promoted", "Act 3: v2 by canary: one robot, then three, then all"):
        ended = await _rollout(stage, "v2", "good-model", Strategy.CANARY)
    serving = await _serving(stage, "v2", ended)
    moved = await stage.fleet.move_alias(MODEL_NAME, "production", "v2")
    stage.observer.tell(f"{moved.name}@{moved.alias} is now {moved.version}", "good")
    stage.report.promise(
        "v2 is promoted by canary",
        kept=ended.state is RolloutState.SUCCEEDED and serving == len(ended.robots),
        seen=f"{ended.state.value} after {len(ended.waves)} waves, "
        f"{serving} of {len(ended.robots)} robots serve v2",
    )


async def v3_is_taken_back(stage: Stage) -> None:
    """A model that regressed: the canary's own telemetry stops it."""
    async with _act(stage, "v3_taken_back", "Act 4: v3 by canary; nothing says that it is bad"):
        ended = await _rollout(stage, "v3", "bad-model", Strategy.CANARY)
        await _until(lambda: _delivered(stage, REGRESSION_ALERT), ALERT_LIMIT_S)
    canaries = [robot for robot, at in ended.robots.items() if at.phase is not RobotPhase.WAITING]
    stage.report.promise(
        "v3 is stopped at the canary and taken back",
        kept=ended.state is RolloutState.REVERTED and set(canaries) == set(ended.waves[0]),
        seen=f"{ended.state.value} because {ended.reason.rstrip('.')}; given to {', '.join(canaries)} only",
    )
    serving = await _serving(stage, "v2", ended)
    bytes_back = _fetched(stage) - stage.observer.fetched_at_revert
    stage.report.promise(
        "the canary is back on v2 without a byte fetched",
        kept=serving == len(ended.robots) and bytes_back == 0,
        seen=f"{serving} robots serve v2, {bytes_back} bytes fetched to return",
    )
    stage.report.promise(
        "the alert is delivered to the webhook",
        kept=_delivered(stage, REGRESSION_ALERT),
        seen=f"webhook received {_spoken(stage.webhook.names())}",
    )


async def things_break(stage: Stage) -> None:
    """A rollout in the middle of which a bridge and the bus are killed with -9."""
    title = "Act 5: back to v1 by canary, while a bridge and then NATS are killed with -9"
    async with _act(stage, "rollout_under_faults", title):
        fetched_before = _fetched(stage)
        rollout = await stage.fleet.start_rollout(
            f"{MODEL_NAME}:v1", "all", policy=POLICY, rollout="under-faults", requested_by="demo"
        )
        following = asyncio.create_task(_follow(stage, rollout, fetched_before))
        victim = rollout.waves[1][0]
        await _until(lambda: _phase(stage, victim) is RobotPhase.TARGETED, ROLLOUT_LIMIT_S)
        stage.observer.tell(f"kill -9 of {victim}'s bridge, in mid-rollout", "break")
        stage.observer.cause(victim, SILENCE_ALERT)
        await stage.kill(process_of(victim))
        stage.observer.tell("kill -9 of nats-server", "break")
        await stage.kill("nats-server")
        stage.observer.tell("both were started again by the supervisor", "break")
        ended = await following
    serving = await _serving(stage, "v1", ended)
    stage.report.promise(
        "a rollout ends right although a bridge and NATS were killed with -9 in its middle",
        kept=ended.state is RolloutState.SUCCEEDED and serving == len(ended.robots),
        seen=f"{ended.state.value}, {serving} of {len(ended.robots)} robots serve v1",
    )


def write_down(report: Report, observer: Observer) -> None:
    """The last word on every robot and every alert."""
    for robot, last in sorted(observer.newest.items()):
        report.robots.append(
            RobotLine(
                id=robot,
                active_version=observer.version_of(last.active_digest),
                active_digest=last.active_digest or "",
                frames_served=observer.total(robot, "frames_served"),
                frames_dropped=observer.total(robot, "frames_dropped"),
                frames_reissued=observer.total(robot, "frames_reissued"),
            )
        )
    for at_s, fired in observer.alerts:
        after_s = observer.since_cause_s(fired.robot_id, fired.alert, at_s)
        report.alerts.append(
            AlertLine(name=fired.alert, robot=fired.robot_id, fired_after_s=after_s)
        )


async def everybody_serves(stage: Stage) -> None:
    """At the end no robot is without a working model."""
    newest = stage.observer.newest
    served = {robot: stage.observer.total(robot, "frames_served") for robot in newest}
    stage.report.promise(
        "every robot serves a model until the end",
        kept=min(served.values()) > 0 and all(last.active_digest for last in newest.values()),
        seen=f"{sum(served.values()):,} frames served by {len(served)} robots",
    )


async def _rollout(stage: Stage, version: str, name: str, strategy: Strategy) -> Rollout:
    fetched_before = _fetched(stage)
    rollout = await stage.fleet.start_rollout(
        f"{MODEL_NAME}:{version}",
        "all",
        strategy=strategy,
        policy=POLICY,
        rollout=name,
        requested_by="demo",
    )
    return await _follow(stage, rollout, fetched_before)


async def _follow(stage: Stage, started: Rollout, fetched_before: int) -> Rollout:
    """Watch a rollout to its end and write it down."""
    rollout, wave = started, -1
    async with asyncio.timeout(ROLLOUT_LIMIT_S):
        async for rollout in stage.fleet.watch_rollout(started.rollout_id):
            stage.observer.rollout = rollout
            if rollout.state is RolloutState.REVERTING:
                stage.observer.fetched_at_revert = _fetched(stage)
                stage.picture()
            if rollout.wave != wave:
                wave = rollout.wave
                for robot in rollout.waves[wave]:
                    stage.observer.cause(robot, REGRESSION_ALERT)
                stage.observer.tell(f"wave {wave + 1}: {', '.join(rollout.waves[wave])}")
    mood = "good" if rollout.state is RolloutState.SUCCEEDED else "bad"
    stage.observer.tell(f"rollout {rollout.state.value}: {rollout.reason}", mood)
    stage.report.bytes_moved[rollout.rollout_id] = _fetched(stage) - fetched_before
    stage.report.rollouts.append(
        RolloutLine(
            rollout=rollout.rollout_id,
            model=rollout.model.name,
            version=rollout.model.version,
            strategy=rollout.strategy.value,
            state=rollout.state.value,
            reason=rollout.reason,
        )
    )
    return rollout


async def _serving(stage: Stage, version: str, ended: Rollout) -> int:
    """How many of a rollout's robots check in with ``version``, once all do or time is up."""

    def serving() -> int:
        return sum(
            stage.observer.version_of(last.active_digest) == version
            for robot, last in stage.observer.newest.items()
            if robot in ended.robots
        )

    await _until(lambda: serving() == len(ended.robots), SETTLE_LIMIT_S)
    return serving()


def _delivered(stage: Stage, alert: str) -> bool:
    return any(name == alert for name, _ in stage.webhook.names())


def _fetched(stage: Stage) -> int:
    return sum(stage.observer.total(robot, "bytes_fetched") for robot in stage.observer.newest)


def _phase(stage: Stage, robot: RobotId) -> RobotPhase | None:
    rollout = stage.observer.rollout
    progress = rollout.robots.get(robot) if rollout else None
    return progress.phase if progress else None


async def _until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait for something the observer hears of; False when ``limit_s`` passed first."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
    return True


@asynccontextmanager
async def _act(stage: Stage, name: str, title: str) -> AsyncIterator[None]:
    stage.observer.tell(title, "act")
    began = time.monotonic()
    yield
    stage.report.timings_s[name] = round(time.monotonic() - began, 2)


def _spoken(alerts: set[tuple[str, str]]) -> str:
    return ", ".join(f"{alert} on {robot}" for alert, robot in sorted(alerts)) or "nothing"
