"""What is said of a version is kept with it; what was withdrawn is refused everywhere."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from fleetward.bus.errors import RefusedError
from fleetward.bus.history import history
from fleetward.bus.last_values import last_value
from fleetward.client import Description, Fleet
from fleetward.contracts.codec import decode
from fleetward.contracts.curation import (
    SignedWithdrawals,
    Standing,
    Withdrawals,
    withdrawals_message,
)
from fleetward.contracts.ids import Digest
from fleetward.contracts.judgements import ModelApproved, ModelWithdrawn, ValidationReported
from fleetward.contracts.registry import AliasMoved, ModelManifest, ModelVersion
from fleetward.trust.signing import MANIFEST, SignatureError, TrustedKeys
from testkit.servers import NatsSystem
from tests.integration.model_registry import graphs
from tests.integration.model_registry.targets import give_target, granted

SAID = Description(lineage={"dataset": "roads-7", "commit": "c0ffee"}, card="# Adds a bias\n")


@pytest.fixture
def name() -> str:
    """A model name that no other test of the module uses."""
    return f"m-{uuid4().hex[:12]}"


async def push(fleet: Fleet, tmp_path: Path, name: str, release: str) -> ModelVersion:
    """Publish bytes that no other test has."""
    bias = int(uuid4().hex[:6], 16) / 7.0
    path = graphs.saved(graphs.good_model(bias), tmp_path / f"{name}-{release}.onnx")
    return (await fleet.push_model(path, name, release, description=SAID)).version


async def test_a_version_keeps_its_lineage_licence_and_card(
    fleet: Fleet, tmp_path: Path, name: str
) -> None:
    await push(fleet, tmp_path, name, "1.0")

    curated = await fleet.curation.of(f"{name}:1.0")

    assert curated.curation.lineage == SAID.lineage
    assert curated.curation.licence == "Apache-2.0"  # the file says so
    assert curated.card == SAID.card
    assert curated.curation.standing is Standing.CURRENT


async def test_a_description_that_is_refused_leaves_nothing(
    fleet: Fleet, tmp_path: Path, name: str
) -> None:
    path = graphs.saved(graphs.good_model(), tmp_path / "model.onnx")
    with pytest.raises(RefusedError) as refused:
        await fleet.push_model(path, name, "1.0", description=Description(licence="ask us"))

    assert refused.value.code == "DescriptionRefusedError"
    assert await fleet.curation.of_all(name) == {}  # type: ignore[arg-type]  # an id by construction


async def test_withdrawn_bytes_are_refused_everywhere(
    fleet: Fleet, shared_nats_system: NatsSystem, tmp_path: Path, name: str
) -> None:
    bad, good = [await push(fleet, tmp_path, name, release) for release in ("1.0", "2.0")]
    await give_target(shared_nats_system, "arm-1", good, fallback=bad)

    await fleet.curation.withdraw(f"{name}:1.0", reason="sees ghosts", by="ada")

    attempts = {
        "fetch": granted(shared_nats_system, "arm-1", bad.manifest.digest),
        "alias": fleet.move_alias(name, "production", "1.0"),
        "approve": fleet.curation.approve(f"{name}:1.0", by="ada"),
        "again": fleet.push_model(tmp_path / f"{name}-1.0.onnx", f"{name}-new", "1.0"),
    }
    for attempt in attempts.values():
        with pytest.raises(RefusedError, match="sees ghosts") as refused:
            await attempt
        assert refused.value.code == "WithdrawnError"
    assert (await granted(shared_nats_system, "arm-1", good.manifest.digest)).signed == good.signed
    facts = [fact async for fact in history(fleet.connection, ModelWithdrawn, name=name)]
    assert [(fact.digest, fact.by) for fact in facts] == [(bad.manifest.digest, "ada")]


async def test_a_robot_reads_and_verifies_the_list_of_withdrawn_digests(
    fleet: Fleet,
    registry: TrustedKeys,
    shared_nats_system: NatsSystem,
    tmp_path: Path,
    name: str,
) -> None:
    releases = ["1.0", "2.0", "3.0"]
    digests = {(await push(fleet, tmp_path, name, each)).manifest.digest for each in releases}
    withdrawing = [fleet.curation.withdraw(f"{name}:{each}", reason="no") for each in releases]
    await asyncio.gather(*withdrawing)  # each must find its place in the one list

    robot = await shared_nats_system.connect("arm-1")
    found = await last_value(robot, SignedWithdrawals)

    assert found is not None
    signed = found.event
    message = withdrawals_message(signed.payload)
    registry.verify(MANIFEST, message, signed.key_id, signed.signature)
    assert digests <= set(decode(signed.payload, Withdrawals).reasons)
    with pytest.raises(SignatureError):
        registry.verify(MANIFEST, signed.payload, signed.key_id, signed.signature)


def report_of(name: str, digest: Digest) -> bytes:
    """What a simulator says of ``name:1.0``."""
    return msgspec.json.encode(
        {
            "kind": "sim",
            "name": name,
            "version": "1.0",
            "digest": digest,
            "passed": True,
            "reported_by": "gazebo",
            "started_at": "2026-01-02T03:00:00Z",
            "ended_at": "2026-01-02T03:04:00Z",
        }
    )


async def test_an_alias_with_gates_moves_once_all_evidence_is_there(
    fleet: Fleet, tmp_path: Path, name: str
) -> None:
    manifest = (await push(fleet, tmp_path, name, "1.0")).manifest
    gates = ("inspected", "licence:Apache-2.0", "report:sim", "approvals:2")
    await fleet.curation.require_gates(name, "production", gates)
    report = report_of(name, manifest.digest)

    async def refusal() -> str:
        with pytest.raises(RefusedError) as refused:
            await fleet.move_alias(name, "production", "1.0")
        assert refused.value.code == "GateMissingError"
        return str(refused.value)

    assert "the gate report:sim is missing" in await refusal()
    await fleet.curation.report(f"{name}:1.0", report)
    assert "the gate approvals:2 is missing" in await refusal()
    await fleet.curation.approve(f"{name}:1.0", by="ada")
    await fleet.curation.approve(f"{name}:1.0", by="ADA")
    assert "1 of 2 approvals (by ada)" in await refusal()
    await fleet.curation.approve(f"{name}:1.0", by="grace")

    await fleet.move_alias(name, "production", "1.0", by="ada")

    moves = [fact async for fact in history(fleet.connection, AliasMoved, name=name)]
    yeses = [fact async for fact in history(fleet.connection, ModelApproved, name=name)]
    told = [fact async for fact in history(fleet.connection, ValidationReported, name=name)]
    assert [(move.version, move.by) for move in moves] == [("1.0", "ada")]
    assert [yes.by for yes in yeses] == ["ada", "grace"]
    assert [fact.payload for fact in told] == [report]


async def test_what_is_said_of_a_version_is_said_of_each_of_its_variants(
    fleet: Fleet, shared_nats_system: NatsSystem, tmp_path: Path, name: str
) -> None:
    path = graphs.saved(graphs.good_model(), tmp_path / "plain.onnx")
    variants = {
        f"2.0+{kind}": (
            await fleet.push_model(
                graphs.saved(graphs.good_model(bias), tmp_path / f"{kind}.onnx"),
                name,
                f"2.0+{kind}",
                fits=f"hw={kind}",
            )
        ).version
        for kind, bias in (("orin", 3.5), ("thor", 4.5))
    }
    await fleet.curation.require_gates(name, "production", ("approvals:1",))
    await fleet.curation.approve(f"{name}:2.0+orin", by="ada")
    with pytest.raises(RefusedError, match=r"does not move to 2\.0\+thor: the gate approvals:1"):
        await fleet.move_alias(name, "production", "2.0")
    await fleet.curation.approve(f"{name}:2.0+thor", by="ada")
    await fleet.move_alias(name, "production", "2.0")
    with pytest.raises(RefusedError, match=r"names 2\.0 already") as refused:
        await fleet.push_model(path, name, "2.0")
    assert refused.value.code == "VariantRefusedError"
    orin, thor = variants.values()
    await give_target(shared_nats_system, "arm-1", orin, fallback=thor)
    for each in (orin, thor):
        assert decode(each.signed.payload, ModelManifest).fits == each.manifest.fits
        grant = await granted(shared_nats_system, "arm-1", each.manifest.digest)
        assert grant.signed == each.signed

    await fleet.curation.withdraw(f"{name}@production", reason="sees ghosts")

    for said in await fleet.curation.of_each(f"{name}:2.0"):
        assert said.version == variants[said.version.manifest.model.version]
        assert said.curation.standing is Standing.WITHDRAWN
        with pytest.raises(RefusedError, match="sees ghosts"):
            await granted(shared_nats_system, "arm-1", said.version.manifest.digest)
