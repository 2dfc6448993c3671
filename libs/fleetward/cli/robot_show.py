"""``fleetward robot show``: one robot, its frames, what its model runs on, and what it signed for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet

if TYPE_CHECKING:
    from fleetward.client import Fleet, RobotStatus
    from fleetward.client.receipts import ShownReceipt
    from fleetward.contracts.receipts import SwapReceipt
    from fleetward.contracts.robot_keys import RobotKey
    from fleetward.contracts.robots import RobotCheckedIn

Line = tuple[str, str]


def show(
    robot: Annotated[str, typer.Argument(metavar="ROBOT", help="The robot's id.")],
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """What one robot last said, how its newest model came to serve, and the receipt of that."""
    from msgspec import to_builtins

    from fleetward.cli import plain
    from fleetward.client.receipts import newest_receipt
    from fleetward.client.robot_keys import current_key
    from fleetward.client.robots import enrolled
    from fleetward.client.rules import judged_by
    from fleetward.contracts.ids import robot_id

    async def work(fleet: Fleet) -> None:
        name = robot_id(robot)
        await enrolled(fleet.connection, name)
        (status,) = await fleet.robots(f"robot={name}")
        shown, now = await newest_receipt(fleet.connection, status.enrolled), _now()
        key = await current_key(fleet.connection, status.enrolled)
        if as_json:
            held = None if key is None else to_builtins(key)
            show_json({**plain.robot(status, now), "credential": held, "receipt": _plain(shown)})
            return
        rules = await judged_by(fleet.connection, status.last)
        for title, told in _lines(status, shown, key, rules, now):
            print(f"{title:<14}{told}".rstrip())

    with_fleet(home, work)


def _lines(
    status: RobotStatus,
    shown: ShownReceipt | None,
    key: RobotKey | None,
    rules: str,
    now: datetime,
) -> Iterator[Line]:
    from fleetward.cli.robot import seen, serving, spoken_labels

    yield "robot", status.enrolled.robot_id
    yield "labels", spoken_labels(status.enrolled.labels)
    last = status.last
    yield "seen", seen(status, now) if last else "never"
    if last is not None:
        yield "model", serving(last)
        yield "frames", _frames(last)
        yield from _rules(last, rules)
    if status.failure:
        yield "trouble", status.failure
    if status.enrolled.public_key:
        yield "credential", _credential(key, now)
    if last is not None and last.credential_trouble:
        yield "  trouble", last.credential_trouble
    yield from _came(status)
    if shown is None:
        yield "receipt", "none signed yet"
    elif shown.receipt is None:
        yield "receipt", f"✗ refused: {shown.refused}"
    else:
        yield from _receipt(shown.receipt)


def _rules(last: RobotCheckedIn, judged_by: str) -> Iterator[Line]:
    """By which alert rules it judges itself."""
    if last.rules is not None:
        yield "rules", judged_by
        if last.rules.trouble:
            yield "  trouble", last.rules.trouble


def _credential(key: RobotKey | None, now: datetime) -> str:
    from fleetward.client.timeline import with_its_zone

    if key is None:
        return "✗ none that counts; enrol the robot again"
    if key.expires_at is None:
        return "never ends"
    when = with_its_zone(key.expires_at)
    if key.expires_at <= now:
        return f"✗ ended {when}; enrol the robot again"
    return f"ends {when}, in {(key.expires_at - now).days} days"


def _frames(last: RobotCheckedIn) -> str:
    ended = last.frames_served + last.frames_failed + last.frames_dropped
    return (
        f"{last.frames_captured} captured = {last.frames_served} served + {last.frames_failed} failed "
        f"+ {last.frames_dropped} dropped + {last.frames_captured - ended} open; "
        f"{last.frames_reissued} re-issued"
    )


def _came(status: RobotStatus) -> Iterator[Line]:
    """What people should know of how its newest model was loaded."""
    from fleetward.contracts.robots import ModelActivated

    if isinstance(status.outcome, ModelActivated):
        for remark in status.outcome.load_remarks:
            yield "loaded", remark


def _receipt(receipt: SwapReceipt) -> Iterator[Line]:
    from fleetward.client.timeline import with_its_zone

    yield "receipt", f"✓ signed by the robot, {with_its_zone(receipt.signed_at)}"
    yield "  model", f"{receipt.model} {receipt.digest}"
    yield "  rollout", f"{receipt.rollout_id}, generation {receipt.generation}"
    yield "  backend", receipt.backend or "was warm already"
    if receipt.engine_key:
        yield "  engine", receipt.engine_key
    yield "  warm-up p99", f"{receipt.warm_up_p99_ms:.1f} ms"
    yield "  swap", f"{receipt.swap_ms:.1f} ms, {receipt.inferences} good inferences"
    yield "  parity", _parity(receipt)
    warmth = sorted(receipt.temperatures_c.items())
    yield "  thermals", ", ".join(f"{zone} {at:.1f} °C" for zone, at in warmth) or "not known"
    yield "  power mode", receipt.power_mode or "not known"


def _parity(receipt: SwapReceipt) -> str:
    if not receipt.parity_frames:
        return "not compared on this robot"
    far = ", ".join(f"{output} {value:.2%}" for output, value in sorted(receipt.parity.items()))
    return f"{far or 'no comparable output'}, on {receipt.parity_frames} frames"


def _plain(shown: ShownReceipt | None) -> dict[str, Any] | None:
    from msgspec import to_builtins

    if shown is None:
        return None
    receipt = None if shown.receipt is None else to_builtins(shown.receipt)
    return {"signed": receipt, "refused": shown.refused or None}


def _now() -> datetime:
    return datetime.now(timezone.utc)
