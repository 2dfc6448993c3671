"""What a bridge tells its launcher, and when a release on trial gives up by itself."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge_bridge.errors import TrialFailedError
from edge_bridge.updating.launched import Launched, launched_by
from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.ids import Digest, ModelRef, Version
from fleetward.releases import launch
from fleetward.releases.identity import FILE, Identity, written
from fleetward.releases.launch import Choice, Place

NEW, OLD = "a" * 64, "b" * 64
OWNS_OLD = Choice(enrolled="/opt/first", own=OLD)


def started(directory: Path, choice: Choice, name: str, trial_s: float = 60.0) -> Launched:
    place = Place(directory)
    place.write(choice)
    return Launched(place, ["launch.py"], name, trial_s)


def on_trial(directory: Path, *, for_s: float = 0.0, trial_s: float = 60.0) -> Launched:
    tried = launch.on_trial(OWNS_OLD, NEW)
    begun = tried._replace(starts=1, began_s=time.monotonic() - for_s)
    return started(directory, begun, NEW, trial_s)


def test_a_bridge_that_nobody_launched_has_no_launcher() -> None:
    assert launched_by({}) is None


def test_what_the_launcher_says_in_the_environment_is_read(tmp_path: Path) -> None:
    state = tmp_path / "with a space"
    Place(state).write(launch.on_trial(OWNS_OLD, NEW))
    told = {
        launch.LAUNCHED_BY: f"/usr/bin/python -IS /opt/launch.py '{state}' /opt/current",
        launch.RELEASE: NEW,
        launch.TRIAL_LIMIT: "no number",
    }
    launched = launched_by(told)
    assert launched is not None
    assert (launched.place.directory, launched.on_trial) == (state / "bridge", True)
    assert launched.digest == f"sha256:{NEW}"


def test_a_release_that_is_proved_is_on_trial_no_more(tmp_path: Path) -> None:
    launched = on_trial(tmp_path)
    launched.proved()
    choice = launched.choice()
    assert (choice.own, choice.before, choice.trial, launched.on_trial) == (NEW, OLD, "", False)
    launched.proved()
    assert launched.choice() == choice, "a second target for the same release changes nothing"


def test_a_release_that_fails_on_trial_leaves_its_reason_and_makes_way(tmp_path: Path) -> None:
    launched = on_trial(tmp_path)
    launched.failed("it is no good")
    choice = launched.choice()
    assert (choice.own, choice.trial, choice.left) == (OLD, "", NEW)
    assert (choice.reason, launched.leaving.is_set()) == ("it is no good", True)


def test_a_release_on_trial_gives_up_shortly_before_it_is_killed(tmp_path: Path) -> None:
    on_trial(tmp_path, for_s=49.0).refuse_late("the hub is not reached")
    late = on_trial(tmp_path, for_s=51.0)
    with pytest.raises(TrialFailedError, match="within 50 s: the hub is not reached"):
        late.refuse_late("the hub is not reached")
    late.proved()
    late.refuse_late("the hub is not reached")


def test_only_a_release_on_trial_has_to_serve_what_was_served(tmp_path: Path) -> None:
    with pytest.raises(TrialFailedError, match="does not serve detector:1"):
        on_trial(tmp_path).refuse_without("detector:1", "no such file")
    started(tmp_path, OWNS_OLD, OLD).refuse_without("detector:1", "no such file")


def test_a_disk_that_is_full_keeps_no_bridge_from_being_ready(tmp_path: Path) -> None:
    launched = started(tmp_path, OWNS_OLD._replace(starts=1), OLD)
    (tmp_path / "bridge/choice.json.partial").mkdir()
    launched.settle()
    assert launched.choice().starts == 1


def test_the_release_of_the_enrolment_has_the_name_that_enrolment_gave_it(tmp_path: Path) -> None:
    enrolled = Identity(model=ModelRef(BRIDGE_MODEL, Version("1")), digest=Digest(f"sha256:{OLD}"))
    opt = tmp_path / "current"
    opt.mkdir()
    told = {launch.LAUNCHED_BY: f"python -IS /opt/launch.py {tmp_path} {opt}", launch.RELEASE: ""}
    nameless = launched_by(told)
    (opt / FILE).write_text(written(enrolled))
    named = launched_by(told)
    updated = launched_by({**told, launch.RELEASE: NEW})

    assert nameless is not None
    assert (nameless.digest, nameless.enrolled) == (None, None)
    assert named is not None
    assert (named.digest, named.enrolled) == (enrolled.digest, enrolled)
    assert updated is not None
    assert updated.digest == f"sha256:{NEW}"
    (opt / FILE).write_text("{")
    damaged = launched_by(told)
    assert damaged is not None
    assert damaged.enrolled is None


def test_an_enrolled_release_that_is_proved_changes_no_choice(tmp_path: Path) -> None:
    launched = started(tmp_path, OWNS_OLD, "")
    launched.proved()
    assert launched.choice() == OWNS_OLD
