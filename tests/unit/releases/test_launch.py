"""Which release a launcher starts, whatever was left behind by the one before."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest

from fleetward.releases import launch
from fleetward.releases.launch import (
    STARTS_OF_OWN,
    STARTS_OF_TRIAL,
    TRIAL_S,
    Choice,
    Moment,
    Place,
    decided,
)

NOW = Moment(enrolled="/opt/first", boot="b1", now_s=1000.0)
NEW, OLD = "new", "old"
UPDATED = Choice(enrolled="/opt/first", own=OLD)
TRYING = launch.on_trial(UPDATED, NEW, 999.0)


def whole(*names: str) -> Callable[[str], bool]:
    return lambda name: name in names


def test_a_robot_that_was_just_enrolled_starts_what_it_was_enrolled_with() -> None:
    assert decided(Choice(), NOW, whole())[1] == ""


def test_a_trial_is_started_and_counted_before_it_runs() -> None:
    choice, name = decided(TRYING, NOW, whole(OLD, NEW))
    assert (name, choice.starts, choice.boot, choice.began_s) == (NEW, 1, "b1", 1000.0)


def test_a_trial_that_ends_twice_unproved_is_left_with_the_reason() -> None:
    choice, started = TRYING, []
    for _ in range(STARTS_OF_TRIAL + 1):
        choice, name = decided(choice, NOW, whole(OLD, NEW))
        started.append(name)
    assert started == [NEW, NEW, OLD]
    assert (choice.left, choice.was_own, choice.trial) == (NEW, False, "")
    assert "started 2 times" in choice.reason


def test_a_trial_has_its_time_and_no_more_in_one_boot() -> None:
    begun, _ = decided(TRYING, NOW, whole(OLD, NEW))
    late = NOW._replace(now_s=1000.0 + TRIAL_S)
    choice, name = decided(begun, late, whole(OLD, NEW))
    assert (name, f"within {TRIAL_S:g} s" in choice.reason) == (OLD, True)
    assert decided(begun, late._replace(boot="b2"), whole(OLD, NEW))[1] == NEW, "a power cut"


@pytest.mark.parametrize("now_s", [5.0, 1_000_000.0])
def test_a_trial_that_outlives_a_boot_has_its_time_again_by_the_new_clock(now_s: float) -> None:
    begun, _ = decided(TRYING, NOW, whole(OLD, NEW))
    again, name = decided(begun, NOW._replace(boot="b2", now_s=now_s), whole(OLD, NEW))
    assert (name, again.starts, again.boot, again.began_s) == (NEW, 2, "b2", now_s)
    assert (begun.asked_s, again.asked_s) == (999.0, 0.0), "when it was asked says nothing any more"


def test_a_trial_that_starts_again_in_the_same_boot_has_no_more_time() -> None:
    begun, _ = decided(TRYING, NOW, whole(OLD, NEW))
    again, _ = decided(begun, NOW._replace(now_s=1001.0), whole(OLD, NEW))
    assert (again.starts, again.began_s, again.asked_s) == (2, 1000.0, 999.0)


@pytest.mark.parametrize("choice", [TRYING, TRYING._replace(starts=1, boot="b1", began_s=999.0)])
def test_a_trial_whose_environment_is_damaged_is_not_started(choice: Choice) -> None:
    remembered, name = decided(choice, NOW, whole(OLD))
    assert (name, remembered.reason) == (OLD, "its environment is damaged")


def test_a_proved_release_is_started_until_another_is_tried() -> None:
    begun, _ = decided(TRYING, NOW, whole(OLD, NEW))
    proved = launch.proved(begun)
    assert (proved.own, proved.before, proved.trial) == (NEW, OLD, "")
    assert decided(proved, NOW, whole(OLD, NEW))[1] == NEW


def test_a_release_that_was_proved_and_comes_up_no_more_is_left_for_the_one_before() -> None:
    choice, started = UPDATED._replace(own=NEW, before=OLD), []
    for _ in range(STARTS_OF_OWN + 1):
        choice, name = decided(choice, NOW, whole(OLD, NEW))
        started.append(name)
    assert started == [NEW] * STARTS_OF_OWN + [OLD]
    assert (choice.own, choice.before, choice.left, choice.was_own) == (OLD, "", NEW, True)


def test_a_release_that_was_ready_begins_its_count_anew() -> None:
    choice, _ = decided(UPDATED._replace(starts=STARTS_OF_OWN - 1), NOW, whole(OLD))
    assert launch.settled(choice).starts == 0
    assert launch.settled(TRYING._replace(starts=1)).starts == 1, "a trial is not settled by that"


def test_what_was_enrolled_since_counts_more_than_any_update() -> None:
    again = NOW._replace(enrolled="/opt/second")
    choice, name = decided(TRYING._replace(before="older"), again, whole(OLD, NEW, "older"))
    assert (name, choice) == ("", Choice(enrolled="/opt/second", starts=1))


def test_something_is_started_whatever_was_decided_and_whatever_is_whole() -> None:
    names = ("", OLD, NEW)
    for own, before, trial in product(names, repeat=3):
        for starts, is_there in product(range(7), ((), (OLD,), (NEW,), (OLD, NEW))):
            choice = Choice(
                enrolled="/opt/first", own=own, before=before, trial=trial, starts=starts
            )
            remembered, name = decided(choice, NOW, whole(*is_there))
            assert name in {"", *is_there}
            assert remembered.starts > 0
            assert name == (remembered.trial or remembered.own)


def test_what_is_decided_ends_at_what_enrolment_brought_when_nothing_comes_up() -> None:
    choice = TRYING._replace(before="older")
    for _ in range(STARTS_OF_TRIAL + 2 * STARTS_OF_OWN + 1):
        choice, name = decided(choice, NOW, whole(OLD, NEW, "older"))
    assert (name, choice.own, choice.before) == ("", "", "")


def test_a_choice_is_read_as_it_was_written(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert place.read() == Choice()
    place.write(TRYING)
    assert place.read() == TRYING
    assert place.change(lambda now: now._replace(trial="")) == place.read()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"own": 3}', b'{"starts": true}', b"null", b"[" * 100_000, b"\xff\x00"],
)
def test_a_choice_that_cannot_be_read_counts_as_none(tmp_path: Path, content: bytes) -> None:
    place = Place(tmp_path)
    place.write(TRYING)
    (tmp_path / "bridge/choice.json").write_bytes(content)
    assert place.read() == Choice()


def test_a_choice_of_a_later_program_is_read_without_what_it_added(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write(UPDATED)
    path = tmp_path / "bridge/choice.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour": "blue"}))
    assert place.read() == UPDATED


def test_a_write_that_is_cut_off_leaves_the_choice_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    place.write(UPDATED)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as cut, pytest.raises(OSError, match="No space"):
        cut.setattr(os, "fsync", full)
        place.write(TRYING)
    assert place.read() == UPDATED


def test_nothing_is_tried_that_cannot_be_counted(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write(TRYING)
    for name in (OLD, NEW):
        (place.release(name) / "bin").mkdir(parents=True)
        place.python(name).symlink_to("/bin/sh")
        place.complete(name).touch()
    (tmp_path / "bridge/choice.json.partial").mkdir()
    assert launch._choose(place, NOW) == OLD


def test_two_parts_of_a_bridge_that_decide_at_once_lose_nothing(tmp_path: Path) -> None:
    """It is ready while a release that waits is chosen: that one would be forgotten, or the file torn."""
    place, changes = Place(tmp_path), 40

    def count(_: int) -> None:
        place.change(lambda now: now._replace(starts=now.starts + 1))

    with ThreadPoolExecutor(4) as parts:
        list(parts.map(count, range(changes)))
    assert place.read().starts == changes
