"""``fleetward robot record`` and ``recordings``: what a robot recorded, asked for, listed, fetched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet
from fleetward.contracts.recordings import AFTER_S, BEFORE_S, MAX_WINDOW_S

if TYPE_CHECKING:
    from fleetward.client import Fleet
    from fleetward.contracts.ids import RecordingId, RobotId
    from fleetward.contracts.recordings import RecordingMade, RecordingStored
    from fleetward.contracts.segments import Segment, StoredSegment

Robot = Annotated[str, typer.Argument(metavar="ROBOT", help="The robot's id.")]
Wait = Annotated[bool, typer.Option("--wait", help="Until it is stored.")]


def record(
    robot: Robot,
    *,
    before: Annotated[
        str, typer.Option("--before", help="Of what was, as 60s.")
    ] = f"{BEFORE_S:g}s",
    after: Annotated[str, typer.Option("--after", help="Of what comes.")] = f"{AFTER_S:g}s",
    reason: Annotated[
        str, typer.Option("--reason", help="Kept with it.")
    ] = "asked for by a person",
    wait: Wait = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Ask a robot to send what its flight recorder holds around now."""
    before_s, after_s = _window_s("--before", before), _window_s("--after", after)

    async def work(fleet: Fleet) -> None:
        from fleetward.client import recordings
        from fleetward.contracts.ids import robot_id

        requested = await recordings.request(
            fleet.connection, robot_id(robot), before_s=before_s, after_s=after_s, reason=reason
        )
        if wait:
            stored = await recordings.arrived(fleet.connection, requested)
            _show(stored, as_json=as_json)
        elif as_json:
            show_json({"robot_id": robot, "recording_id": requested.recording_id})
        else:
            print(f"{requested.recording_id}: asked for; `fleetward robot recordings {robot}`")

    with_fleet(home, work)


def recordings(
    robot: Robot,
    *,
    get: Annotated[str, typer.Option("--get", metavar="ID", help="Fetch this one.")] = "",
    continuous: Annotated[
        bool, typer.Option("--continuous", help="What it records all the time.")
    ] = False,
    last: Annotated[
        int, typer.Option("--last", min=1, help="With --continuous: the newest so many.")
    ] = 50,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to; the default is ID.mcap.")
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """What is stored of a robot's recorders, or one of it as an MCAP file."""

    async def work(fleet: Fleet) -> None:
        if get:
            await _fetch(fleet, robot, get, output, as_json=as_json)
        elif continuous:
            await _list_segments(fleet, robot, last, as_json=as_json)
        else:
            await _list(fleet, robot, as_json=as_json)

    with_fleet(home, work)


async def _fetch(
    fleet: Fleet, robot: str, recording: str, output: Path | None, *, as_json: bool
) -> None:
    from fleetward.contracts.ids import recording_id, robot_id

    wanted = recording_id(recording)
    path = output or Path(f"{wanted}.mcap")
    made = await _fetched(fleet, robot_id(robot), wanted, path)
    if as_json:
        show_json({**_plain(made), "path": str(path)})
    else:
        print(f"{path}: {made.messages} messages, {made.digest}")


async def _fetched(
    fleet: Fleet, robot: RobotId, wanted: RecordingId, path: Path
) -> RecordingMade | Segment:
    """Of its last seconds, or of what it records all the time: nobody has to say which."""
    from fleetward.bus.errors import RefusedError
    from fleetward.client import recordings, segments
    from fleetward.contracts.ids import segment_id

    try:
        return await recordings.fetch(fleet.connection, robot, wanted, path)
    except RefusedError as refused:
        if refused.code != "UnknownRecordingError":
            raise
        unknown = refused
    try:
        return await segments.fetch(fleet.connection, robot, segment_id(wanted), path)
    except RefusedError as refused:
        raise unknown if refused.code == "UnknownSegmentError" else refused from refused


async def _list_segments(fleet: Fleet, robot: str, last: int, *, as_json: bool) -> None:
    from fleetward.cli.tables import show_table
    from fleetward.client.segments import losses, newest
    from fleetward.contracts.ids import robot_id
    from fleetward.contracts.segments import SegmentKind

    wanted = robot_id(robot)
    found = await newest(fleet.connection, wanted, SegmentKind.RECORDING, last)
    shown = list(zip(found, losses(found), strict=True))[-last:]
    if as_json:
        show_json(
            [{**_plain(await _whole(fleet, wanted, each)), "lost": lost} for each, lost in shown]
        )
        return
    show_table(
        ["SEGMENT", "FROM", "TO", "MESSAGES", "LOST", "BYTES"],
        [_segment_row(each.segment, missing) for each, missing in shown],
        when_empty=f"Nothing of {robot} is stored. FLEETWARD_CONTINUOUS_TOPICS says what to record.",
    )


async def _whole(fleet: Fleet, robot: RobotId, stored: StoredSegment) -> Segment:
    """With its topics; of one that went meanwhile, what the list told."""
    from fleetward.bus.errors import RefusedError
    from fleetward.client.segments import link

    try:
        linked = await link(fleet.connection, robot, stored.segment.segment_id, stored.key)
    except RefusedError:
        return stored.segment
    return linked.segment


def _segment_row(segment: Segment, lost: int) -> list[str]:
    return [
        segment.segment_id,
        f"{segment.started_at:%Y-%m-%d %H:%M:%S}",
        f"{segment.ended_at:%H:%M:%S}",
        str(segment.messages),
        str(lost),
        str(segment.size_bytes),
    ]


async def _list(fleet: Fleet, robot: str, *, as_json: bool) -> None:
    from fleetward.cli.tables import show_table
    from fleetward.client.recordings import stored
    from fleetward.contracts.ids import robot_id

    found = await stored(fleet.connection, robot_id(robot))
    if as_json:
        show_json([_plain(each.recording) for each in found])
        return
    show_table(
        ["RECORDING", "FROM", "TO", "MESSAGES", "BYTES", "WHY"],
        [_row(each.recording) for each in found],
        when_empty=f"Nothing of {robot} is stored. `fleetward robot record {robot}` asks for it.",
    )


def _row(made: RecordingMade) -> list[str]:
    return [
        made.recording_id,
        f"{made.started_at:%Y-%m-%d %H:%M:%S}",
        f"{made.ended_at:%H:%M:%S}",
        str(made.messages),
        str(made.size_bytes),
        made.alert or made.reason,
    ]


def _show(stored: RecordingStored, *, as_json: bool) -> None:
    made = stored.recording
    if as_json:
        show_json(_plain(made))
    else:
        print(f"{made.recording_id}: {made.messages} messages, {made.size_bytes} bytes stored")


def _plain(made: RecordingMade | Segment) -> dict[str, object]:
    import msgspec

    plain: dict[str, object] = msgspec.to_builtins(made)
    return plain


def _window_s(option: str, text: str) -> float:
    from fleetward.cli.durations import seconds

    window_s = seconds(text)
    if window_s > MAX_WINDOW_S:
        raise typer.BadParameter(f"at most {MAX_WINDOW_S:g}s.", param_hint=option)
    return window_s
