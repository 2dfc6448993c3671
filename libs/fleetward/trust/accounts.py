"""What passes between accounts follows from the catalog alone, and nothing else passes.

A server does not check the reply subject of a request against the sender's permissions: whoever
shares an account with a stream can make the acknowledgement of one message the next message of
any other subject. So only services live in CORE, where the streams are. Everybody else reaches
it through imports of exactly what they may publish, read, ask and hear: docs/adr/0003.
"""

from __future__ import annotations

from msgspec import Struct

from fleetward.contracts.accounts import Account, account_of, residents, stream_info
from fleetward.contracts.catalog import CONSUMERS, EVENTS, REQUESTS
from fleetward.contracts.rows import Principal, StreamName
from fleetward.trust.permissions import (
    MANY_ANSWERS,
    OWN_NAME,
    UnsafeRowError,
    permissions_of,
)


class Door(Struct, frozen=True, kw_only=True, order=True):
    """One subject that ``exporter`` opens to another account.

    kind: ``service`` (requests into the exporter, answers back) or ``stream`` (out of it).
    ``local``: the importer's own name for ``subject``. ``answer_within_s`` None leaves the
    server's own two minutes.
    """

    kind: str
    subject: str
    local: str
    exporter: Account
    many_answers: bool = False
    answer_within_s: float | None = None


def doors(account: Account) -> tuple[Door, ...]:
    """Every subject that ``account`` imports, and from whom; raises UnsafeRowError.

    What is heard comes straight from the account of each producer: a server passes nothing on
    that came in as a service, which is also what keeps a redirected answer from being heard.
    """
    if account is Account.CORE:
        return ()
    inward = set[str]()
    for principal in residents(account):
        _refuse_service(principal)
        inward |= {_anybodys(subject) for subject in permissions_of(principal).publish}
    services = (_service(account, subject) for subject in sorted(inward))
    return (*services, *sorted(_streams(account)))


def exports(account: Account) -> tuple[Door, ...]:
    """Every subject that ``account`` opens to others, each once."""
    every = {door for importer in Account for door in doors(importer)}
    return tuple(sorted(door for door in every if door.exporter is account))


def _streams(account: Account) -> set[Door]:
    here = set(residents(account))
    return {
        Door(
            kind="stream",
            subject=row.pattern,
            local=row.pattern,
            exporter=account_of(producer),
        )
        for row in EVENTS
        if here & set(row.listeners)
        for producer in row.producers
        if producer not in here
    }


def _service(account: Account, local: str) -> Door:
    waits = [row.timeout_s for row in REQUESTS if row.pattern == local]
    renamed = {stream_info(account, name): stream_info(Account.CORE, name) for name in StreamName}
    return Door(
        kind="service",
        subject=renamed.get(local, local),
        local=local,
        exporter=Account.CORE,
        many_answers=local in MANY_ANSWERS,
        answer_within_s=max(waits, default=None),
    )


def _refuse_service(principal: Principal) -> None:
    """Consumers and answers would need doors of another kind; nobody outside has any."""
    if any(row.principal is principal for row in CONSUMERS) or any(
        row.responder is principal for row in REQUESTS
    ):
        raise UnsafeRowError(
            f"{principal.value} lives outside CORE and has a consumer or answers a request. "
            "Give that row to a service."
        )


def _anybodys(subject: str) -> str:
    """The subject for every name: permissions leave each resident its own."""
    return subject.replace(OWN_NAME, "*")
