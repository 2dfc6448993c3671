"""Sites and targets: what binds and what is ordered, in the stream ROLLOUTS with the rollouts."""

from __future__ import annotations

from fleetward.contracts.robots import RobotNudged, SignedTarget
from fleetward.contracts.rows import MIB, PEOPLE, EventRow, Principal, StreamName
from fleetward.contracts.sites import SiteOccupancy, SitePolicySet

_P = Principal
_S = StreamName

EVENTS: tuple[EventRow, ...] = (
    EventRow(
        event=SitePolicySet,
        subject="site.policy_set.v1.{site}",
        producers=(_P.OPERATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        size_limit_bytes=32 * 1024,
        readers=(_P.COORDINATOR, *PEOPLE),
        listeners=(_P.COORDINATOR,),
    ),
    EventRow(
        event=SiteOccupancy,
        subject="site.occupancy.v1.{site}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="as robots of a site with a floor leave service and return to it",
        size_limit_bytes=1 * MIB,
        readers=(_P.COORDINATOR, *PEOPLE),
        newest_only=True,
    ),
    EventRow(
        event=SignedTarget,
        subject="robot.target.v1.{robot_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="one or two per robot and rollout",
        size_limit_bytes=16 * 1024,
        readers=(_P.COORDINATOR, _P.REGISTRY, _P.OPERATOR, _P.ROBOT),
    ),
    EventRow(
        event=RobotNudged,
        subject="robot.nudged.v1.{robot_id}",
        producers=(_P.COORDINATOR,),
        stream=None,
        rate="one per target",
        size_limit_bytes=1024,
        listeners=(_P.ROBOT,),
    ),
)
