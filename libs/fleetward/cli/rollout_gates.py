"""``fleetward rollout approve`` and ``reject``, and how a gate is written on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.durations import seconds
from fleetward.cli.people import asking, person
from fleetward.cli.session import DEFAULT_HOME, Home, Json, with_fleet
from fleetward.contracts.gates import MAX_COMMENT_CHARACTERS, Checkpoint, Gate, GateKind

if TYPE_CHECKING:
    from fleetward.client import Fleet
    from fleetward.contracts.rollouts import Rollout

RolloutArgument = Annotated[str, typer.Argument(metavar="ROLLOUT", help="The rollout's id.")]
Gates = Annotated[
    list[str] | None,
    typer.Option(
        "--gate",
        help="Who must agree first, as approval@start, approval:2@wave, webhook:URL@end or "
        "alert-free:10m@wave. Where: start, wave (each further one), switch, end. May be repeated.",
    ),
]
GateName = Annotated[str, typer.Option("--gate", help="Which of several gates; else all.")]
Comment = Annotated[
    str,
    typer.Option("--comment", help=f"Why, in at most {MAX_COMMENT_CHARACTERS} characters."),
]
By = Annotated[
    str | None,
    typer.Option(
        "--as",
        parser=person,
        metavar="NAME",
        help="Your name, for the record. Default: who is logged in.",
    ),
]


def gates_of(words: list[str]) -> tuple[Gate, ...]:
    """The gates that ``--gate`` names, each named after its kind and place; raises BadParameter."""
    gates: list[Gate] = []
    for word in words:
        gate = _gate_of(word)
        same = sum(other.name.startswith(gate.name) for other in gates)
        name = f"{gate.name}-{same + 1}" if same else gate.name
        gates.append(_renamed(gate, name))
    return tuple(gates)


def _gate_of(word: str) -> Gate:
    what, _, where = word.rpartition("@")
    kind, _, value = what.partition(":")
    kinds = [each.value for each in GateKind]
    places = [each.value for each in Checkpoint]
    if kind not in kinds or where not in places:
        raise typer.BadParameter(
            f"{word!r} is not a gate; write KIND[:VALUE]@WHERE with a kind of {', '.join(kinds)} and "
            f"a place of {', '.join(places)}, for example approval:2@start.",
            param_hint="--gate",
        )
    before, name = Checkpoint(where), f"{kind}-{where}"
    match GateKind(kind):
        case GateKind.APPROVAL:
            return Gate(
                name=name, kind=GateKind.APPROVAL, before=before, approvals=_count(word, value)
            )
        case GateKind.WEBHOOK:
            return Gate(name=name, kind=GateKind.WEBHOOK, before=before, url=value)
        case GateKind.ALERT_FREE:
            return Gate(
                name=name, kind=GateKind.ALERT_FREE, before=before, alert_free_s=seconds(value)
            )


def _renamed(gate: Gate, name: str) -> Gate:
    from msgspec.structs import replace

    return replace(gate, name=name)


def _count(word: str, value: str) -> int:
    if value and not value.isdecimal():
        raise typer.BadParameter(
            f"{word!r}: {value!r} is no number of people.", param_hint="--gate"
        )
    return int(value) if value else 1


def approve(
    rollout: RolloutArgument,
    gate: GateName = "",
    comment: Comment = "",
    by: By = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Say yes to what waits for people: these robots, this policy, these bytes.

    Who asked for the rollout cannot approve it. A changed plan must be approved anew.
    """
    _say(rollout, by, gate, comment, home, is_approved=True, as_json=as_json)


def reject(
    rollout: RolloutArgument,
    gate: GateName = "",
    comment: Comment = "",
    by: By = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Say no: the rollout pauses with your reason. `rollout resume` asks everybody anew."""
    _say(rollout, by, gate, comment, home, is_approved=False, as_json=as_json)


def _say(
    rollout: str,
    by: str | None,
    gate: str,
    comment: str,
    home: Path,
    *,
    is_approved: bool,
    as_json: bool,
) -> None:
    async def work(fleet: Fleet) -> None:
        from fleetward.cli.rollout_control import heard_within
        from fleetward.cli.rollout_follow import show_rollout
        from fleetward.client.gates import approve as say
        from fleetward.client.gates import is_heard
        from fleetward.contracts.ids import rollout_id

        word = await say(
            fleet.connection,
            rollout_id(rollout),
            by or asking(),
            is_approved=is_approved,
            gate=gate,
            comment=comment,
        )

        async def heard() -> Rollout:
            async for shown in fleet.watch_rollout(rollout):
                if is_heard(shown, word):
                    return shown
            return shown

        show_rollout(await heard_within(heard(), rollout), as_json=as_json)

    with_fleet(home, work)
