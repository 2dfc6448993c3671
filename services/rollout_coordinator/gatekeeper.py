"""Asks web services whether rollouts may go on, and publishes what they said as a fact.

Level-triggered: what is asked follows from the rollouts as they stand. Two replicas, or one that was
killed in between, may ask twice; the key of a question is the same each time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from secrets import token_hex
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.backoff import pause_s
from fleetward.bus.errors import BusError
from fleetward.bus.logs import log
from fleetward.bus.publish import publish
from fleetward.contracts.gates import GateAnswered, Verdict
from fleetward.contracts.wording import shortened
from rollout_coordinator.gates import MAX_REASON_CHARACTERS, Question

if TYPE_CHECKING:
    import httpx

_logger = logging.getLogger(__name__)

SAYS_NO = frozenset({403, 409})
MAX_ASKED_AT_ONCE = 32
MAX_ANSWER_BYTES = 4096


class GatekeeperLimits(Struct, frozen=True, kw_only=True):
    """How long a whole answer may take, and how long an error is waited out before asking again."""

    answer_timeout_s: float = 10.0
    retry_wait_s: float = 2.0
    retry_wait_limit_s: float = 60.0


class Gatekeeper:
    """One question at a time for each gate; ``look`` as often as rollouts may have moved, then ``close``."""

    def __init__(
        self, connection: Client, limits: GatekeeperLimits, now: Callable[[], datetime]
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._now = now
        self._turn = asyncio.Semaphore(MAX_ASKED_AT_ONCE)
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._client: httpx.AsyncClient | None = None

    def look(self, questions: Iterable[Question]) -> None:
        """Ask what is to be asked now and is not being asked; leave off what no longer is."""
        wanted = {question.key: question for question in questions}
        for key in [key for key, task in self._asking.items() if key not in wanted or task.done()]:
            self._asking.pop(key).cancel()
        for key, question in wanted.items():
            if key not in self._asking:
                self._asking[key] = asyncio.get_running_loop().create_task(self._ask(question))

    async def close(self) -> None:
        """Ask nobody any more."""
        self.look(())
        if self._client is not None:
            await self._client.aclose()

    async def _ask(self, question: Question) -> None:
        """Until it is answered; what goes wrong is told whenever it is something else than before."""
        failures, told = 0, ""
        while True:
            async with self._turn:
                verdict, reason = await self._answer(question)
            if reason != told or verdict is not Verdict.ERROR:
                told = reason if await self._tell(question, verdict, reason) else ""
            if verdict is not Verdict.ERROR and told:
                return
            failures += 1
            limits = self._limits
            await asyncio.sleep(pause_s(failures, limits.retry_wait_s, limits.retry_wait_limit_s))

    async def _answer(self, question: Question) -> tuple[Verdict, str]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": question.key}
        # Most coordinators never ask anybody, and httpx takes a third of a second to import.
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=None,  # noqa: S113 (its own begin anew with every byte: see below)
                follow_redirects=False,
                trust_env=False,
            )
        try:
            async with (
                asyncio.timeout(self._limits.answer_timeout_s),
                self._client.stream(
                    "POST", question.url, content=msgspec.json.encode(question), headers=headers
                ) as answer,
            ):
                said = await _beginning(answer)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as problem:
            return Verdict.ERROR, f"it does not answer ({type(problem).__name__})"
        if answer.is_success:
            return Verdict.PASSED, said or f"it answered {answer.status_code}"
        if answer.status_code in SAYS_NO:
            return Verdict.REFUSED, said or f"it answered {answer.status_code}"
        return Verdict.ERROR, f"it answers {answer.status_code}"

    async def _tell(self, question: Question, verdict: Verdict, reason: str) -> bool:
        log(_logger, "gate.answered", gate=question.key, verdict=verdict.value, reason=reason)
        fact = GateAnswered(
            rollout_id=question.rollout,
            gate=question.gate,
            checkpoint=question.checkpoint,
            verdict=verdict,
            reason=reason,
            round=question.round,
            answered_at=self._now(),
        )
        try:
            await publish(self._connection, fact, message_id=token_hex(16))
        except BusError as problem:
            log(_logger, "gate.untold", level=logging.WARNING, error=repr(problem))
            return False
        return True


async def _beginning(answer: httpx.Response) -> str:
    """What is shown of an answer; the rest of a long one is not waited for."""
    said = bytearray()
    async for part in answer.aiter_raw():
        said += part
        if len(said) >= MAX_ANSWER_BYTES:
            break
    words = said[:MAX_ANSWER_BYTES].decode(errors="replace").split()
    return shortened(" ".join(words), MAX_REASON_CHARACTERS)
