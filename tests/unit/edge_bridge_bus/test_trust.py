"""What a robot believes survives a crash, needs the registry for what is new, and nobody to go back."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_bridge.converging import trust as trust_module
from edge_bridge.converging.converge import Memory, Placed, accept, commit
from edge_bridge.converging.trust import Trust
from edge_bridge.errors import MetadataRefusedError, TargetForbiddenError, TransientError
from fleetward.contracts.ids import Digest, ModelName, ModelRef, RobotId, RolloutId, Version
from fleetward.contracts.robots import RobotTarget
from fleetward.contracts.trust import RefreshTrust, TrustRefreshed
from fleetward.trust.errors import RootRefusedError
from fleetward.trust.roles import COMMANDS, ROOT
from fleetward.trust.signing import SigningKey
from testkit.authority import Authority

ROBOT = RobotId("r1")
DET = ModelName("det")


class Rig:
    """One robot's trust and the authority it asks; the link can be cut."""

    def __init__(self, directory: Path) -> None:
        (directory / "keys").mkdir()
        self.directory = directory
        self.authority = Authority(directory / "keys")
        self.digests = {
            release: self.authority.publish(DET, f"v{release}", b"m%d" % release, release)
            for release in (1, 2)
        }
        self.authority.enrol(directory / "trust")
        self.linked = True
        self.asked = 0
        self.trust = self.robot()

    def robot(self) -> Trust:
        """The robot after a boot."""
        return Trust(ROBOT, self.directory / "trust", self.directory / "state" / "kept", self._ask)

    def target(self, release: int, fallback: int | None = None) -> RobotTarget:
        return RobotTarget(
            robot_id=ROBOT,
            generation=release,
            rollout_id=RolloutId("ro1"),
            model=ModelRef(DET, Version(f"v{release}")),
            digest=self.digests[release],
            fallback_digest=self.digests[fallback] if fallback else None,
            issued_at=self.authority.now,
        )

    async def permits(self, release: int, memory: Memory | None = None) -> None:
        target = self.target(release)
        held = memory or Memory()
        accepted = accept(held, target, "", self.authority.commands.key_id)
        await self.trust.permit(target, accepted)

    def serving_2_after_1(self) -> Memory:
        before = Placed(ModelRef(DET, Version("v1")), self.digests[1])
        return commit(Memory(target=self.target(2, fallback=1), active=before), 2)

    async def _ask(self, asked: RefreshTrust) -> TrustRefreshed:
        self.asked += 1
        if not self.linked:
            raise TransientError("the cable is out")
        return self.authority.answer(asked)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr(trust_module, "FRESH_FOR_S", 0.0)
    monkeypatch.setattr(trust_module, "RETRY_WAIT_S", 0.0)
    return Rig(tmp_path)


async def test_what_is_listed_is_permitted_and_what_is_not_is_forbidden(rig: Rig) -> None:
    await rig.permits(2)
    rig.digests[3] = Digest("sha256:" + "e" * 64)
    with pytest.raises(TargetForbiddenError, match="does not list det:v3"):
        await rig.permits(3)


async def test_what_was_published_a_moment_after_the_last_question_is_permitted(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust_module, "FRESH_FOR_S", 3600.0)
    await rig.permits(2)
    rig.digests[3] = rig.authority.publish(DET, "v3", b"m3", 3)
    await rig.permits(3)


async def test_a_boot_believes_what_was_kept_and_nothing_older(rig: Rig) -> None:
    old = dict(rig.authority.roles)
    rig.authority.publish(DET, "v3", b"m3", 3)
    await rig.trust.refresh(DET)
    version = rig.trust.version
    rig.trust = rig.robot()
    assert rig.trust.version == version
    rig.authority.roles = old
    with pytest.raises(MetadataRefusedError, match="BadVersionNumberError"):
        await rig.trust.refresh(DET)


async def test_a_kept_file_that_the_disk_spoiled_is_as_good_as_a_new_enrolment(rig: Rig) -> None:
    await rig.trust.refresh(DET)
    (rig.directory / "state" / "kept").write_bytes(b"rotten")
    rig.trust = rig.robot()
    assert rig.trust.version == 0
    await rig.permits(2)


