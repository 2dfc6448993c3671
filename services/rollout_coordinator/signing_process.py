"""The coordinator's end of the process that signs with it (``signer``)."""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path

from fleetward.bus.logs import log
from fleetward.trust.signing import TARGET, SigningKey
from rollout_coordinator.signer import framed

_logger = logging.getLogger(__name__)

SIGNATURE_BYTES = 64
START_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_S = 2.0
"""For a few dozen signatures, a millisecond or so: it is stuck, and not busy."""
STOP_GRACE_S = 2.0


class SigningProcess:
    """A second process of this service, which holds the same key and signs on another processor.

    Nothing depends on it: when it is gone, or was never there, it answers None.
    """

    def __init__(
        self, key_file: Path, key: SigningKey, *, answer_timeout_s: float = ANSWER_TIMEOUT_S
    ) -> None:
        """``key_file``: what ``key`` was read from."""
        self._key_file = key_file
        self._key = key
        self._answer_timeout_s = answer_timeout_s
        self._process: Process | None = None
        self._answers = asyncio.Lock()
        """Answers come in the order of the questions, and so do those who wait for this."""

    @property
    def is_ready(self) -> bool:
        """Whether it runs, and signs as this process does."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start it; logged and left when it does not sign as this process does."""
        arguments = ("-m", "rollout_coordinator.signer", str(self._key_file))
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stdin=PIPE, stdout=PIPE
            )
        except OSError as problem:
            log(_logger, "signer.not_started", level=logging.WARNING, error=repr(problem))
            return
        probe = await _asked(process, [b""], START_TIMEOUT_S, self._answers)
        if probe == [self._key.sign(TARGET, b"").signature]:
            self._process = process
            return
        log(_logger, "signer.refused", level=logging.WARNING, key_file=str(self._key_file))
        await _ended(process)

    async def signatures(self, payloads: list[bytes]) -> list[bytes] | None:
        """One for each of ``payloads``; None when it does not answer: then it is ended."""
        process = self._process
        if process is None:
            return None
        answer: list[bytes] | None = None
        try:
            answer = await _asked(process, payloads, self._answer_timeout_s, self._answers)
        finally:
            if answer is None and self._process is process:
                self._process = None  # what it may still answer belongs to no question any more
                log(_logger, "signer.lost", level=logging.WARNING, process=process.pid)
                _kill(process)
        return answer

    async def stop(self) -> None:
        """End it, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            await _ended(process)


async def _asked(
    process: Process, payloads: list[bytes], timeout_s: float, answers: asyncio.Lock
) -> list[bytes] | None:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(timeout_s):
            process.stdin.write(framed(payloads))
            async with answers:
                answer = await process.stdout.readexactly(SIGNATURE_BYTES * len(payloads))
    except (TimeoutError, asyncio.IncompleteReadError, OSError):
        return None
    return [answer[at : at + SIGNATURE_BYTES] for at in range(0, len(answer), SIGNATURE_BYTES)]


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


async def _ended(process: Process) -> None:
    """Its input ends, and so does it; killed when it does not."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_GRACE_S):
            await process.wait()
    except TimeoutError:
        _kill(process)
        await process.wait()
