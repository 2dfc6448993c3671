"""A release of the bridge is given to robots that can take it, and judged by what they serve."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.ids import Digest, ModelRef, Version, model_selector
from fleetward.contracts.registry import ModelRecord
from fleetward.contracts.robots import MAX_PLACES, PipelineStanding
from fleetward.contracts.rollouts import RolloutRequested, Strategy
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.excluded import excluded
from rollout_coordinator.fleet import Fleet
from rollout_coordinator.joining import matched
from rollout_coordinator.plan import planned
from rollout_coordinator.preview import previewed
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.pipeline_scenes import (
    DETECTS,
    NEW_SIGHT,
    OLD_SIGHT,
    R1,
    SEGMENTER,
    SEGMENTERS,
    entry,
    knowing,
    says,
    standing,
    told,
)
from tests.unit.rollout_coordinator.scenes import OLD, START, activated, after, started, summary
from tests.unit.rollout_coordinator.set_scenes import with_records
from tests.unit.rollout_coordinator.test_plan import request, version

FIRST, SECOND = (ModelRef(BRIDGE_MODEL, Version(each)) for each in "12")
RELEASES = ModelRecord(
    name=BRIDGE_MODEL,
    versions=tuple(
        replace(made, manifest=replace(made.manifest, model=model))
        for made, model in (
            (version("1", OLD_SIGHT), FIRST),
            (version("2", NEW_SIGHT), SECOND),
        )
    ),
)
ASKED = request("edge-bridge:2")
R2 = scenes.robot(2)


def ready() -> Fleet:
    """r1 runs a release that was rolled out, beside its detector; r2's bridge was started by hand."""
    runs = entry(FIRST, OLD_SIGHT, 3)
    known = knowing(told(DETECTS, runs), says(standing(BRIDGE_MODEL, 3, OLD_SIGHT)))
    other = replace(known.robots[0], robot_id=R2)
    return replace(known, robots=(*known.robots, other))


def test_a_release_goes_to_who_can_take_it_and_leaves_what_the_robot_serves_alone() -> None:
    rollout = planned(ASKED, RELEASES, ready(), START)
    (progress,) = rollout.robots.values()
    assert set(rollout.robots) == {R1}
    assert (progress.generation, progress.previous) == (3, FIRST)
    why = excluded(rollout, ASKED, RELEASES, ready(), START)[R2]
    assert why.startswith("self-update is not available there")
    assert [group.named for group in previewed(ASKED, RELEASES, ready(), START).left_out] == [(R2,)]


def enrolled(model: ModelRef | None, digest: Digest | None = OLD_SIGHT) -> Fleet:
    """r1's bridge was never rolled out to; it says what enrolment brought."""
    brought = replace(standing(BRIDGE_MODEL, 0, digest), active_model=model)
    return knowing(DETECTS, says(brought))


def test_a_robot_goes_back_to_the_release_that_it_was_enrolled_with() -> None:
    progress = planned(ASKED, RELEASES, enrolled(FIRST), START).robots[R1]
    assert (progress.generation, progress.previous) == (0, FIRST)
    assert progress.previous_digest == OLD_SIGHT


@pytest.mark.parametrize(
    "fleet",
    [
        enrolled(None),
        enrolled(FIRST, None),
        enrolled(ModelRef(SEGMENTER, Version("1"))),
        enrolled(SECOND, NEW_SIGHT),
        replace(enrolled(FIRST), withdrawn={OLD_SIGHT: "sees ghosts"}),
    ],
    ids=["no name", "no digest", "another model", "what is given", "withdrawn"],
)
def test_what_is_no_way_back_is_none(fleet: Fleet) -> None:
    progress = planned(ASKED, RELEASES, fleet, START).robots[R1]
    assert (progress.previous, progress.previous_digest) == (None, None)


def test_a_release_that_nobody_can_take_is_refused() -> None:
    alone = knowing(DETECTS, says(standing(SEGMENTER)))
    with pytest.raises(PlanRefusedError, match="of r1: self-update is not available there"):
        planned(ASKED, RELEASES, alone, START)