async def test_the_registry_tells_a_robot_its_labels_which_it_keeps_with_the_cable_out(
    rig: Rig,
) -> None:
    rig.authority.labels = {"site": "berlin"}
    assert rig.trust.labels == {}
    await rig.trust.refresh(DET)
    assert rig.trust.labels == {"site": "berlin"}
    rig.authority.labels = {"site": "kyoto"}
    await rig.trust.refresh(None)
    rig.linked = False
    rig.trust = rig.robot()
    assert rig.trust.labels == {"site": "kyoto"}
    rig.linked, rig.authority.labels = True, None  # a registry that does not say
    await rig.trust.refresh(None)
    assert rig.trust.labels == {"site": "kyoto"}
    rig.authority.labels = {}
    await rig.trust.refresh(None)
    assert rig.trust.labels == {}


async def test_a_robot_that_was_never_enrolled_is_told_how(tmp_path: Path) -> None:
    with pytest.raises(RootRefusedError, match="export-root"):
        Trust(ROBOT, tmp_path, tmp_path / "kept", None)  # type: ignore[arg-type]  # never asked


async def test_with_the_cable_out_the_way_back_works_and_nothing_new_does(rig: Rig) -> None:
    memory = rig.serving_2_after_1()
    rig.linked = False
    await rig.permits(1, memory)
    assert rig.asked == 0
    with pytest.raises(TransientError, match="cable"):
        await rig.permits(2)


async def test_expired_metadata_permits_the_way_back_and_nothing_new(rig: Rig) -> None:
    await rig.trust.refresh(DET)
    memory = rig.serving_2_after_1()
    rig.authority.now += timedelta(days=3)  # nobody renewed
    with pytest.raises(MetadataRefusedError, match="expired"):
        await rig.permits(2)
    await rig.permits(1, memory)


@pytest.mark.parametrize("years", [-10, 74])
async def test_the_clock_of_the_robot_set_back_ten_years_or_to_2100_and_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, years: int
) -> None:
    """Nothing reads it: python-tuf is given the registry's time."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # as the robot's clock
            return datetime(2026 + years, 1, 1, tzinfo=timezone.utc)

    with monkeypatch.context() as wrong_clock:
        clock = SimpleNamespace(datetime=Wrong, timezone=timezone)
        wrong_clock.setattr("tuf.ngclient._internal.trusted_metadata_set.datetime", clock)
        await rig.permits(2)
        rig.authority.now += timedelta(days=3)
        with pytest.raises(MetadataRefusedError, match="expired"):
            await rig.permits(2)
    rig.authority.later(hours=1)
    await rig.permits(2)


async def test_a_revoked_command_key_moves_no_robot(rig: Rig) -> None:
    thief = rig.authority.commands
    fresh: dict[str, list[SigningKey]] = {COMMANDS: [rig.authority.new_key()]}
    rig.authority.rotate(fresh, rig.authority.keys[ROOT][:2])
    target = rig.target(2)
    with pytest.raises(TargetForbiddenError, match="may command robots no more"):
        await rig.trust.permit(target, accept(Memory(), target, "", thief.key_id))
    await rig.permits(2)


async def test_an_answer_that_was_recorded_is_refused(rig: Rig) -> None:
    recorded: list[TrustRefreshed] = []

    async def record(asked: RefreshTrust) -> TrustRefreshed:
        recorded.append(rig.authority.answer(asked))
        return recorded[0]

    trust = Trust(ROBOT, rig.directory / "trust", rig.directory / "other", record)
    await trust.refresh(DET)
    with pytest.raises(MetadataRefusedError, match="replay"):
        await trust.refresh(DET)


async def test_what_the_registry_holds_already_known_does_not_travel_again(rig: Rig) -> None:
    sizes: list[int] = []

    async def weigh(asked: RefreshTrust) -> TrustRefreshed:
        answer = rig.authority.answer(asked)
        sizes.append(sum(map(len, answer.roles.values())))
        return answer

    trust = Trust(ROBOT, rig.directory / "trust", rig.directory / "other", weigh)
    for _ in range(2):
        await trust.refresh(DET)
    assert sizes[1] < 600 < sizes[0]
