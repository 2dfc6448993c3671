"""What a supervisor says reads as a sentence, and says where to look."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from fleetward.cli.local import line_of
from fleetward.cli.session import DEFAULT_HOME
from fleetward.local.happenings import ProcessExited, SystemReady, SystemStopping


def ready(*robots: str) -> SystemReady:
    return SystemReady(
        home=Path("/h"), nats_url="nats://h:1", s3_endpoint="http://h:2", robots=robots, after_s=2
    )


@pytest.mark.parametrize(
    ("robots", "words"), [((), "0 robots"), (("a",), "1 robot"), (("a", "b"), "2 robots")]
)
def test_robots_are_counted_as_people_count(robots: tuple[str, ...], words: str) -> None:
    assert f"up after 2.0 s: {words}, NATS at nats://h:1" in str(ready(*robots))


def test_a_restart_names_the_log_that_tells_why() -> None:
    exited = ProcessExited(
        name="alerting",
        pid=7,
        exit="exit status 3",
        restarts=8,
        short_lives=1,
        retry_in_s=0.1,
        log=Path("/h/a"),
    )
    assert str(exited) == (
        "alerting ended with exit status 3 (pid 7); restart 8 in 0.1 s. Its log: /h/a"
    )
    assert "8 in 3.2 s, as it ended soon 6 times in a row." in str(
        replace(exited, short_lives=6, retry_in_s=3.2)
    )


def test_stopping_is_said_before_it_is_waited_for() -> None:
    assert str(SystemStopping(home=Path("/h"), processes=1)) == "stopping 1 process ..."


def test_a_system_that_is_ready_says_what_to_run_next_and_against_which_home() -> None:
    here, elsewhere = line_of(ready("a"), DEFAULT_HOME), line_of(ready("a"), Path("/h"))

    assert "\n  fleetward robot list\n" in here
    assert here.endswith("rollout start NAME:VERSION --to all --wait")
    assert "\n  fleetward robot list --home /h\n" in elsewhere
