"""Which digests this robot must never serve again: believed when signed, kept on disk, never older."""

from __future__ import annotations

import logging
from pathlib import Path

from edge_bridge.errors import WithdrawnError
from edge_bridge.files import write_whole
from fleetward.bus.logs import log
from fleetward.contracts.codec import UnreadableMessageError, decode, encode
from fleetward.contracts.curation import (
    NONE_WITHDRAWN,
    SignedWithdrawals,
    Withdrawals,
    withdrawals_message,
)
from fleetward.contracts.ids import Digest
from fleetward.contracts.robots import RobotTarget
from fleetward.trust.signing import MANIFEST, SignatureError, Verifier

_logger = logging.getLogger(__name__)


class WithdrawnDigests:
    """The newest list this robot ever verified; an offline robot goes by the one on its disk."""

    def __init__(self, path: Path, trusted: Verifier) -> None:
        self._path = path
        self._trusted = trusted
        self._list = self._stored()

    @property
    def digests(self) -> frozenset[Digest]:
        """What must be served no more."""
        return frozenset(self._list.reasons)

    def refuse(self, target: RobotTarget) -> None:
        """Raises WithdrawnError when ``target`` names withdrawn bytes."""
        reason = self._list.reasons.get(target.digest)
        if reason is not None:
            raise WithdrawnError(f"{target.model} ({target.digest}) was withdrawn: {reason}.")

    def take(self, signed: SignedWithdrawals) -> bool:
        """Keep a list that is signed and newer, durably; say whether it was.

        One that is not signed changes nothing: it can neither withdraw nor give back. Raises
        DiskFullError or DiskFailedError.
        """
        try:
            newer = self._verified(signed)
        except (SignatureError, UnreadableMessageError) as problem:
            log(_logger, "withdrawals.distrusted", level=logging.ERROR, reason=str(problem))
            return False
        if newer.counter <= self._list.counter:
            return False
        write_whole(self._path, encode(signed))
        self._list = newer
        log(_logger, "withdrawals.taken", counter=newer.counter, digests=len(newer.reasons))
        return True

    def _verified(self, signed: SignedWithdrawals) -> Withdrawals:
        message = withdrawals_message(signed.payload)
        self._trusted.verify(MANIFEST, message, signed.key_id, signed.signature)
        return decode(signed.payload, Withdrawals)

    def _stored(self) -> Withdrawals:
        """A file that was damaged or tampered with is as good as none: the hub has the list."""
        try:
            return self._verified(decode(self._path.read_bytes(), SignedWithdrawals))
        except FileNotFoundError:
            return NONE_WITHDRAWN
        except (OSError, SignatureError, UnreadableMessageError) as problem:
            log(_logger, "withdrawals.unreadable", level=logging.ERROR, reason=str(problem))
            return NONE_WITHDRAWN
