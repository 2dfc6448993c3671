"""Bad input by the real command line: one line that says what to do, and nothing half-written."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import onnx
import pytest

from examples.demo import releases
from fleetward.client.access import read_access
from fleetward.contracts.registry import UPLOADS_PREFIX
from fleetward.delivery.s3 import s3_client
from fleetward.local.home import Addresses
from testkit.command_line import Ran, run
from tests.faults.conftest import Fleetward
from tests.faults.fleet_facts import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

NAME = releases.MODEL_NAME
COMMAND = str(Path(sys.executable).with_name("fleetward"))
HUGE_BYTES = 256 * 1024 * 1024
"""So long that a push of it can be killed in the middle."""


async def fleetward_command(system: Fleetward, *arguments: str) -> Ran:
    """Run the command on a system."""
    return await run({"FLEETWARD_HOME": str(system.system.home.path)}, *arguments)


class Held(NamedTuple):
    """Everything a refused command could have left something in."""

    objects: frozenset[str]
    parts: frozenset[str]
    versions: frozenset[str]
    rollouts: frozenset[str]


async def held(system: Fleetward) -> Held:
    """What the bucket (whole objects, and parts of unfinished uploads), registry and stream hold."""
    home = system.system.home.path
    addresses = msgspec.json.decode((home / "addresses.json").read_bytes(), type=Addresses)
    keys, store = addresses.store_keys.registry, read_access(home).store
    assert store is not None
    async with s3_client(store.endpoint, keys.access_key, keys.secret_key) as client:
        listed = await client.list_objects_v2(Bucket=store.bucket)
        unfinished = await client.list_multipart_uploads(Bucket=store.bucket)
    return Held(
        objects=frozenset(entry["Key"] for entry in listed.get("Contents", ())),
        parts=frozenset(entry["Key"] for entry in unfinished.get("Uploads", ())),
        versions=frozenset(
            f"{version.manifest.model} {record.aliases}"
            for record in await system.fleet.models()
            for version in record.versions
        ),
        rollouts=frozenset(rollout.rollout_id for rollout in await system.fleet.rollouts()),
    )


@pytest.fixture(scope="module")
def files(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What people push by mistake, by what is wrong with it."""
    directory = tmp_path_factory.mktemp("files")
    whole = (models / "v1.onnx").read_bytes()
    contents = {
        "text": b"dear registry, please run this\n" * 100,
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "other": whole,
    }
    for name, content in contents.items():
        (directory / f"{name}.onnx").write_bytes(content)
    outside = onnx.load_from_string(whole)
    tensor = outside.graph.initializer.add(
        name="weights", dims=[4], data_type=onnx.TensorProto.FLOAT
    )
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    onnx.save(outside, str(directory / "external.onnx"))
    rebuilt = onnx.load_from_string(whole)
    rebuilt.metadata_props.add(key="build", value="again")
    onnx.save(rebuilt, str(directory / "rebuilt.onnx"))
    return {path.stem: str(path) for path in directory.iterdir()}


def push(file: str, version: str = "bad", name: str = NAME) -> list[str]:
    """The arguments of a push."""
    return ["model", "push", file, "--name", name, "--version", version]


def start(model: str, selector: str) -> list[str]:
    """The arguments of a start."""
    return ["rollout", "start", model, "--to", selector]


