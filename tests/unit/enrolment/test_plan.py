"""The plan is what is missing: done once it is empty, cut off anywhere the rest is still right."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.enrolment.errors import IdentityTakenError
from fleetward.enrolment.found import Entry
from fleetward.enrolment.layout import UNIT
from fleetward.enrolment.plan import Wanted, plan
from fleetward.enrolment.removal import removal
from fleetward.enrolment.steps import (
    Announce,
    AwaitCheckIn,
    IssueCredentials,
    PutFile,
    ReloadUnits,
    RemoveTree,
    RestartUnit,
    Step,
    VoidKey,
)
from tests.unit.enrolment.model_machine import LAYOUT, WANTED, Machine


def steps(machine: Machine, wanted: Wanted = WANTED) -> list[Step]:
    return plan(wanted, machine.found, machine.known)


def enrolled() -> Machine:
    machine = Machine()
    return machine.do(steps(machine))


def test_a_plan_that_was_done_is_empty() -> None:
    assert steps(enrolled()) == []


def test_a_plan_cut_off_after_any_step_ends_as_if_it_had_not_been() -> None:
    whole, wanted = enrolled(), steps(Machine())
    for done in range(len(wanted) + 1):
        machine = Machine().do(wanted[:done])
        machine.do(steps(machine))
        assert steps(machine) == [], f"after {done} steps"
        assert machine.found == whole.found, f"after {done} steps"
        assert machine.known.credentials == whole.known.credentials


def test_a_bridge_that_was_cut_off_before_its_start_is_started_by_the_next_run() -> None:
    wanted = steps(Machine())
    (start,) = (number for number, step in enumerate(wanted) if isinstance(step, RestartUnit))

    rest = steps(Machine().do(wanted[:start]))

    assert [type(step) for step in rest] == [RestartUnit, PutFile, AwaitCheckIn]


def test_an_update_cut_off_after_any_step_never_leaves_a_bridge_on_what_was() -> None:
    bridge, library = WANTED.wheels
    newer = replace(
        WANTED,
        wheels=(replace(bridge, content="f" * 64), library),
        settings={"FLEETWARD_FRAME_RATE_HZ": "30"},
    )
    update = steps(enrolled(), newer)
    for done in range(len(update) + 1):
        machine = enrolled().do(update[:done])
        machine.do(steps(machine, newer))
        assert steps(machine, newer) == [], f"after {done} steps"
        assert machine.running == machine.read_at_start(), f"after {done} steps"


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        (LAYOUT.credentials, {"mode": "644"}),
        (LAYOUT.credentials, {"owner": "root"}),
        (LAYOUT.settings, {"sha256": "0" * 64}),
        (LAYOUT.unit, {"sha256": "0" * 64}),
        (LAYOUT.current, {"target": "/opt/fleetward/releases/other"}),
    ],
    ids=str,
)
def test_what_the_bridge_reads_at_its_start_is_mended_and_the_bridge_restarted(
    path: str, entry: dict[str, str]
) -> None:
    machine = enrolled()
    drifted = replace(machine.found.entries[path], **entry)
    machine.found = replace(machine.found, entries={**machine.found.entries, path: drifted})

    unmarked, *mended = (step for step in steps(machine) if not isinstance(step, ReloadUnits))

    assert unmarked == RemoveTree(path=LAYOUT.started)
    assert [getattr(step, "path", None) for step in mended] == [path, None, LAYOUT.started, None]
    assert mended[1] == RestartUnit(unit=UNIT, running=True)
    assert mended[3] == AwaitCheckIn(robot="arm-7")
    assert steps(machine.do(steps(machine))) == []


def test_what_was_newest_at_the_first_enrolment_stays_until_the_root_changes() -> None:
    machine = enrolled()
    assert steps(machine, replace(WANTED, floors=b"newer")) == []

    rotated = steps(machine, replace(WANTED, floors=b"newer", root=b"next root"))

    written = [step.path for step in rotated if isinstance(step, PutFile)]
    pinned = [f"{LAYOUT.trust}/root.json", f"{LAYOUT.trust}/floors.json"]
    assert written == [*pinned, LAYOUT.started]


def test_another_release_is_installed_beside_the_old_one_which_goes_last() -> None:
    machine = enrolled()
    bridge, library = WANTED.wheels
    newer = replace(WANTED, wheels=(replace(bridge, content="f" * 64), library))
    old = machine.found.releases[0]

    update = steps(machine, newer)

    assert str(update[1]) == "push 1 wheels (0.0 MB)", "what did not change is not moved"
    assert isinstance(update[-3], AwaitCheckIn), "the new one was heard before the old one goes"
    assert update[-2:] == [
        RemoveTree(path=LAYOUT.release(old)),
        RemoveTree(path=f"{LAYOUT.wheels}/{bridge.folder}"),
    ]
    assert steps(machine.do(update), newer) == []


def test_half_an_installation_is_made_again() -> None:
    machine = enrolled()
    (release,) = machine.found.releases
    kept = {p: e for p, e in machine.found.entries.items() if p != LAYOUT.complete(release)}
    machine.found = replace(machine.found, entries=kept)

    first, *_ = (step for step in steps(machine) if not isinstance(step, RemoveTree))
    assert str(first).startswith("install 2 wheels")


def test_labels_given_elsewhere_stay() -> None:
    machine = enrolled()
    machine.known = replace(machine.known, labels={"site": "berlin", "hw": "orin"})
    assert steps(machine) == []


def test_a_machine_keeps_its_id_and_an_id_its_machine() -> None:
    with pytest.raises(IdentityTakenError, match="enrolled as arm-7, not arm-8"):
        steps(enrolled(), replace(WANTED, robot="arm-8"))

    another = Machine(known=enrolled().known)
    with pytest.raises(IdentityTakenError, match="arm-7 is another machine"):
        steps(another)
    assert steps(another, replace(WANTED, replaces=True)) != []


def replacing(other: Machine) -> tuple[Machine, Wanted]:
    """A new machine that is to take the place of ``other``, and what is wanted of it."""
    taking = Machine(known=other.known)
    taking.issued = other.issued
    return taking, replace(WANTED, labels={}, replaces=True)


def test_a_machine_that_takes_anothers_place_gets_a_key_that_the_other_never_had() -> None:
    other = enrolled()
    taking, wanted = replacing(other)

    first, second, third, *_ = steps(taking, wanted)

    assert (first, second) == (VoidKey(robot="arm-7"), IssueCredentials(robot="arm-7"))
    assert third == Announce(robot="arm-7", labels=WANTED.labels), "labels stay with the id"
    taking.do(steps(taking, wanted))
    assert taking.known.credentials != other.known.credentials
    assert steps(taking, wanted) == [], "it holds the key, so nobody else is replaced"


def test_a_replacement_cut_off_after_any_step_never_leaves_the_old_key_in_force() -> None:
    other = enrolled()
    wanted = replacing(other)[1]
    for done in range(1, len(steps(*replacing(other)))):
        taking, _ = replacing(other)
        taking.do(steps(taking, wanted)[:done])
        assert taking.known.credentials != other.known.credentials, f"after {done} steps"
        taking.do(steps(taking, wanted))
        assert steps(taking, wanted) == [], f"after {done} steps"
        assert taking.known.is_announced
        assert taking.running == taking.read_at_start()


def test_a_machine_that_was_replaced_is_not_handed_the_key_of_its_successor() -> None:
    other = enrolled()
    taking, wanted = replacing(other)
    taking.do(steps(taking, wanted))
    other.known, other.issued = taking.known, taking.issued

    with pytest.raises(IdentityTakenError, match="holds another key than arm-7 has now"):
        steps(other)

    assert steps(other, wanted)[0] == VoidKey(robot="arm-7")


def test_a_key_that_may_still_get_in_is_voided_whoever_enrols() -> None:
    machine = enrolled()
    machine.known = replace(machine.known, credentials=None, has_stray_key=True)

    void, issue, *_ = steps(machine)

    assert (void, issue) == (VoidKey(robot="arm-7"), IssueCredentials(robot="arm-7"))
    assert steps(machine.do(steps(machine))) == []


def test_credentials_issued_beforehand_are_the_ones_that_go_to_the_robot() -> None:
    machine = Machine(known=replace(Machine().known, credentials=b"issued before"))
    (put,) = (
        step
        for step in steps(machine)
        if isinstance(step, PutFile) and step.path == LAYOUT.credentials
    )
    assert (put.content, put.mode, put.owner) == (b"issued before", "600", "fleetward")


def test_a_robot_that_renewed_its_credentials_is_as_wanted() -> None:
    machine = enrolled()
    machine.renew()
    assert steps(machine) == []


def test_a_robot_that_lost_what_it_renewed_is_given_another_key() -> None:
    machine = enrolled()
    machine.renew()
    machine.do([RemoveTree(path=LAYOUT.renewals)])

    again = steps(machine)

    assert [type(step) for step in again[:3]] == [VoidKey, IssueCredentials, Announce]
    assert RestartUnit(unit=UNIT, running=True) in again
    assert steps(machine.do(again)) == []


def test_credentials_that_ended_are_made_anew_on_the_machine_that_has_them() -> None:
    machine = enrolled()
    machine.known = replace(machine.known, credentials=None, has_stray_key=True)

    again = steps(machine)

    assert [type(step) for step in again[:3]] == [VoidKey, IssueCredentials, Announce]
    assert steps(machine.do(again)) == []


def test_no_key_stays_on_a_machine_whose_state_is_kept() -> None:
    machine = enrolled()
    machine.renew()
    machine.do(removal(LAYOUT, machine.found, keeps_state=True))

    assert set(machine.found.entries) == {LAYOUT.state}


def test_a_removal_leaves_what_was_there_before_and_is_then_empty() -> None:
    machine = enrolled()
    machine.do(removal(LAYOUT, machine.found, keeps_state=False))

    assert machine.found == Machine().found
    assert removal(LAYOUT, machine.found, keeps_state=False) == []


def test_a_removal_cut_off_after_any_step_is_finished_by_the_next() -> None:
    wanted = removal(LAYOUT, enrolled().found, keeps_state=False)
    for done in range(len(wanted)):
        machine = enrolled().do(wanted[:done])
        machine.do(removal(LAYOUT, machine.found, keeps_state=False))
        left = replace(machine.found, account_exists=False)
        assert left == Machine().found, f"after {done} steps"


def test_a_removal_never_takes_an_account_that_a_person_logs_in_to() -> None:
    wanted = replace(WANTED, account="nvidia")
    machine = Machine(replace(Machine().found, account_exists=True))
    machine.do(steps(machine, wanted))

    gone = [str(step) for step in removal(LAYOUT, machine.found, keeps_state=False)]

    assert not [step for step in gone if "account" in step]


def test_state_can_be_kept_with_the_account_that_owns_it() -> None:
    machine = enrolled()
    machine.do(removal(LAYOUT, machine.found, keeps_state=True))

    assert machine.found.entries == {
        LAYOUT.state: Entry(kind="directory", mode="700", owner="fleetward")
    }
    assert machine.found.account_exists
