"""What a rollout would be before it starts: the coordinator's plan, and the registry's price of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.requests import ask
from fleetward.client import robots
from fleetward.client.forecast import Forecast, Pace, forecast
from fleetward.client.opening_times import OpeningTimes
from fleetward.client.quotes import held_by, held_sets, priced
from fleetward.client.robots import RobotStatus
from fleetward.client.rollouts import new_rollout_id
from fleetward.client.sites import SitePolicies
from fleetward.contracts.ids import ModelRef, RobotId, model_selector
from fleetward.contracts.members import Member
from fleetward.contracts.policies import check_policy
from fleetward.contracts.registry import Variant
from fleetward.contracts.robots import ModelActivated
from fleetward.contracts.rollout_plans import PlanRollout, RolloutPlanned
from fleetward.contracts.rollouts import RolloutPolicy, RolloutRequested, Strategy
from fleetward.contracts.selectors import parse_selector
from fleetward.contracts.variants import fitting

_MS_PER_S = 1000
_Given = dict[ModelRef, list[RobotStatus]]


class RolloutPreview(Struct, frozen=True, kw_only=True):
    """The plan as the coordinator would start it; ``forecast`` is None when it would refuse.

    ``variants``: what each costs, where not all robots are given the same bytes.
    """

    plan: RolloutPlanned
    forecast: Forecast | None
    variants: tuple[VariantForecast, ...] = ()


class VariantForecast(Struct, frozen=True, kw_only=True):
    """One variant: how many robots of the plan are given it, and what they fetch together."""

    variant: Variant
    robots: int
    fetch_bytes: int


async def preview(
    connection: Client,
    model: str,
    to: str,
    *,
    strategy: Strategy = Strategy.CANARY,
    policy: RolloutPolicy = RolloutPolicy(),  # noqa: B008 (a frozen Struct)
    is_continuous: bool = False,
    begins_at: datetime | None = None,
    again: bool = False,
    together: Sequence[str] = (),
    link_mbps: float,
) -> RolloutPreview:
    """Ask what would become of a rollout asked for now; nothing starts and nothing moves.

    ``begins_at``: it would begin then, on the fleet of that time; shown is that of now.
    Raises MalformedError before anybody is asked, NoAnswerError without coordinator or registry.
    """
    parse_selector(to)
    check_policy(policy)
    now = datetime.now(timezone.utc)
    request = RolloutRequested(
        rollout_id=new_rollout_id(),
        model=model_selector(model),
        selector=to,
        strategy=strategy,
        policy=policy,
        is_continuous=is_continuous,
        begins_at=begins_at,
        again=again,
        together=tuple(map(model_selector, together)),
        requested_at=now,
    )
    plan: RolloutPlanned = await ask(connection, PlanRollout(request=request))
    if plan.refusal or plan.model is None:
        return RolloutPreview(plan=plan, forecast=None)
    known = await _reached(connection, plan)
    own = await _fetches(connection, _given_own(plan, known))
    fetches = await _with_members(connection, own, plan, known)
    pace = Pace(link_mbps=link_mbps, warm_up_s=_warm_ups_s(known))
    policies = {str(each.policy.site): each.policy for each in await SitePolicies(connection).all()}
    times = OpeningTimes(begins_at=begins_at or now, policies=policies)
    return RolloutPreview(
        plan=plan, forecast=forecast(plan, fetches, pace, times), variants=_of_each(plan, own)
    )


async def _reached(connection: Client, plan: RolloutPlanned) -> list[RobotStatus]:
    reached = {robot for wave in plan.waves for robot in wave.robots}
    statuses = await robots.statuses(connection)
    return [status for status in statuses if status.enrolled.robot_id in reached]


def _given_own(plan: RolloutPlanned, known: Sequence[RobotStatus]) -> _Given:
    """Whom the plan gives which artifact of its own model."""
    assert plan.model is not None
    variants, given = _given(plan), _Given()
    for status in known:
        variant = variants.get(status.enrolled.robot_id)
        given.setdefault(variant.model if variant else plan.model, []).append(status)
    return given


def _given_of(member: Member, known: Sequence[RobotStatus]) -> _Given:
    """The same of a model that switches together with it: by the robots' labels, as the plan did."""
    fits, given = fitting(member.variants), _Given()
    for status in known:
        number = fits(status.enrolled.labels) if member.variants else None
        if isinstance(number, int):
            given.setdefault(member.variants[number].model, []).append(status)
        elif number is None:
            given.setdefault(member.model, []).append(status)
    return given


async def _fetches(connection: Client, given: _Given) -> dict[RobotId, int]:
    """What each robot would fetch, priced once for those that are given and hold the same."""
    fetches: dict[RobotId, int] = {}
    for model, of in given.items():
        answer = await priced(connection, model, of)
        price = dict(zip(held_sets(of), answer.quotes, strict=True))
        fetches |= {each.enrolled.robot_id: price[held_by(each)].fetch_bytes for each in of}
    return fetches


async def _with_members(
    connection: Client,
    own: Mapping[RobotId, int],
    plan: RolloutPlanned,
    known: Sequence[RobotStatus],
) -> dict[RobotId, int]:
    """What each robot would fetch of all models of a set."""
    fetches = dict(own)
    for member in plan.together:
        for robot, more in (await _fetches(connection, _given_of(member, known))).items():
            fetches[robot] += more
    return fetches


def _given(plan: RolloutPlanned) -> dict[RobotId, Variant]:
    """Each robot's variant; empty where all are given the same bytes."""
    return {
        robot: plan.variants[number]
        for wave in plan.waves
        for robot, number in zip(wave.robots, wave.given, strict=False)
    }


def _of_each(plan: RolloutPlanned, fetches: Mapping[RobotId, int]) -> tuple[VariantForecast, ...]:
    given = _given(plan)
    return tuple(
        VariantForecast(
            variant=variant,
            robots=sum(each == variant for each in given.values()),
            fetch_bytes=sum(fetches[robot] for robot, each in given.items() if each == variant),
        )
        for variant in plan.variants
    )


def _warm_ups_s(known: Sequence[RobotStatus]) -> tuple[float, ...]:
    """How long each robot took at its last activation, as far as it was the last thing that happened."""
    return tuple(
        status.outcome.warm_up_ms / _MS_PER_S
        for status in known
        if isinstance(status.outcome, ModelActivated)
    )
