"""Which rules of the hub a robot keeps: signed by whom the root names, never older, verified at every start."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_bridge.errors import DiskFailedError
from edge_bridge.rules.held import HeldRules, OlderRulesError
from fleetward.contracts.codec import UnreadableMessageError, encode
from fleetward.contracts.ids import AlertName
from fleetward.contracts.rule_sets import CompiledRule, RuleSet, RuleSetSigned
from fleetward.trust.following import believed_keys
from fleetward.trust.roles import COMMANDS, ROOT, RULES
from fleetward.trust.signing import RULE_SET, TARGET, SignatureError, SigningKey
from testkit.authority import Authority


class Rig:
    """A robot's kept rules, under the root of an authority."""

    def __init__(self, directory: Path) -> None:
        (directory / "keys").mkdir()
        self.path = directory / "rules.msgpack"
        self.authority = Authority(directory / "keys")
        self.held = self.robot()

    def robot(self) -> HeldRules:
        """After a start."""
        return HeldRules(self.path, self)

    def verify(self, purpose: str, payload: bytes, key_id: str, signature: bytes) -> None:
        """As the root of today says."""
        believed_keys(self.authority.root).verify(purpose, payload, key_id, signature)

    def sign(
        self, revision: int, name: str = "One", *, key: SigningKey | None = None, **said: str
    ) -> RuleSetSigned:
        rules = (CompiledRule(alert=AlertName(name), compiled=b""),)
        payload = encode(
            RuleSet(
                revision=revision,
                lookback_s=300.0,
                rules=rules,
                issued_at=self.authority.now,
            )
        )
        key = key or self.authority.keys[RULES][0]
        signature = key.sign(said.get("purpose", RULE_SET), payload)
        return RuleSetSigned(
            payload=payload, key_id=signature.key_id, signature=signature.signature
        )

    @property
    def revision(self) -> int:
        return self.held.current.rule_set.revision if self.held.current else 0


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_signed_set_is_kept_over_a_start_and_a_newer_one_takes_its_place(rig: Rig) -> None:
    assert rig.held.current is None
    rig.held.take(rig.sign(5))
    rig.held.take(rig.sign(5))  # the same once more
    rig.held.take(rig.sign(9))
    rig.held = rig.robot()
    assert rig.revision == 9


@pytest.mark.parametrize("revision", [1, 8, 9])
def test_an_older_set_is_refused_and_another_of_the_same_revision_too(
    rig: Rig, revision: int
) -> None:
    rig.held.take(rig.sign(9))
    with pytest.raises(OlderRulesError, match="older than those that this robot has, 9"):
        rig.held.take(rig.sign(revision, "Other"))
    rig.held = rig.robot()
    assert rig.revision == 9
    with pytest.raises(OlderRulesError):
        rig.held.take(rig.sign(revision, "Other"))


def test_a_set_that_nobody_signed_who_may_changes_nothing(rig: Rig) -> None:
    rig.held.take(rig.sign(1))
    commands, stranger = rig.authority.commands, rig.authority.new_key()
    signed = rig.sign(2)
    for forged in (
        rig.sign(2, key=commands),
        rig.sign(2, key=stranger),
        rig.sign(2, purpose=TARGET),
        RuleSetSigned(
            payload=signed.payload + b"\0", key_id=signed.key_id, signature=signed.signature
        ),
    ):
        with pytest.raises(SignatureError):
            rig.held.take(forged)
    assert rig.revision == 1


def test_a_signed_set_that_cannot_be_read_changes_nothing(rig: Rig) -> None:
    rig.held.take(rig.sign(1))
    signature = rig.authority.keys[RULES][0].sign(RULE_SET, b"\xc1")
    with pytest.raises(UnreadableMessageError):
        rig.held.take(
            RuleSetSigned(payload=b"\xc1", key_id=signature.key_id, signature=signature.signature)
        )
    assert rig.revision == 1


@pytest.mark.parametrize("content", [b"", b"\xc1 spoiled", b"\x83\xa7payload\xc4\x00"])
def test_a_kept_file_that_the_disk_spoiled_is_as_good_as_none(rig: Rig, content: bytes) -> None:
    rig.held.take(rig.sign(3))
    rig.path.write_bytes(content)
    rig.held = rig.robot()
    assert rig.held.current is None
    rig.held.take(rig.sign(3))
    assert rig.revision == 3


def test_a_kept_file_that_somebody_changed_is_not_believed_at_the_next_start(rig: Rig) -> None:
    rig.held.take(rig.sign(3, "Strict"))
    rig.path.write_bytes(rig.path.read_bytes().replace(b"Strict", b"Looser"))
    assert rig.robot().current is None


def test_a_thief_who_counted_far_ahead_is_undone_by_another_key(rig: Rig) -> None:
    rig.held.take(rig.sign(10**12, "Thief"))
    rig.authority.rotate({RULES: [rig.authority.new_key()]}, rig.authority.keys[ROOT][:2])
    rig.held.take(rig.sign(4, "Ours"))
    assert rig.revision == 4


def test_a_set_under_a_key_that_was_taken_away_counts_no_more(rig: Rig) -> None:
    rig.held.take(rig.sign(3))
    rig.authority.rotate({RULES: [rig.authority.new_key()]}, rig.authority.keys[ROOT][:2])
    assert rig.robot().current is None
    with pytest.raises(SignatureError):
        rig.held.take(rig.sign(4, key=rig.authority.keys[COMMANDS][0]))
    assert rig.held.current is None


def test_a_root_that_names_no_key_for_rules_believes_no_rules(rig: Rig) -> None:
    rig.authority.rotate({RULES: []}, rig.authority.keys[ROOT][:2])
    with pytest.raises(SignatureError, match="not trusted for 'rule-set'"):
        rig.held.take(rig.sign(1, key=rig.authority.new_key()))


def test_what_cannot_be_kept_does_not_count(rig: Rig) -> None:
    rig.held.take(rig.sign(1))
    rig.path.unlink()
    rig.path.mkdir()  # nothing can take its place
    with pytest.raises(DiskFailedError):
        rig.held.take(rig.sign(2))
    assert rig.revision == 1
