"""What was in production on this robot at 14:03 on Tuesday."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from fleetward.client.timeline import aliases_at, moment, served, serving_at, with_its_zone
from fleetward.contracts.ids import (
    ModelName,
    ModelRef,
    RobotId,
    RolloutId,
    Version,
    alias_name,
    model_name,
    version,
)
from fleetward.contracts.registry import AliasMoved
from fleetward.contracts.robots import ModelActivated, ModelFellBack
from testkit.telemetry import digest_of

TUESDAY = datetime(2026, 11, 24, 14, 0, tzinfo=timezone.utc)
DETECTOR = model_name("detector")
ARM = RobotId("arm-1")


def after(minutes: int) -> datetime:
    return TUESDAY + timedelta(minutes=minutes)


def activated(release: str, minutes: int, generation: int) -> ModelActivated:
    return ModelActivated(
        robot_id=ARM,
        rollout_id=RolloutId(f"r-{generation}"),
        generation=generation,
        model=ModelRef(DETECTOR, version(release)),
        digest=digest_of(release),
        inferences=20,
        swap_ms=1.0,
        warm_up_ms=1.0,
        bytes_fetched=0,
        activated_at=after(minutes),
    )


def fell_back(to: str, minutes: int, generation: int) -> ModelFellBack:
    return ModelFellBack(
        robot_id=ARM,
        rollout_id=RolloutId(f"r-{generation}"),
        generation=generation,
        from_digest=digest_of("b"),
        to_digest=digest_of(to),
        reason="its worker died",
        fell_back_at=after(minutes),
    )


HISTORY = served(
    [activated("b", 2, 2), activated("a", 0, 1), activated("c", 9, 3)], [fell_back("a", 4, 2)]
)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(-1, None), (0, "a"), (1, "a"), (2, "b"), (3, "b"), (4, "a"), (8, "a"), (9, "c"), (600, "c")],
)
def test_each_moment_has_the_model_that_served_then(minutes: int, expected: str | None) -> None:
    found = [each.model.version for each in serving_at(HISTORY, after(minutes)) if each.model]
    assert found == ([expected] if expected else [])


def test_each_model_serves_until_the_next_and_a_fall_says_why() -> None:
    assert [each.until for each in HISTORY] == [after(2), after(4), after(9), None]
    assert [each.fell_back_because for each in HISTORY] == ["", "", "its worker died", ""]


def test_a_fall_to_what_was_never_reported_is_known_by_its_digest() -> None:
    (first,) = served([], [fell_back("z", 0, 1)])
    assert (first.model, first.digest) == (None, digest_of("z"))
    assert served([], []) == ()


def test_each_pipeline_has_a_history_of_its_own() -> None:
    segmenter = ModelName("segmenter")
    sees = [
        replace(
            activated(release, minutes, generation), model=ModelRef(segmenter, version(release))
        )
        for release, minutes, generation in (("d", 1, 1), ("e", 5, 2))
    ]
    fell = replace(fell_back("d", 6, 2), from_digest=digest_of("e"))
    unknown = replace(fell_back("z", 7, 2), from_digest=digest_of("d"))
    detects = [activated("a", 0, 1), activated("b", 4, 2)]
    history = served([*detects, *sees], [fell, unknown], [segmenter])
    assert [(each.pipeline, each.since, each.until) for each in history] == [
        (None, after(0), after(4)),
        (segmenter, after(1), after(5)),
        (None, after(4), None),
        (segmenter, after(5), after(6)),
        (segmenter, after(6), after(7)),
        (segmenter, after(7), None),
    ]
    assert [each.digest for each in serving_at(history, after(5))] == [
        digest_of("b"),
        digest_of("e"),
    ]


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    berlin = moment("2026-11-24T15:03+01:00")
    assert berlin == moment("2026-11-24T14:03Z") == after(3)
    assert with_its_zone(berlin) == "2026-11-24 15:03:00 +0100"
    assert with_its_zone(after(3)) == "2026-11-24 14:03:00 UTC"
    (found,) = serving_at(HISTORY, berlin)
    assert found.digest == digest_of("b")


def test_a_moment_without_a_zone_is_in_this_machines() -> None:
    read = moment("2026-11-24T14:03")
    assert read.tzinfo is not None
    assert read.replace(tzinfo=None) == datetime(2026, 11, 24, 14, 3)  # noqa: DTZ001 (the words)


@pytest.mark.parametrize("text", ["", "Tuesday", "2026-13-01T00:00", "14:03"])
def test_words_are_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        moment(text)


def test_an_alias_named_what_it_was_last_moved_to() -> None:
    moves = [
        AliasMoved(
            name=DETECTOR,
            alias=alias_name(alias),
            version=Version(release),
            moved_at=after(minutes),
        )
        for alias, release, minutes in (
            ("production", "c", 9),
            ("production", "a", 0),
            ("canary", "b", 1),
        )
    ]
    assert aliases_at(moves, after(-1)) == {}
    assert aliases_at(moves, after(1)) == {"production": "a", "canary": "b"}
    assert aliases_at(moves, after(30)) == {"production": "c", "canary": "b"}
