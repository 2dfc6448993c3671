"""What a running robot feels while a large model is fetched, staged and swapped in, on a real system.

The robot's program (``edge_robot``) shows 30 frames a second to a model of 157 MB, and a control loop
(``edge_control``) runs beside it at 100 Hz; both write down what they saw. The hub, the store and all
services share the machine with the robot, which is harder than life.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import numpy as np
import onnx
from msgspec import Struct
from onnx import TensorProto, helper, numpy_helper

from fleetward.client.fleet import Fleet
from fleetward.contracts.rollouts import RolloutPolicy, RolloutState, Strategy
from fleetward.local.programs import Settings, fleet
from fleetward.local.up import local_system
from tests.bench.edge_robot import NOTES, RATE_HZ
from tests.bench.measurement import Measurement

HERE = Path(__file__).parent
NAME = "detector"
ROWS, COLUMNS = 4096, 9600
"""Of the one weight that makes the model's size: 157 MB."""
SIDE_PX = 64
ROUNDS = 3
QUIET_S = 15.0
SETTLE_S = 3.0
LIMIT_S = 180.0
LATE_S = 0.033
MAX_LATE_PERCENT = 1.0
MAX_CONTROL = 2.0
POLICY = RolloutPolicy(
    bake_s=1.0,
    min_inferences=5,
    proof_inferences=10,
    latency_tolerance=1000,
    confidence_tolerance=1,
)


class Felt(Struct, frozen=True):
    """Between two instants: how long each frame took in seconds, frames dropped, and the control loop's
    lateness in seconds."""

    frames_s: list[float]
    dropped: int
    control_s: list[float]

    @property
    def late_percent(self) -> float:
        """Of the frames that were answered."""
        late = sum(each > LATE_S for each in self.frames_s)
        return 100 * late / max(1, len(self.frames_s))

    @property
    def control_p99_ms(self) -> float:
        return float(np.percentile(self.control_s, 99)) * 1e3


async def measure() -> list[Measurement]:
    """Frames dropped, frames late and the control loop, swapping against not swapping."""
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        async with _robot(scratch) as operator, _control(scratch):
            for version in range(ROUNDS + 1):
                await operator.push_model(_model(scratch, version), NAME, str(version))
            await _rolled_out(operator, 0)
            await asyncio.sleep(SETTLE_S)
            quiet = await _felt(scratch, asyncio.sleep(QUIET_S))
            swapping = [
                await _felt(scratch, _rolled_out(operator, version))
                for version in range(1, ROUNDS + 1)
            ]
    return _compared(quiet, swapping)


def _compared(quiet: Felt, swapping: list[Felt]) -> list[Measurement]:
    megabytes = ROWS * COLUMNS * 4 / 1e6
    during = f"while {megabytes:.0f} MB are fetched, staged and swapped in"
    dropped = max(felt.dropped for felt in swapping)
    late = median(felt.late_percent for felt in swapping)
    control_ms = median(felt.control_p99_ms for felt in swapping)
    return [
        Measurement(
            name=f"frames dropped at {RATE_HZ} Hz {during}, the most of {ROUNDS} rounds",
            value=dropped,
            unit="frames",
            against=f"no swap: {quiet.dropped}",
            goal="0",
            met=dropped == 0,
        ),
        Measurement(
            name=f"frames answered later than 33 ms {during}, median of {ROUNDS} rounds",
            value=late,
            unit="%",
            against=f"no swap: {quiet.late_percent:.2f} %",
            goal=f"<= {MAX_LATE_PERCENT:g} %",
            met=late <= MAX_LATE_PERCENT,
        ),
        Measurement(
            name=f"control loop's p99 lateness at 100 Hz {during}, median of {ROUNDS} rounds",
            value=control_ms,
            unit="ms",
            ratio=control_ms / quiet.control_p99_ms,
            against=f"no swap: {quiet.control_p99_ms:.2f} ms",
            goal=f"<= {MAX_CONTROL:g}x",
            met=control_ms <= MAX_CONTROL * quiet.control_p99_ms,
        ),
    ]


@asynccontextmanager
async def _robot(scratch: Path) -> AsyncIterator[Fleet]:
    """A whole system with one robot, whose program is ours."""
    settings = Settings(
        home=scratch / "home",
        robots=fleet(1, {NOTES: str(scratch)}),
        programs={"edge-bridge.robot-1": [sys.executable, str(HERE / "edge_robot.py")]},
    )
    async with (
        local_system(settings, lambda happening: None),
        Fleet.connect(scratch / "home") as operator,
    ):
        yield operator


@asynccontextmanager
async def _control(scratch: Path) -> AsyncIterator[None]:
    loop = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "edge_control.py"), str(scratch / "control")
    )
    try:
        yield
    finally:
        loop.terminate()
        await loop.wait()


async def _rolled_out(operator: Fleet, version: int) -> None:
    started = await operator.start_rollout(
        f"{NAME}:{version}", "all", strategy=Strategy.ALL_AT_ONCE, policy=POLICY
    )
    ended = await operator.wait_rollout(started.rollout_id, timeout_s=LIMIT_S)
    if ended.state is not RolloutState.SUCCEEDED:
        raise RuntimeError(f"{NAME}:{version} was not rolled out: {ended.reason}")


async def _felt(scratch: Path, happening: Awaitable[None]) -> Felt:
    """What was written down while it happened."""
    at = {name: _size(scratch / name) for name in ("frames", "dropped", "control")}
    await happening
    await asyncio.sleep(1.0)  # the robot writes its account down once a second
    read = {name: _since(scratch / name, position) for name, position in at.items()}
    counts = [int(each) for each in read["dropped"]]
    before = _since(scratch / "dropped", 0)[: -len(counts) or None]
    return Felt(
        frames_s=read["frames"],
        dropped=counts[-1] - int(before[-1] if before else 0),
        control_s=read["control"],
    )


def _size(notes: Path) -> int:
    return notes.stat().st_size if notes.exists() else 0


def _since(notes: Path, position: int) -> list[float]:
    """The whole lines after ``position``."""
    with notes.open("rb") as file:
        file.seek(position)
        content = file.read()
    return [float(line) for line in content[: content.rfind(b"\n") + 1].split()]


def _model(scratch: Path, version: int) -> Path:
    """As large as a detector, as quick as one: a mean of the picture times one wide matrix."""
    rng = np.random.default_rng(version)
    weights = (rng.standard_normal((ROWS, COLUMNS), np.float32) / ROWS).astype(np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["mean", "one"], ["row"]),
        helper.make_node("Expand", ["row", "wide"], ["wider"]),
        helper.make_node("MatMul", ["wider", "weights"], ["scores"]),
        helper.make_node("ReduceMean", ["scores"], ["y"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        f"{NAME}-{version}",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([1, 1], np.int64), "one"),
            numpy_helper.from_array(np.array([1, ROWS], np.int64), "wide"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path = scratch / f"{version}.onnx"
    onnx.save(model, path)
    return path