def needing(*extras: str) -> Fleet:
    """r1 runs a release that was rolled out; its settings need these extras."""
    said = replace(says(standing(BRIDGE_MODEL, 3, OLD_SIGHT)), extras=extras)
    return knowing(told(DETECTS, entry(FIRST, OLD_SIGHT, 3)), said)


def bringing(extras: str) -> ModelRecord:
    """The second release was published with these extras."""
    first, second = RELEASES.versions
    manifest = replace(second.manifest, metadata={"extras": extras} if extras else {})
    return replace(RELEASES, versions=(first, replace(second, manifest=manifest)))


@pytest.mark.parametrize(
    ("needed", "brought"),
    [
        ((), ""),
        (("rules",), "rules"),
        (("foxglove", "rules"), "foxglove, rules, video"),
        ((), "rules"),
    ],
)
def test_a_robot_is_given_a_release_that_brings_what_its_settings_need(
    needed: tuple[str, ...], brought: str
) -> None:
    """A bridge that says nothing of extras is given it as well: it checks by itself."""
    assert set(planned(ASKED, bringing(brought), needing(*needed), START).robots) == {R1}


def test_a_robot_whose_settings_need_more_than_a_release_brings_is_left_out_and_the_extra_named() -> (
    None
):
    known, record = needing("foxglove", "rules"), bringing("rules, video")
    why = "its settings need foxglove, which this release lacks. Publish one with `fleetward bridge push "
    with pytest.raises(PlanRefusedError, match=f"of r1: {why}--extra foxglove --extra rules`"):
        planned(ASKED, record, known, START)
    (group,) = previewed(ASKED, record, known, START).left_out
    assert (group.named, group.reason.startswith(why)) == ((R1,), True)

    plain = replace(known.robots[0], robot_id=R2)
    both = replace(
        known,
        robots=(*known.robots, plain),
        heard={**known.heard, R2: needing().heard[R1]},
    )
    rollout = planned(ASKED, record, both, START)
    assert set(rollout.robots) == {R2}
    assert excluded(rollout, ASKED, record, both, START)[R1].startswith(why)


def test_nobody_joins_a_rollout_of_a_release_that_lacks_what_its_settings_need() -> None:
    running = replace(started(1, 1), model=SECOND, digest=NEW_SIGHT, is_continuous=True)
    known = needing("rules")
    assert not matched(running, (R1,), known, bringing("")).robots
    assert set(matched(running, (R1,), known, bringing("rules")).robots) == {R1}


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (replace(ASKED, strategy=Strategy.SHADOW), "cannot be rolled out by shadow"),
        (replace(ASKED, together=(model_selector("segmenter:2"),)), "switches with no model"),
    ],
)
def test_a_release_is_not_compared_or_switched_as_a_model_is(
    wanted: RolloutRequested, why: str
) -> None:
    known = replace(with_records(ready()), further={SEGMENTER: SEGMENTERS})
    with pytest.raises(PlanRefusedError, match=why):
        planned(wanted, RELEASES, known, START)


def test_a_robot_with_as_many_pipelines_as_there_may_be_has_a_place_for_its_bridge_too() -> None:
    names = [f"m{number}" for number in range(MAX_PLACES - 1)]
    many = [PipelineStanding(name=model_selector(f"{name}:1").name) for name in names]
    known = knowing(DETECTS, says(*many, standing(BRIDGE_MODEL)))
    assert set(planned(ASKED, RELEASES, known, START).robots) == {R1}


def test_a_release_is_told_by_what_its_robot_serves_since_it_proved_it() -> None:
    running = replace(started(1, 1), model=SECOND)
    before = after(running, (summary(1, 1, OLD), 1), (summary(2, 1, OLD), 1))
    assert before.evidence.canary.inferences == 0

    proved = after(before, (activated(1), 2), (summary(1, 3, OLD), 3), (summary(2, 3, OLD), 3))

    seen = proved.evidence
    assert (seen.canary.inferences, seen.control.inferences) == (20, 20)
