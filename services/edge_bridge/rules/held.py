"""The newest rules that this robot ever took from its hub: believed when signed, kept on disk, never older."""

from __future__ import annotations

import logging
from pathlib import Path

from msgspec import Struct

from edge_bridge.errors import BridgeError
from edge_bridge.files import write_whole
from fleetward.bus.logs import log
from fleetward.contracts.codec import UnreadableMessageError, decode, encode
from fleetward.contracts.rule_sets import RuleSet, RuleSetSigned
from fleetward.trust.signing import RULE_SET, SignatureError, Verifier

_logger = logging.getLogger(__name__)


class OlderRulesError(BridgeError):
    """Rules that were in force before those that the robot has: somebody repeats what was once sent."""


class Held(Struct, frozen=True):
    """A set, and what proves it."""

    rule_set: RuleSet
    signed: RuleSetSigned


class HeldRules:
    """What an offline robot goes by. ``path`` keeps it as it was sent, to be verified at every start."""

    def __init__(self, path: Path, trusted: Verifier) -> None:
        self._path = path
        self._trusted = trusted
        self.current = self._stored()

    def take(self, signed: RuleSetSigned) -> None:
        """Keep a set that is signed and newer, durably. What cannot be kept does not count.

        Raises SignatureError, UnreadableMessageError, OlderRulesError, DiskFullError, DiskFailedError.
        """
        held = self._still_believed()
        if held is not None and held.signed == signed:
            return
        rule_set = self._verified(signed)
        if held is not None and rule_set.revision <= held.rule_set.revision:
            raise OlderRulesError(
                f"the rules of revision {rule_set.revision} are older than those that this robot has, "
                f"{held.rule_set.revision}: they are refused."
            )
        write_whole(self._path, encode(signed))
        self.current = Held(rule_set, signed)

    def _still_believed(self) -> Held | None:
        """What is held, unless its key counts no more: then it is no floor either, and is forgotten."""
        if self.current is not None:
            try:
                self._verified(self.current.signed)
            except SignatureError as problem:
                log(_logger, "rules.distrusted", level=logging.ERROR, reason=str(problem))
                self.current = None
        return self.current

    def _verified(self, signed: RuleSetSigned) -> RuleSet:
        self._trusted.verify(RULE_SET, signed.payload, signed.key_id, signed.signature)
        return decode(signed.payload, RuleSet)

    def _stored(self) -> Held | None:
        """A file that was damaged or tampered with is as good as none: the hub has the rules."""
        try:
            signed = decode(self._path.read_bytes(), RuleSetSigned)
            return Held(self._verified(signed), signed)
        except FileNotFoundError:
            return None
        except (OSError, SignatureError, UnreadableMessageError) as problem:
            log(_logger, "rules.unreadable", level=logging.ERROR, reason=str(problem))
            return None
