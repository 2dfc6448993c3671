"""What was withdrawn stays so under every name; who said yes twice said it once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import structs

from fleetward.contracts.curation import MAX_APPROVALS, Approval, Preflight, Standing
from fleetward.contracts.judgements import (
    ApproveModel,
    DeprecateModel,
    ModelApproved,
    ModelDeprecated,
    ModelWithdrawn,
    WithdrawModel,
)
from model_registry.errors import JudgementRefusedError, WithdrawnError
from model_registry.judgement import (
    approve,
    deprecate,
    preflighted,
    refuse_withdrawn,
    retired,
    withdraw,
)
from tests.unit.model_registry.candidates import NOW, digest_of
from tests.unit.model_registry.curations import DETECTOR, FIRST, curation, known

LATER = NOW + timedelta(hours=1)
RECALL = WithdrawModel(name=DETECTOR, version=FIRST, reason="sees ghosts", by="ada")


def yes(by: str, contents: str = "1.0") -> ApproveModel:
    return ApproveModel(name=DETECTOR, version=FIRST, digest=digest_of(contents), by=by)


def test_a_withdrawal_marks_the_version_and_grows_the_list() -> None:
    judged = withdraw(known(), RECALL, NOW)

    assert judged.curation.standing is Standing.WITHDRAWN
    assert judged.withdrawals is not None
    assert judged.withdrawals.counter == 1
    assert judged.withdrawals.reasons == {digest_of("1.0"): "sees ghosts"}
    (fact,) = judged.facts
    assert isinstance(fact, ModelWithdrawn)
    assert (fact.digest, fact.by) == (digest_of("1.0"), "ada")


def test_withdrawing_again_changes_nothing() -> None:
    first = withdraw(known(), RECALL, NOW)
    assert first.withdrawals is not None

    again = withdraw(known(first.curation, first.withdrawals), RECALL, LATER)

    assert (again.curation, again.withdrawals, again.facts) == (first.curation, None, ())


def test_withdrawn_bytes_are_refused_under_every_name() -> None:
    withdrawals = withdraw(known(), RECALL, NOW).withdrawals
    assert withdrawals is not None

    with pytest.raises(WithdrawnError, match="sees ghosts"):
        refuse_withdrawn(withdrawals, digest_of("1.0"), "another:2.0")
    with pytest.raises(WithdrawnError):
        approve(known(None, withdrawals), yes("ada"), NOW)
    with pytest.raises(WithdrawnError):
        deprecate(
            known(None, withdrawals),
            DeprecateModel(name=DETECTOR, version=FIRST, reason="older"),
            NOW,
        )
    refuse_withdrawn(withdrawals, digest_of("2.0"), "another:2.0")


def test_a_deprecated_version_may_still_be_withdrawn() -> None:
    request = DeprecateModel(name=DETECTOR, version=FIRST, reason="1.1 is better")
    judged = deprecate(known(), request, NOW)
    assert isinstance(judged.facts[0], ModelDeprecated)
    assert deprecate(known(judged.curation), request, NOW).facts == ()

    assert withdraw(known(judged.curation), RECALL, NOW).curation.standing is Standing.WITHDRAWN


def test_each_name_approves_once_however_it_is_written() -> None:
    first = approve(known(), yes("Ada"), NOW)
    assert isinstance(first.facts[0], ModelApproved)
    assert approve(known(first.curation), yes(" ada "), LATER).facts == ()

    second = approve(known(first.curation), yes("Grace"), LATER)
    assert [approval.by for approval in second.curation.approvals] == ["Ada", "Grace"]


def test_an_approval_is_for_the_bytes_that_were_looked_at() -> None:
    with pytest.raises(JudgementRefusedError, match="the approval is for"):
        approve(known(), yes("ada", contents="other bytes"), NOW)


def test_approvals_are_bounded_and_named() -> None:
    full = structs.replace(
        curation(),
        approvals=tuple(Approval(by=f"p{number}", at=NOW) for number in range(MAX_APPROVALS)),
    )
    with pytest.raises(JudgementRefusedError, match="the most it may have"):
        approve(known(full), yes("ada"), NOW)
    with pytest.raises(JudgementRefusedError, match="Say who approves"):
        approve(known(), yes("  "), NOW)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1000])
def test_a_withdrawal_says_why(reason: str) -> None:
    with pytest.raises(JudgementRefusedError, match="Give a reason"):
        withdraw(known(), structs.replace(RECALL, reason=reason), NOW)


def test_the_newest_preflight_counts() -> None:
    passed = preflighted(known(), Preflight(passed=True, at=LATER))
    overtaken = preflighted(known(passed.curation), Preflight(passed=False, at=NOW))

    assert overtaken.curation.preflight == passed.curation.preflight
    assert (len(passed.facts), overtaken.facts) == (1, ())


def test_retirement_does_not_hide_a_withdrawal() -> None:
    gone = withdraw(known(), RECALL, NOW).curation
    assert retired(gone, LATER) == gone
    assert retired(curation(), LATER).standing is Standing.RETIRED
