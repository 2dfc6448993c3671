"""``fleetward rollout explain`` and ``replay``: why it is here, and whether that can be made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.exits import Exit
from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet
from fleetward.contracts.decisions import LIGHT_DECISIONS_KEPT
from fleetward.contracts.wording import how_many

if TYPE_CHECKING:
    from fleetward.client import Fleet
    from fleetward.contracts.decisions import RolloutExplained

RolloutArgument = Annotated[str, typer.Argument(metavar="ROLLOUT", help="The rollout's id.")]
RobotArgument = Annotated[
    str | None, typer.Argument(metavar="ROBOT", help="One robot, in the rollout or not.")
]


def explain(
    rollout: RolloutArgument,
    robot: RobotArgument = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Say why a rollout is where it is, or why a robot is, and what would move it."""

    async def work(fleet: Fleet) -> None:
        from fleetward.client.explanations import explained

        answer = await explained(fleet.connection, rollout, robot)
        if as_json:
            show_json(_plain(answer))
            return
        print("\n".join(lines(answer)))

    with_fleet(home, work)


def replay(rollout: RolloutArgument, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Make every decision of a rollout again from its log: 0 all the same, 1 not."""

    async def work(fleet: Fleet) -> Exit:
        from fleetward.client.explanations import explained

        answer = await explained(fleet.connection, rollout)
        if as_json:
            show_json(_plain(answer)["log"])
        else:
            print(log_line(answer))
        return Exit.FAILED if answer.difference or not answer.reproduced else Exit.OK

    with_fleet(home, work)


def lines(answer: RolloutExplained) -> list[str]:
    """The answer for people."""
    told = [answer.now]
    if answer.why:
        told += ["", f"What led here{_as_kept(answer)}:"]
        told += [
            f"  {why.at:%Y-%m-%d %H:%M:%S} UTC  {why.effect} ({why.cause})" for why in answer.why
        ]
    if answer.moves:
        told += ["", "What would move it:", *(f"  {move}" for move in answer.moves)]
    if answer.decisions:
        told += ["", f"The log: {log_line(answer)}"]
    return told


def log_line(answer: RolloutExplained) -> str:
    """How much of the log was made again, and with what outcome."""
    if not answer.decisions:
        return f"no decision on {answer.rollout_id} was logged; there is nothing to make again."
    if answer.difference:
        return f"{answer.reproduced} of {answer.decisions} decisions reproduced, then {answer.difference}."
    if answer.reproduced == answer.decisions:
        return f"{answer.decisions} decisions, all reproduced{_no_longer_kept(answer)}."
    return (
        f"{answer.reproduced} of {answer.decisions} decisions reproduced; the others were made on "
        f"what is no longer kept{_no_longer_kept(answer)}."
    )


def _no_longer_kept(answer: RolloutExplained) -> str:
    """Of decisions that only counted telemetry, a bounded number is."""
    if not answer.forgotten:
        return ""
    return (
        f"; no longer kept: {how_many(answer.forgotten, 'further decision')} (of those that only "
        f"counted telemetry the newest {LIGHT_DECISIONS_KEPT} are)"
    )


def _as_kept(answer: RolloutExplained) -> str:
    is_partial = answer.forgotten or answer.reproduced < answer.decisions
    return ", as far as its decisions are kept" if is_partial else ""


def _plain(answer: RolloutExplained) -> dict[str, object]:
    return {
        "rollout": answer.rollout_id,
        "robot": answer.robot_id,
        "now": answer.now,
        "why": [
            {
                "at": why.at.isoformat(),
                "revision": why.revision,
                "cause": why.cause,
                "effect": why.effect,
            }
            for why in answer.why
        ],
        "moves": list(answer.moves),
        "log": {
            "decisions": answer.decisions,
            "forgotten": answer.forgotten,
            "reproduced": answer.reproduced,
            "difference": answer.difference,
        },
    }
