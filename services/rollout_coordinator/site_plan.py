"""Why a rollout could never go through at a site: said before it begins. Pure."""

from __future__ import annotations

from fleetward.contracts.rollouts import Rollout
from fleetward.contracts.surroundings import SiteRoom, Surroundings
from fleetward.contracts.wording import how_many
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.floors import may_serve, takes_places


def check_sites(rollout: Rollout, around: Surroundings) -> None:
    """Raise PlanRefusedError for a window that never opens or a floor that lets nobody go."""
    for site in sorted({progress.site for progress in rollout.robots.values()}):
        room = around.sites.get(site)
        if room is not None and room.closed and room.opens_at is None:
            raise PlanRefusedError(f"{room.closed}: `fleetward site set {site} --window ...`.")
        if room is not None and _lets_nobody_go(rollout, site, room):
            raise PlanRefusedError(
                f"site {site} must keep {room.floor} of its {how_many(room.robots, 'robot')} in service, so "
                "none may be given another model. Lower the floor with `fleetward site set "
                f"{site} --floor {max(room.robots - 1, 0)}`, or roll out with the strategy "
                "blue-green, which takes none out of service."
            )


def _lets_nobody_go(rollout: Rollout, site: str, room: SiteRoom) -> bool:
    """Whether even with every robot of the site in service none of the rollout's might leave it."""
    if room.floor is None or room.floor < room.robots or not takes_places(rollout):
        return False
    return any(
        progress.site == site and may_serve(progress) and robot not in room.idle
        for robot, progress in rollout.robots.items()
    )
