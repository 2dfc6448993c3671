"""A host is logged in to only when it has proved to be the one that is meant."""

from __future__ import annotations

import asyncssh
import pytest

from fleetward.enrolment.destination import Destination, destination
from fleetward.enrolment.errors import DestinationError, HostKeyRefusedError
from fleetward.enrolment.host_keys import believed, fingerprint, pins_of, with_pin, without_pins

HOST = Destination("root", "arm-7", 2222)
FILE = "known_hosts"


def new_key(kind: str = "ssh-ed25519") -> str:
    public = asyncssh.generate_private_key(kind).export_public_key().decode()
    return " ".join(public.split()[:2])


RIGHT, WRONG, OTHER_KIND = new_key(), new_key(), new_key("ecdsa-sha2-nistp256")


def believe(
    *offered: str, pins: tuple[str, ...] = (), vouched: str | None = None, first: bool = False
) -> str:
    return believed(HOST, pins, offered, vouched, trust_first=first, pins_file=FILE)


def test_a_fingerprint_is_the_one_ssh_shows() -> None:
    assert fingerprint(RIGHT) == asyncssh.import_public_key(RIGHT).get_fingerprint()
    assert fingerprint("ssh-ed25519 no-base64!") == ""


def test_a_key_is_believed_that_is_pinned_or_vouched_for_or_trusted_at_first() -> None:
    assert believe(RIGHT, pins=(RIGHT,)) == RIGHT
    assert believe(OTHER_KIND, RIGHT, pins=(RIGHT,)) == RIGHT
    assert believe(OTHER_KIND, RIGHT, vouched=fingerprint(RIGHT)) == RIGHT
    assert believe(RIGHT, first=True) == RIGHT


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(
    "vouched", [None, fingerprint(RIGHT), fingerprint(WRONG)], ids=["nobody", "right", "wrong"]
)
def test_a_changed_key_is_refused_whoever_vouches_for_it(vouched: str | None, first: bool) -> None:
    with pytest.raises(HostKeyRefusedError, match=r"has changed.*known_hosts"):
        believe(WRONG, pins=(RIGHT,), vouched=vouched, first=first)


def test_a_pinned_key_is_refused_where_another_was_vouched_for() -> None:
    with pytest.raises(HostKeyRefusedError):
        believe(RIGHT, pins=(RIGHT,), vouched=fingerprint(WRONG))


def test_an_unknown_key_is_refused_and_told() -> None:
    with pytest.raises(HostKeyRefusedError, match="is not known: SHA256:"):
        believe(RIGHT)
    with pytest.raises(HostKeyRefusedError, match="Nothing was sent to it"):
        believe(WRONG, vouched=fingerprint(RIGHT), first=True)


def test_pins_are_kept_by_host_and_port() -> None:
    known = with_pin(with_pin("", HOST, RIGHT), Destination("root", "arm-7"), WRONG)

    assert known == with_pin(known, HOST, RIGHT)
    assert pins_of(known, HOST) == [RIGHT]
    assert pins_of(without_pins(known, HOST), HOST) == []
    assert pins_of(without_pins(known, HOST), Destination("nvidia", "arm-7")) == [WRONG]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("root@arm-7", Destination("root", "arm-7")),
        ("nvidia@Arm-7.local:2222", Destination("nvidia", "arm-7.local", 2222)),
        ("root@[fe80::1]:22", Destination("root", "fe80::1")),
    ],
)
def test_a_destination_is_read(text: str, read: Destination) -> None:
    assert destination(text) == read
    assert destination(str(read)) == read


@pytest.mark.parametrize(
    "text",
    ["arm-7", "@arm-7", "root@", "root@arm-7:0", "root@arm-7:65536", "-oProxyCommand=x@y",
     "root@arm 7", "root@arm-7\n", "a b@c"],
)  # fmt: skip
def test_what_names_no_login_is_refused(text: str) -> None:
    with pytest.raises(DestinationError):
        destination(text)