REFUSED = {
    "unknown model": (start("nobody:1", "all"), "nobody", 1),
    "unknown version": (start(f"{NAME}:nothing", "all"), "nothing", 1),
    "unknown alias": (start(f"{NAME}@nothing", "all"), "nothing", 1),
    "empty selection": (start(f"{NAME}:good", "site=mars"), "site=mars", 1),
    "bad model": (start("Not A Model", "all"), "Not A Model", 2),
    "bad name": (push("{other}", name="../escape"), "'../escape' is not valid", 2),
    "bad version": (push("{other}", version="1..2"), "'1..2' is not valid", 2),
    "no such file": (push("/nowhere.onnx"), "/nowhere.onnx cannot be read", 1),
    "a directory": (push("/"), "/ cannot be read", 1),
    "empty file": (push("{empty}"), "is empty", 1),
    "not ONNX": (push("{text}"), "ONNX", 1),
    "truncated ONNX": (push("{truncated}"), "ONNX", 1),
    "external data": (push("{external}"), "external", 1),
    "version taken by other bytes": (push("{rebuilt}", version="good"), "good", 1),
    "alias of nothing": (["model", "alias", f"{NAME}@live", "nothing"], "nothing", 1),
    "alias race lost": (
        ["model", "alias", f"{NAME}@live", "good", "--expect", "older"],
        "was expected to name older",
        1,
    ),
    "bad rollout id": (["rollout", "status", "Not An Id"], "'Not An Id' is not valid", 2),
    "unknown rollout": (["rollout", "abort", "r-nobody"], "r-nobody", 1),
    "bad robot id": (
        ["telemetry", "query", "link.rtt", "--robot", "*"],
        "robot id '*' is not valid",
        2,
    ),
}


async def test_each_mistake_is_one_line_a_code_and_nothing_written(
    fleetward: Fleetward, files: dict[str, str]
) -> None:
    assert (await fleetward_command(fleetward, *push(files["other"], "good"))).code == 0
    before = await held(fleetward)
    at_once = asyncio.Semaphore(3)

    async def mistaken(
        case: str, arguments: Sequence[str], words: str, code: int, how: Sequence[str]
    ) -> None:
        given = [argument.format(**files) for argument in arguments]
        async with at_once:
            ran = await fleetward_command(fleetward, *given, *how)
        told = f"{case} {how}: {ran}"
        assert ran.code == code, told
        assert ran.output == "", told
        assert words in ran.complaint, told
        assert ran.complaint.startswith("fleetward: "), told
        assert len(ran.complaint.splitlines()) == 1, told

    ways = itertools.cycle([["--json"], []])
    await asyncio.gather(
        *(
            mistaken(case, *refused, how)
            for (case, refused), how in zip(REFUSED.items(), ways, strict=False)
        )
    )
    assert await held(fleetward) == before


async def test_a_wrong_selector_is_pointed_at(fleetward: Fleetward) -> None:
    await fleetward_command(fleetward, *push(str(fleetward.models / "v1.onnx"), "good"))
    selector = "site=lab and ("
    ran = await fleetward_command(fleetward, *start(f"{NAME}:good", selector))
    assert (ran.code, ran.output) == (2, "")
    written, pointer = ran.complaint.splitlines()[1:3]
    assert written == selector
    assert pointer.rstrip() == " " * len(selector) + "^"


async def test_a_push_killed_in_the_middle_is_nowhere_to_be_seen_and_the_next_one_works(
    fleetward: Fleetward, files: dict[str, str], tmp_path: Path
) -> None:
    huge = tmp_path / "huge.onnx"
    chance = random.Random(3)
    with huge.open("wb") as file:
        for _ in range(HUGE_BYTES // (1024 * 1024)):
            file.write(chance.randbytes(1024 * 1024))
    before = await held(fleetward)
    pushing = await asyncio.create_subprocess_exec(
        *(COMMAND, *push(str(huge), "cut")),
        env={**os.environ, "FLEETWARD_HOME": str(fleetward.system.home.path)},
    )

    async def under_way() -> bool:
        now = await held(fleetward)
        return now.parts != before.parts or now.objects != before.objects

    await eventually(under_way)
    pushing.kill()
    await pushing.wait()

    after = await held(fleetward)
    kept = frozenset(key for key in after.objects if not key.startswith(UPLOADS_PREFIX))
    assert (kept, after.versions) == (before.objects, before.versions)
    ran = await fleetward_command(fleetward, *push(files["other"], "cut"), "--json")
    assert ran.code == 0, ran
    assert "cut" in {
        held.manifest.model.version for held in (await fleetward.fleet.model_record(NAME)).versions
    }
