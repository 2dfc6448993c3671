"""What is logged says its reason, whoever formats it."""

from __future__ import annotations

import json
import logging

import pytest

from fleetward.bus.logs import log, setup_logging


def test_a_program_with_logs_of_its_own_is_told_the_reason_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("a part of ours")
    log(logger, "bridge.gave_up", level=logging.ERROR, reason="no such operator", generation=3)
    log(logger, "bridge.stopped", level=logging.ERROR)

    assert caplog.messages == [
        "bridge.gave_up (reason=no such operator, generation=3)",
        "bridge.stopped",
    ]


def test_a_service_logs_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        setup_logging("alerting")
        log(logging.getLogger("ours"), "rollout.halted", rollout="r-1")
        logging.getLogger("theirs").warning("it is %d o'clock", 5)
        ours, theirs = map(json.loads, capsys.readouterr().err.splitlines())
    finally:
        root.handlers, root.level = handlers, level

    assert (ours["service"], ours["event"], ours["rollout"]) == (
        "alerting",
        "rollout.halted",
        "r-1",
    )
    assert (theirs["level"], theirs["event"]) == ("warning", "it is 5 o'clock")
