"""Claims of an operator-mode NATS server become signed JWTs, and nothing here reads a clock.

Format: NATS JWT version 2, header ``{"typ":"JWT","alg":"ed25519-nkey"}``. Times are unix seconds.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import nkeys  # type: ignore[import-untyped]  # ships no annotations
from msgspec import Struct

from fleetward.contracts.errors import FleetwardError

# JSON objects of another project's format; their shape is the server's to define.
Claims = dict[str, Any]

_PREFIXES = {
    "operator": nkeys.PREFIX_BYTE_OPERATOR,
    "account": nkeys.PREFIX_BYTE_ACCOUNT,
    "user": nkeys.PREFIX_BYTE_USER,
}
_HEADER = b'{"typ":"JWT","alg":"ed25519-nkey"}'
_UNLIMITED = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1}


class MalformedTokenError(FleetwardError):
    """Text that should have been a JWT is not one."""


class KeyPair:
    """An nkey: ``public`` names an operator, account or user; the seed stays with its owner."""

    def __init__(self, seed: bytes) -> None:
        self.seed = seed
        self._pair = nkeys.from_seed(bytearray(seed))
        public = self._pair.public_key
        self.public: str = public if isinstance(public, str) else bytes(public).decode()

    @classmethod
    def create(cls, kind: str) -> KeyPair:
        """A new key of kind ``operator``, ``account`` or ``user``."""
        return cls(bytes(nkeys.encode_seed(os.urandom(32), _PREFIXES[kind])))

    def sign(self, message: bytes) -> bytes:
        """An Ed25519 signature, 64 bytes."""
        return bytes(self._pair.sign(message))


class UserScope(Struct, frozen=True, kw_only=True):
    """What everybody issued by one signing key may do; ``{{name()}}`` is the user's own name.

    ``response_ttl_s`` not None lets a responder answer the reply subject of a request, once.
    """

    key: str
    role: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    payload_bytes: int
    subscriptions: int
    response_ttl_s: float | None = None


def signed(claims: Claims, signer: KeyPair, issued_at: int) -> str:
    """The JWT of ``claims`` under ``signer``."""
    body: Claims = {"iat": issued_at, **claims, "iss": signer.public}
    identity = {key: value for key, value in body.items() if key != "nats"}
    digest = hashlib.new("sha512_256", _compact(identity)).digest()
    body["jti"] = base64.b32encode(digest).rstrip(b"=").decode()
    signing_input = f"{_encode(_HEADER)}.{_encode(_compact(body))}"
    return f"{signing_input}.{_encode(signer.sign(signing_input.encode()))}"


def claims_of(token: str) -> Claims:
    """The claims inside a JWT, unverified; raises MalformedTokenError."""
    try:
        body = token.split(".")[1]
        claims: Claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError, binascii.Error) as error:
        raise MalformedTokenError(f"{token[:24]!r}... is not a JWT: {error}.") from error
    return claims


def operator_claims(operator: str, system_account: str, signing_keys: Sequence[str]) -> Claims:
    """The root of trust; accounts must be signed by one of ``signing_keys``, never by the root."""
    return {
        "sub": operator,
        "name": "fleetward",
        "nats": {
            "type": "operator",
            "version": 2,
            "system_account": system_account,
            "signing_keys": list(signing_keys),
            "strict_signing_key_usage": True,
        },
    }


def account_claims(
    account: str,
    name: str,
    scopes: Sequence[UserScope],
    *,
    exports: Sequence[Claims] = (),
    imports: Sequence[Claims] = (),
    revocations: Mapping[str, int] | None = None,
    jetstream: bool = False,
) -> Claims:
    """One account. revocations: user public key -> unix seconds before which its JWTs are void."""
    limits: Claims = {**_UNLIMITED, "leaf": 0, "wildcards": True, "disallow_bearer": True}
    if jetstream:
        limits |= {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
    nats: Claims = {
        "type": "account",
        "version": 2,
        "limits": limits,
        "signing_keys": [_scope_claims(scope) for scope in scopes],
        "exports": list(exports),
        "imports": list(imports),
        "revocations": dict(revocations or {}),
    }
    return {"sub": account, "name": name, "nats": nats}


def user_claims(user: str, name: str, account: str, expires_at: int | None = None) -> Claims:
    """A user under a scoped signing key: carries no permissions of its own."""
    claims: Claims = {
        "sub": user,
        "name": name,
        "nats": {"type": "user", "version": 2, "issuer_account": account},
    }
    return claims if expires_at is None else {**claims, "exp": expires_at}


def activation_claims(subject: str, importer: str, kind: str) -> Claims:
    """Lets one account import one subject. kind: ``service`` or ``stream``."""
    return {
        "sub": importer,
        "name": subject,
        "nats": {"type": "activation", "version": 2, "subject": subject, "kind": kind},
    }


def credentials(token: str, user: KeyPair) -> bytes:
    """The text of a ``.creds`` file, as every NATS client reads it."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    ).encode()


def token_in(credentials_text: str) -> str:
    """The JWT inside a ``.creds`` file; raises MalformedTokenError."""
    lines = credentials_text.splitlines()
    if len(lines) < 2 or "NATS USER JWT" not in lines[0]:
        raise MalformedTokenError("the credentials do not begin with a NATS user JWT.")
    return lines[1].strip()


def key_of(seed: bytes) -> KeyPair:
    """The key of a seed from elsewhere; raises MalformedTokenError."""
    try:
        return KeyPair(seed)
    except nkeys.NkeysError as error:
        raise MalformedTokenError("the credentials hold a seed that is none.") from error


def key_in(credentials_text: str) -> KeyPair:
    """The key inside a ``.creds`` file; raises MalformedTokenError."""
    lines = iter(credentials_text.splitlines())
    for line in lines:
        if "BEGIN USER NKEY SEED" in line:
            return key_of(next(lines, "").strip().encode())
    raise MalformedTokenError("the credentials hold no seed.")


def _scope_claims(scope: UserScope) -> Claims:
    template: Claims = {
        "pub": {"allow": list(scope.publish)} if scope.publish else {"deny": [">"]},
        "sub": {"allow": list(scope.subscribe)} if scope.subscribe else {"deny": [">"]},
        "subs": scope.subscriptions,
        "data": -1,
        "payload": scope.payload_bytes,
        "allowed_connection_types": ["STANDARD"],
    }
    if scope.response_ttl_s is not None:
        template["resp"] = {"max": 1, "ttl": int(scope.response_ttl_s * 1e9)}
    return {
        "kind": "user_scope",
        "key": scope.key,
        "role": scope.role,
        "description": scope.role,
        "template": template,
    }


def _compact(claims: Claims) -> bytes:
    return json.dumps(claims, separators=(",", ":")).encode()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
