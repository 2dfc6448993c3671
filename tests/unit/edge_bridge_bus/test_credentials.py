"""Wherever a robot dies on the way to its next credentials, it holds some that work, and goes on from there."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.credentials.held import MakeKey, Next, Wait, step
from edge_bridge.credentials.limits import RenewalLimits
from edge_bridge.credentials.renewing import Renewing
from edge_bridge.errors import CredentialRefusedError
from fleetward.bus.errors import NoAnswerError, RefusedError
from fleetward.contracts.robot_keys import RENEWAL_SHARE, SPREAD_SHARE
from fleetward.contracts.signals import CREDENTIAL_LIFE_LEFT
from fleetward.trust.nats_jwt import KeyPair
from tests.unit.edge_bridge_bus.mortal_disk import Death, Died, MortalDisk
from tests.unit.edge_bridge_bus.renewing_rig import (
    ENROLLED_AT,
    LIFE,
    ROBOT,
    HubHere,
    enrolled_in,
    keyring_in,
    live,
)


class Countdown:
    """Dies at the given call."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Died


async def assert_recovers(directory: Path, hub: HubHere) -> None:
    """One that works is there, and a second life comes to the end with it."""
    keyring = keyring_in(directory)
    assert hub.first_admitted(keyring) is not None
    await live(keyring, hub)
    held = keyring_in(directory).held
    assert held.current is not None
    assert hub.admits(held.current)
    assert (held.next, held.current.key.public) == (None, hub.keys.current)
    assert hub.keys.current != hub.keys.enrolled_key
    assert sum(key.retired_at is None for key in hub.keys.keys) == 1, "the others may be voided"


@pytest.mark.parametrize("is_power_cut", [False, True], ids=["killed", "without power"])
async def test_a_robot_that_dies_at_any_operation_of_its_disk_never_holds_none_that_works(
    tmp_path: Path, *, is_power_cut: bool
) -> None:
    point, died = 0, True
    while died:
        directory = tmp_path / f"{point}"
        state = directory / "state"
        state.mkdir(parents=True)
        hub = HubHere(enrolled_in(directory))
        disk = MortalDisk(state, Death(point, is_power_cut))
        try:
            await live(keyring_in(directory, disk), hub)
            died = False
        except Died:
            disk.survive()
        await assert_recovers(directory, hub)
        point += 1
    assert point > 20, "every operation was a death once"


async def test_a_robot_that_dies_around_any_question_never_holds_none_that_works(
    tmp_path: Path,
) -> None:
    for moment in ("before", "after"):
        for calls in range(3):
            directory = tmp_path / f"{moment}{calls}"
            (directory / "state").mkdir(parents=True)
            hub = HubHere(enrolled_in(directory))
            setattr(hub, moment, Countdown(calls))
            with pytest.raises(Died):
                await live(keyring_in(directory), hub)
            setattr(hub, moment, lambda: None)
            await assert_recovers(directory, hub)
            assert len(hub.keys.keys) == 2, "the same key was asked for again"


async def test_a_hub_that_cannot_be_reached_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    hub = HubHere(enrolled_in(tmp_path))
    hub.is_up = False
    with pytest.raises(NoAnswerError):
        await live(keyring_in(tmp_path), hub)
    hub.is_up = True
    await assert_recovers(tmp_path, hub)


