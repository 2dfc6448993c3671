"""What TensorRT tells while it works: its log, and how far a build is; and how a build is stopped."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from fleetward.engines.tensorrt_api import TensorRt

MAX_COMPLAINTS = 8
"""The newest ones are kept; the last says most."""


class Step(Struct, frozen=True, kw_only=True):
    """One more step of a build was done. phase: TensorRT's own name for what it works on."""

    phase: str
    step: int
    steps: int


class Complaints:
    """The errors that TensorRT logged since somebody took them."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=MAX_COMPLAINTS)

    def add(self, line: str) -> None:
        """Note an error."""
        self._lines.append(line.strip())

    def take(self) -> list[str]:
        """The errors, oldest first; they are forgotten."""
        lines = list(self._lines)
        self._lines.clear()
        return lines


class Log:
    """TensorRT's logger (for whatever it is given to) and what it complained of."""

    def __init__(self, trt: TensorRt) -> None:
        self.complaints = Complaints()
        self.logger = _logger(trt, self.complaints)


_LOGS: dict[str, Log] = {}


def log_of(trt: TensorRt) -> Log:
    """The one log of this process: TensorRT keeps the first logger it is given, whatever comes later.

    https://github.com/NVIDIA/TensorRT/issues/4134
    """
    if trt.__name__ not in _LOGS:
        _LOGS[trt.__name__] = Log(trt)
    return _LOGS[trt.__name__]


def _logger(trt: TensorRt, complaints: Complaints) -> Any:  # noqa: ANN401 (an ILogger of ``trt``)
    errors = (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR)

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]  # a base known at run time
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: object, message: str) -> None:
            if severity in errors:
                complaints.add(message)

    return Logger()


def progress_monitor(
    trt: TensorRt, report: Callable[[Step], None], cancelled: Callable[[], bool]
) -> Any:  # noqa: ANN401 (an IProgressMonitor of ``trt``)
    """Tells ``report`` of every step and stops the build soon after ``cancelled`` is true.

    Both are called on TensorRT's threads and must not raise.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]  # the same
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._steps[phase] = steps

        def step_complete(self, phase: str, step: int) -> bool:
            report(Step(phase=phase, step=step + 1, steps=self._steps.get(phase, 0)))
            return not cancelled()

        def phase_finish(self, phase: str) -> None:
            self._steps.pop(phase, None)

    return Monitor()
