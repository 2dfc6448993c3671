"""Folds a boot's frames, in the order of their sequence, into one-second windows per model.

The result depends only on the set of frames: whatever order they come in, however often, and
wherever the process restarts in between, the same windows come out with the same numbers. A
frame that comes before its predecessor is held as moments (a few floats), never as samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.ids import BootId, Digest, RobotId
from fleetward.contracts.telemetry import InferenceSummarized
from telemetry_ingest.columns import MAX_FRAME_S
from telemetry_ingest.moments import NO_MODEL, WINDOW_NS, FrameMoments, Moments

MAX_HELD_FRAMES = 128
"""Frames held for a missing predecessor; past that the gap is skipped, and its frames, should
they come later, make windows of their own. At four frames a second this is longer than what a dead
ingest took with it needs to be delivered again."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MAX_FRAME_NS = int(MAX_FRAME_S * 1e9)

Windows = tuple[Moments, ...]


class BootWindows(Struct, frozen=True, kw_only=True):
    """Where one boot's summaries stand: the last frame folded, what is open, what is held."""

    folded: int = 0
    closed: int = 0
    open: Windows = ()
    held: tuple[FrameMoments, ...] = ()


class Folded(Struct, frozen=True):
    """The boot's new state and the windows that closed, in the order of their numbers."""

    state: BootWindows
    closed: tuple[tuple[int, Moments], ...]


def fold(state: BootWindows, frames: Iterable[FrameMoments]) -> Folded:
    """Take in frames that are stored for the first time, in any order."""
    waiting = {frame.sequence: frame for frame in (*state.held, *frames)}
    closed: list[tuple[int, Moments]] = []
    for frame in _ready(state.folded, waiting):
        del waiting[frame.sequence]
        state, done = _step(state, frame)
        closed.extend(done)
    held = tuple(waiting[sequence] for sequence in sorted(waiting))
    return Folded(replace(state, held=held), tuple(closed))


def summary_of(
    robot_id: RobotId, boot_id: BootId, window: int, moments: Moments
) -> InferenceSummarized:
    """The fact that is announced for one closed window."""
    return InferenceSummarized(
        robot_id=robot_id,
        boot_id=boot_id,
        window=window,
        digest=Digest(moments.digest),
        started_at=_EPOCH + timedelta(microseconds=moments.start_ns // 1_000),
        duration_s=WINDOW_NS / 1e9,
        inferences=moments.inferences,
        errors=moments.errors,
        latency_ms_sum=moments.latency_ms_sum,
        latency_ms_sum_of_squares=moments.latency_ms_sum_of_squares,
        latency_ms_max=moments.latency_ms_max,
        confidence_count=moments.confidence_count,
        confidence_sum=moments.confidence_sum,
        confidence_sum_of_squares=moments.confidence_sum_of_squares,
        signals=moments.signals,
    )


def _ready(folded: int, waiting: dict[int, FrameMoments]) -> list[FrameMoments]:
    """What may be folded now: late frames, the run after ``folded``, and all past a long gap."""
    ready: list[FrameMoments] = []
    left = sorted(waiting)
    for place, sequence in enumerate(left):
        if sequence > folded + 1 and len(left) - place <= MAX_HELD_FRAMES:
            break
        ready.append(waiting[sequence])
        folded = max(folded, sequence)
    return ready


def _step(
    state: BootWindows, frame: FrameMoments
) -> tuple[BootWindows, tuple[tuple[int, Moments], ...]]:
    done = _of_models(tuple(window for window in state.open if _is_over(window, frame)))
    still = tuple(window for window in state.open if not _is_over(window, frame))
    numbered = tuple((state.closed + 1 + place, window) for place, window in enumerate(done))
    after = replace(
        state,
        folded=max(state.folded, frame.sequence),
        closed=state.closed + len(done),
        open=_merged(still, frame.windows),
    )
    return after, numbered


def _of_models(done: Windows) -> Windows:
    """Each model's seconds, with the robot's own signals where one model alone served in them."""
    models = Counter(window.start_ns for window in done if window.digest != NO_MODEL)
    own = {window.start_ns: window for window in done if window.digest == NO_MODEL}
    return tuple(
        window.plus(own[window.start_ns])
        if window.start_ns in own and models[window.start_ns] == 1
        else window
        for window in done
        if window.digest != NO_MODEL
    )


def _is_over(window: Moments, frame: FrameMoments) -> bool:
    """Whether no frame from here on adds to the window, also when the robot's clock stepped back."""
    if frame.started_at_ns is None:
        return False
    behind = window.start_ns + WINDOW_NS <= frame.started_at_ns
    ahead = window.start_ns > frame.started_at_ns + _MAX_FRAME_NS
    return behind or ahead


def _merged(open_windows: Windows, added: Windows) -> Windows:
    windows = {(window.start_ns, window.digest): window for window in open_windows}
    for window in added:
        key = (window.start_ns, window.digest)
        windows[key] = windows[key].plus(window) if key in windows else window
    return tuple(windows[key] for key in sorted(windows))
