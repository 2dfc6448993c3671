"""A changed account is in force on a running server when this returns."""

from __future__ import annotations

import json

from nats.aio.client import Client

from fleetward.contracts.errors import FleetwardError
from fleetward.trust.identities import ServerTrust

UPDATE_TIMEOUT_S = 5.0


class AccountRefusedError(FleetwardError):
    """The server did not take a new version of an account."""


async def push_accounts(connection: Client, trust: ServerTrust) -> None:
    """Send every account to the server ``connection`` (as SYSTEM) reaches; raises AccountRefusedError.

    A full resolver answers 200 even to a JWT that it will not apply, and an older JWT pushed
    again undoes a revocation: so each account is read back and compared.
    """
    for account, token in trust.accounts.items():
        subject = f"$SYS.REQ.ACCOUNT.{account}.CLAIMS"
        reply = await connection.request(
            f"{subject}.UPDATE", token.encode(), timeout=UPDATE_TIMEOUT_S
        )
        stored = await connection.request(f"{subject}.LOOKUP", b"", timeout=UPDATE_TIMEOUT_S)
        if stored.data.decode() != token:
            answer = json.loads(reply.data)
            raise AccountRefusedError(
                f"the server kept another version of account {account}: {answer}. Push it again."
            )
