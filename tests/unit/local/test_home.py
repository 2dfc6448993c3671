"""The state directory is one supervisor's, and its addresses stay while they are free."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from fleetward.local.errors import HomeInUseError, LocalSystemError
from fleetward.local.home import Home
from fleetward.local.ports import LOOPBACK


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


def test_second_lock_is_refused_and_names_the_holder(home: Home) -> None:
    refused = pytest.raises(HomeInUseError, match="is in use by process")
    with home.locked(), refused, Home(home.path).locked():
        pytest.fail("it was locked twice")
    with home.locked():
        pass  # free again


def test_addresses_are_kept_from_start_to_start(home: Home) -> None:
    assert home.addresses() == home.addresses()


def test_port_taken_by_another_program_is_replaced_and_keys_are_kept(home: Home) -> None:
    before = home.addresses()
    with socket.socket() as other:
        other.bind((LOOPBACK, before.nats_port))
        other.listen()
        after = home.addresses()
    assert after.nats_port != before.nats_port
    assert after.store_keys == before.store_keys
    assert after.store_ports == before.store_ports


def test_damaged_addresses_are_named(home: Home) -> None:
    (home.path / "addresses.json").write_text("{")
    with pytest.raises(LocalSystemError, match=r"addresses\.json is damaged"):
        home.addresses()


def test_home_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    refused = pytest.raises(LocalSystemError, match="cannot be used")
    with refused, Home(tmp_path / "taken").locked():
        pytest.fail("a file was locked as a home")


def test_secrets_lie_in_directories_of_their_user_alone(home: Home) -> None:
    for path in (home.keys, home.credentials, home.path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
