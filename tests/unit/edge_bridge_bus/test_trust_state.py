"""What a robot may be told to serve, also by somebody who stole the coordinator's key."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from edge_bridge.converging.converge import Memory, Placed, commit
from edge_bridge.converging.trust_state import Word, is_held, reason_against, reason_against_return
from fleetward.contracts.ids import ModelName, ModelRef, RobotId, RolloutId, Version
from fleetward.contracts.robots import RobotTarget
from fleetward.trust.listing import Listed
from testkit.telemetry import digest_of

DET = ModelName("det")
NOBODY_KNOWS = Word(known=False, listed=None)
UNLISTED = Word(known=True, listed=None)


def model(release: int) -> ModelRef:
    return ModelRef(DET, Version(f"v{release}"))


def target(release: int, *, fallback: int | None = None, generation: int = 9) -> RobotTarget:
    return RobotTarget(
        robot_id=RobotId("r1"),
        generation=generation,
        rollout_id=RolloutId("ro1"),
        model=model(release),
        digest=digest_of(str(release)),
        fallback=model(fallback) if fallback else None,
        fallback_digest=digest_of(str(fallback)) if fallback else None,
        issued_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
    )


def word(release: int, *, fallback: bool = False, digest: str | None = None) -> Word:
    return Word(
        known=True,
        listed=Listed(
            digest=digest_of(digest or str(release)),
            release=release,
            fallback=fallback,
            manifest="",
            manifest_bytes=0,
        ),
    )


def serving(release: int, before: int, *, may_return: bool = True) -> Memory:
    """It served ``before``, then proved ``release``."""
    memory = Memory(
        target=target(release, fallback=before if may_return else None, generation=8),
        active=Placed(model(before), digest_of(str(before))),
        releases={DET: before},
    )
    return commit(memory, release)


def test_a_newer_release_is_taken() -> None:
    assert reason_against(target(4), serving(3, 2), word(4)) is None


@pytest.mark.parametrize("unlisted", [UNLISTED, NOBODY_KNOWS])
def test_director_compromised_alone_cannot_name_what_is_not_listed(unlisted: Word) -> None:
    reason = reason_against(target(4), serving(3, 2), unlisted)
    assert reason is not None
    assert "does not list det:v4" in reason


def test_director_compromised_alone_cannot_name_other_bytes_for_a_listed_version() -> None:
    reason = reason_against(target(4), serving(3, 2), word(4, digest="evil"))
    assert reason is not None
    assert "the registry lists" in reason


def test_signed_downgrade_is_refused_below_what_was_served() -> None:
    reason = reason_against(target(1), serving(3, 2), word(1))
    assert reason is not None
    assert "this robot served release 3" in reason


def test_signed_downgrade_is_taken_where_the_registry_permits_the_way_back() -> None:
    assert reason_against(target(1), serving(3, 2), word(1, fallback=True)) is None


def test_releases_of_another_model_do_not_count() -> None:
    memory = Memory(releases={ModelName("other"): 9})
    assert reason_against(target(1), memory, word(1)) is None


def test_the_way_back_that_the_target_named_needs_nobody_s_word() -> None:
    memory = serving(3, 2)
    assert is_held(target(2), memory)
    assert reason_against_return(target(2), memory, NOBODY_KNOWS) is None
    assert reason_against_return(target(2), memory, word(2)) is None


def test_what_serves_is_held_whatever_is_listed() -> None:
    memory = serving(3, 2)
    assert is_held(target(3), memory)
    assert reason_against_return(target(3), memory, UNLISTED) is None


def test_a_way_back_that_no_target_named_is_judged_like_any_other() -> None:
    assert not is_held(target(2), serving(3, 2, may_return=False))


def test_only_one_step_back_is_held() -> None:
    memory = serving(3, 2)
    back = commit(memory_with_target(memory, target(2)), 2)
    assert back.releases[DET] == 3, "going back does not lower what was served"
    assert not is_held(target(1), back)
    assert reason_against(target(1), back, word(1)) is not None


def test_a_withdrawn_way_back_is_refused() -> None:
    reason = reason_against_return(target(2), serving(3, 2), UNLISTED)
    assert reason is not None
    assert "withdrawn" in reason


def memory_with_target(memory: Memory, wanted: RobotTarget) -> Memory:
    return Memory(
        target=wanted,
        active=memory.active,
        previous=memory.previous,
        activated=memory.activated,
        releases=memory.releases,
    )
