"""How fast a rollout reaches robots and how fast it is taken back, on a real system of five."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from examples.demo import releases
from fleetward.bus.last_values import last_value
from fleetward.client.fleet import Fleet
from fleetward.client.live import LiveFacts, live_facts
from fleetward.contracts.ids import Digest
from fleetward.contracts.robots import ModelActivated, SignedTarget
from fleetward.contracts.rollouts import Rollout, RolloutPolicy, RolloutState, Strategy
from fleetward.local.programs import Settings, fleet
from fleetward.local.system import LocalSystem
from fleetward.local.up import local_system
from tests.bench.measurement import Measurement

ROBOTS = 5
FRAME_RATE_HZ = 8
PROOF_INFERENCES = 8
ROLLOUT_LIMIT_S = 90.0
REST_S = 3.0
MIB = 1024 * 1024
MAX_PROOFS = 3
MAX_BARE_PROCESSES = 4
RULE_S = 4.0
"""The shipped InferenceOverBudget rule: a median over 3 s that holds for 1 s."""
POLICY = RolloutPolicy(
    wave_percents=(20, 100),
    bake_s=1.0,
    proof_inferences=PROOF_INFERENCES,
    min_inferences=8,
    latency_tolerance=1.0,
    health_window_s=5.0,
)
BARE_PROCESS = (
    "import asyncio, msgspec, nats, os, psutil;print(psutil.Process(os.getpid()).memory_info().rss)"
)


async def measure() -> list[Measurement]:
    """Activation, take-back and memory of one system, in that order."""
    releases.materialise(releases.DESTINATION)
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "home"
        async with _system(home) as system, Fleet.connect(home) as fleet_:
            resting = await _memory_at_rest(system)
            for version in ("v2", "v3"):
                path = releases.DESTINATION / f"{version}.onnx"
                await fleet_.push_model(path, releases.MODEL_NAME, version)
            activation = await _activation(fleet_)
            return [*activation, *await _taken_back(fleet_, home), *resting]


@asynccontextmanager
async def _system(home: Path) -> AsyncIterator[LocalSystem]:
    environment = {
        "FLEETWARD_FRAMES_DIR": str((releases.DESTINATION / "frames").resolve()),
        "FLEETWARD_FRAME_RATE_HZ": str(FRAME_RATE_HZ),
        "FLEETWARD_FRAME_HEIGHT_PX": str(releases.FRAME_HEIGHT_PX),
        "FLEETWARD_FRAME_WIDTH_PX": str(releases.FRAME_WIDTH_PX),
    }
    settings = Settings(home=home, robots=fleet(ROBOTS, environment))
    async with local_system(settings, lambda happening: None) as system:
        yield system


async def _activation(fleet_: Fleet) -> list[Measurement]:
    """From the request to the first and the last of five robots proving the model."""
    began = asyncio.get_running_loop().time()
    async with live_facts(fleet_.connection, ModelActivated) as activated:
        started = await _start(fleet_, "v2", Strategy.ALL_AT_ONCE)
        moments_s = [await _next_activation(activated, began) for _ in started.robots]
    await fleet_.wait_rollout(started.rollout_id, timeout_s=ROLLOUT_LIMIT_S)
    floor_s = PROOF_INFERENCES / FRAME_RATE_HZ
    against = f"the proof alone, {PROOF_INFERENCES} inferences at {FRAME_RATE_HZ} Hz: {floor_s:g} s"
    return [
        Measurement(
            name=f"rollout start to {which} of {ROBOTS} robots activated",
            value=moment_s,
            unit="s",
            ratio=moment_s / floor_s,
            against=against,
            goal=f"<= {MAX_PROOFS}x the proof",
            met=moment_s <= MAX_PROOFS * floor_s,
        )
        for which, moment_s in (("first", moments_s[0]), ("last", moments_s[-1]))
    ]


async def _taken_back(fleet_: Fleet, home: Path) -> list[Measurement]:
    """From the first frame served by a regressed model to the target that takes it back."""
    digest = (await fleet_.model(f"{releases.MODEL_NAME}:v3")).manifest.digest
    started = await _start(fleet_, "v3", Strategy.CANARY)
    ended = await fleet_.wait_rollout(started.rollout_id, timeout_s=ROLLOUT_LIMIT_S)
    if ended.state is not RolloutState.REVERTED:
        raise RuntimeError(f"v3 was not taken back: {ended.state.value}, {ended.reason}")
    robot = ended.waves[0][0]
    target = await last_value(fleet_.connection, SignedTarget, robot_id=robot)
    assert target is not None, "the robot was just given one"
    stored_s = target.stored_at.timestamp()
    first_frame_s = _first_frame_s(home, digest)
    taken_s = stored_s - first_frame_s
    return [
        Measurement(
            name="first regressed frame to rollback target written",
            value=taken_s,
            unit="s",
            ratio=taken_s / RULE_S,
            against=f"the rule's own window and `for`: {RULE_S:g} s",
            goal="<= 1.5x the rule",
            met=taken_s <= 1.5 * RULE_S,
        )
    ]


async def _start(fleet_: Fleet, version: str, strategy: Strategy) -> Rollout:
    return await fleet_.start_rollout(
        f"{releases.MODEL_NAME}:{version}",
        "all",
        strategy=strategy,
        policy=POLICY,
        requested_by="bench",
    )


async def _next_activation(activated: LiveFacts[ModelActivated], began_s: float) -> float:
    if await activated.next(ROLLOUT_LIMIT_S) is None:
        raise RuntimeError(f"no robot activated within {ROLLOUT_LIMIT_S} s")
    return asyncio.get_running_loop().time() - began_s


def _first_frame_s(home: Path, digest: Digest) -> float:
    """When the first frame was served on ``digest``, from the robots' own traces."""
    ends = []
    for path in (home / "traces").glob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            span = json.loads(line)
            if span["name"] == "bridge.first_frame" and span["attributes"].get("digest") == digest:
                ends.append(span["end_ns"])
    return float(min(ends)) / 1e9


async def _memory_at_rest(system: LocalSystem) -> list[Measurement]:
    """Resident memory of each process, its children included, before any model was rolled out."""
    await asyncio.sleep(REST_S)
    bare = await asyncio.to_thread(_bare_process_bytes)
    found: dict[str, int] = {}
    for process in system.processes():
        kind = process.name.split(".")[0]
        found[kind] = max(found.get(kind, 0), _resident_bytes(process.pid))
    against = f"a Python process that imports nats-py and msgspec: {bare / MIB:.0f} MiB"
    return [
        Measurement(
            name=f"resident memory at rest: {kind}",
            value=round(resident / MIB, 1),
            unit="MiB",
            ratio=resident / bare,
            against=against,
            goal=f"<= {MAX_BARE_PROCESSES}x a bare process",
            met=resident <= MAX_BARE_PROCESSES * bare,
        )
        for kind, resident in found.items()
    ]


def _resident_bytes(pid: int) -> int:
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return sum(member.memory_info().rss for member in family)


def _bare_process_bytes() -> int:
    output = subprocess.run(
        [sys.executable, "-c", BARE_PROCESS], check=True, capture_output=True, text=True
    ).stdout
    return int(output)