async def test_renewals_follow_each_other_for_years(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    hub, keyring = HubHere(enrolled_in(tmp_path)), keyring_in(tmp_path)
    for _ in range(40):
        await live(keyring, hub)
        due = step(keyring.held, hub.now)
        assert isinstance(due, Wait)
        assert due.until
        hub.now = due.until
    assert hub.now - ENROLLED_AT > timedelta(days=5 * 365)
    assert len(hub.keys.keys) <= 32


async def test_of_two_machines_with_one_key_one_comes_to_the_next(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        (directory / "state").mkdir(parents=True)
    hub = HubHere(enrolled_in(first))
    (second / "robot.creds").write_bytes((first / "robot.creds").read_bytes())
    keyring_in(second).keep_next(Next(KeyPair.create("user").seed))
    await live(keyring_in(first), hub)
    with pytest.raises(RefusedError) as refused:
        await live(keyring_in(second), hub)
    assert refused.value.code == "KeyNotCurrentError"
    assert hub.first_admitted(keyring_in(second)) is None
    assert hub.first_admitted(keyring_in(first)) is not None


async def test_what_the_hub_issued_and_does_not_let_in_is_forgotten_and_the_old_stays(
    tmp_path: Path,
) -> None:
    (tmp_path / "state").mkdir()
    hub, keyring = HubHere(enrolled_in(tmp_path)), keyring_in(tmp_path)

    def replaced() -> None:
        """Somebody with the same key asked for another."""
        newest = replace(hub.keys.keys[-1], retired_at=hub.now)
        hub.keys = replace(hub.keys, keys=(*hub.keys.keys[:-1], newest))

    hub.after = replaced
    with pytest.raises(CredentialRefusedError):
        await live(keyring, hub)
    hub.after = lambda: None
    assert keyring.held.next is None
    with pytest.raises(RefusedError) as refused:
        await live(keyring, hub)
    assert refused.value.code == "RenewedTooSoonError"
    hub.now += timedelta(hours=2)
    await assert_recovers(tmp_path, hub)


async def test_a_robot_decides_by_the_hubs_clock_and_waits_for_it(tmp_path: Path) -> None:
    """Its own clock says today, which is far from all of this."""
    (tmp_path / "state").mkdir()
    hub, keyring = HubHere(enrolled_in(tmp_path)), keyring_in(tmp_path)
    unknown = Renewing(ROBOT, keyring, hub, lambda: None, RenewalLimits())
    assert await unknown.turn() > 0
    early = ENROLLED_AT + 0.4 * LIFE
    waiting = Renewing(ROBOT, keyring, hub, lambda: early, RenewalLimits(look_s=7.0))
    assert await waiting.turn() == 7.0
    assert keyring.reload().next is None
    late = ENROLLED_AT + 0.7 * LIFE
    await Renewing(ROBOT, keyring, hub, lambda: late, RenewalLimits()).turn()
    assert keyring.reload().next is not None


@pytest.mark.parametrize("ends", [True, False], ids=["that end", "that never end"])
def test_credentials_are_due_within_the_spread_after_half_of_their_life(
    tmp_path: Path, *, ends: bool
) -> None:
    due = {enrolled_in(tmp_path, ends=ends).due_at for _ in range(50)}
    first = ENROLLED_AT + RENEWAL_SHARE * LIFE
    assert all(first <= at <= first + SPREAD_SHARE * LIFE for at in due)
    assert max(due) - min(due) > 0.5 * SPREAD_SHARE * LIFE, "not all at once"


async def test_how_much_of_their_life_is_left_is_recorded(tmp_path: Path) -> None:
    said: list[tuple[str, float]] = []
    hub, limits = HubHere(enrolled_in(tmp_path)), RenewalLimits()

    async def turn(left: float) -> None:
        now = ENROLLED_AT + (1 - left) * LIFE
        record = lambda *sample: said.append(sample)  # noqa: E731 (two words)
        await Renewing(ROBOT, keyring_in(tmp_path), hub, lambda: now, limits, record).turn()

    (tmp_path / "state").mkdir()
    await turn(0.75)
    await turn(-0.1)
    enrolled_in(tmp_path, ends=False)
    await turn(0.75)
    assert [signal for signal, _ in said] == [CREDENTIAL_LIFE_LEFT.name] * 2
    assert [value for _, value in said] == pytest.approx([0.75, 0.0])


def test_what_was_renewed_counts_only_after_the_key_that_it_follows(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    enrolled_in(tmp_path)
    keyring_in(tmp_path).keep_next(Next(KeyPair.create("user").seed))
    assert keyring_in(tmp_path).held.next is not None
    enrolled_in(tmp_path)  # somebody enrolled it anew
    held = keyring_in(tmp_path).held
    assert held.next is None
    assert step(held, ENROLLED_AT + 0.7 * LIFE) == MakeKey()


@pytest.mark.parametrize("name", ["renewed", "next"])
@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"\xc1"], ids=["empty", "zeros", "noise"])
def test_a_file_that_cannot_be_read_is_none(tmp_path: Path, name: str, content: bytes) -> None:
    enrolled = enrolled_in(tmp_path)
    directory = tmp_path / "state" / "credentials"
    directory.mkdir(parents=True)
    (directory / name).write_bytes(content)
    held = keyring_in(tmp_path).held
    assert (held.current, held.next, held.shown) == (enrolled, None, (enrolled,))


def test_a_robot_without_credentials_waits_for_a_person(tmp_path: Path) -> None:
    (tmp_path / "robot.creds").write_text("nonsense")
    assert step(keyring_in(tmp_path).held, ENROLLED_AT) == Wait(None)
