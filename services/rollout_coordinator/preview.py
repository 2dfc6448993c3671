"""The plan of a request as people see it beforehand: its waves, who is left out, what is doubtful. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import UNSET
from msgspec.structs import replace

from fleetward.contracts.control import OnConflict
from fleetward.contracts.errors import MalformedError
from fleetward.contracts.fleet_facts import is_online
from fleetward.contracts.ids import ModelName, RobotId
from fleetward.contracts.model_sets import parts
from fleetward.contracts.ownership import owners
from fleetward.contracts.places import Place, held_by
from fleetward.contracts.registry import ModelRecord
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rollout_plans import (
    MAX_ROBOTS_NAMED,
    PlannedWave,
    RobotGroup,
    RolloutPlanned,
)
from fleetward.contracts.rollouts import Rollout, RolloutRequested, RolloutState, Strategy
from fleetward.contracts.surroundings import NOTHING_AROUND, Surroundings
from rollout_coordinator.artifacts import Chosen
from rollout_coordinator.choosing import choice_of, wanted_of
from rollout_coordinator.conflicts import to_supersede
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.fleet import Fleet
from rollout_coordinator.plan import matching, mode_lacked, planned
from rollout_coordinator.site_plan import check_sites
from rollout_coordinator.standing import progresses

_Said = Iterable[tuple[RobotId, str]]


def previewed(
    request: RolloutRequested,
    record: ModelRecord | None,
    fleet: Fleet,
    now: datetime,
    around: Surroundings = NOTHING_AROUND,
) -> RolloutPlanned:
    """What would become of the request now, or why it would be refused; ``around`` is of its sites.

    One that is to begin later is shown as the fleet stands now.
    """
    asked = RolloutPlanned(
        strategy=request.strategy,
        policy=request.policy,
        enrolled=len(fleet.robots),
        begins_at=request.begins_at if is_later(request, now) else None,
    )
    try:
        rollout = planned(at_its_time(request, now), record, fleet, now)
        check_sites(rollout, around)
        to_supersede(rollout, fleet.open_rollouts)
    except (PlanRefusedError, MalformedError) as refused:
        return _refused(replace(asked, refusal=str(refused)), request, record, fleet, now)
    selected = matching(request.selector, fleet, now)
    misfits = choice_of(wanted_of(request, record, fleet), selected, fleet).misfits
    reached = [each for each in selected if each.robot_id in rollout.robots]
    others = [each.robot_id for each in selected if each.robot_id not in rollout.robots]
    return replace(
        asked,
        model=rollout.model,
        digest=rollout.digest,
        variants=rollout.variants,
        together=rollout.together,
        selected=len(selected),
        waves=tuple(_wave(rollout, wave) for wave in rollout.waves),
        left_out=_groups(
            (robot, misfits.get(robot) or _already_given(robot, rollout.model.name, fleet))
            for robot in others
        ),
        doubtful=_groups(_doubts(reached, rollout, fleet, _then(request, rollout), now)),
    )


def is_later(request: RolloutRequested, now: datetime) -> bool:
    """Whether it would wait for its time before it owns anybody."""
    return request.begins_at is not None and request.begins_at > now


def at_its_time(request: RolloutRequested, now: datetime) -> RolloutRequested:
    """The request as it is planned when it begins; who owns its robots now may have ended by then."""
    if not is_later(request, now):
        return request
    is_refused = request.policy.on_conflict is OnConflict.REFUSE
    on_conflict = OnConflict.WAIT if is_refused else request.policy.on_conflict
    return replace(request, begins_at=None, policy=replace(request.policy, on_conflict=on_conflict))


def _then(request: RolloutRequested, rollout: Rollout) -> str:
    """What becomes of the rollout when a robot belongs to another one."""
    if rollout.state is not RolloutState.QUEUED:
        return "this one takes it over"
    if request.policy.on_conflict is OnConflict.REFUSE:
        return "this one is refused if it still does by then"
    return "this one waits for it"


def _refused(
    asked: RolloutPlanned,
    request: RolloutRequested,
    record: ModelRecord | None,
    fleet: Fleet,
    now: datetime,
) -> RolloutPlanned:
    """As much as is known of a request that is refused: what stands in the way of which robot."""
    try:
        wanted, *members = wanted_of(request, record, fleet)
        selected = matching(request.selector, fleet, now)
    except (PlanRefusedError, MalformedError):
        return asked
    return replace(
        asked,
        model=wanted.model,
        digest=wanted.digest,
        variants=wanted.variants,
        together=tuple(each.as_member for each in members),
        selected=len(selected),
        left_out=_groups(
            _obstacles(choice_of((wanted, *members), selected, fleet), request, fleet)
        ),
    )


def _obstacles(choice: Chosen, request: RolloutRequested, fleet: Fleet) -> _Said:
    yield from choice.misfits.items()
    owned, standing = owners(fleet.open_rollouts), progresses(choice.of, fleet)
    for robot, given in choice.of.items():
        places = [fleet.place(robot, each.model.name) for each in choice.every(robot)]
        taken = [(place, owned[robot, place]) for place in places if (robot, place) in owned]
        lacked = mode_lacked(request.strategy, robot, fleet)
        if fleet.serves_all(robot, choice.every(robot)) and not request.again:
            yield robot, _already_given(robot, given.model.name, fleet)
        elif taken:
            place, owner = taken[0]
            yield (
                robot,
                f"{_pipeline(place)}belongs to rollout {owner.rollout_id}, which is {owner.state.value}",
            )
        elif lacked is not None:
            yield robot, f"its bridge did not say that it can {lacked.value} a model"
        elif request.strategy is Strategy.SHADOW and standing[robot].previous is None:
            yield robot, "would have nothing to go back to when the shadow ends"


def _pipeline(place: Place) -> str:
    """What of a robot is spoken of, where that is not all of it."""
    return f"its pipeline {place} " if place is not None else ""


def _already_given(robot: RobotId, model: ModelName, fleet: Fleet) -> str:
    now = fleet.served(robot, model)
    return f"was already given {now.model}" if now else "the plan left it out"


def _doubts(
    reached: Sequence[RobotEnrolled], rollout: Rollout, fleet: Fleet, then: str, now: datetime
) -> _Said:
    owned = owners(fleet.open_rollouts)
    for each in reached:
        for held in held_by(rollout, each.robot_id, rollout.robots[each.robot_id]):
            owner, (_, place) = owned.get(held), held
            if owner is not None:
                yield (
                    each.robot_id,
                    f"{_pipeline(place)}belongs to rollout {owner.rollout_id}; {then}",
                )
        heard = fleet.heard.get(each.robot_id)
        if not is_online(each, heard.at if heard else None, now):
            silent_after_s = rollout.policy.silent_after_s
            yield (
                each.robot_id,
                f"silent now; counts as unknown {silent_after_s:g} s after its turn",
            )
        every = parts(rollout, rollout.robots[each.robot_id])
        bare = [str(model.model) for model, at in every if at.previous is None]
        if len(bare) == len(every):
            yield each.robot_id, "has nothing to return to; a revert leaves it what it has"
        elif bare:
            yield each.robot_id, f"a revert leaves it {' and '.join(bare)}: it had none before"


def _wave(rollout: Rollout, robots: Sequence[RobotId]) -> PlannedWave:
    sites = Counter(rollout.robots[robot].site for robot in robots)
    given = (rollout.robots[robot].variant for robot in robots)
    return PlannedWave(
        robots=tuple(robots),
        sites=dict(sorted(sites.items())),
        given=tuple(number for number in given if number is not UNSET),
    )


def _groups(said: _Said) -> tuple[RobotGroup, ...]:
    """The largest group first."""
    grouped: dict[str, list[RobotId]] = defaultdict(list)
    for robot, reason in said:
        grouped[reason].append(robot)
    groups = [
        RobotGroup(reason=reason, robots=len(of), named=tuple(sorted(of)[:MAX_ROBOTS_NAMED]))
        for reason, of in grouped.items()
    ]
    return tuple(sorted(groups, key=lambda group: (-group.robots, group.reason)))
