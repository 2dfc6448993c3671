"""The process that signs what the coordinator hands it, until its standard input ends.

``python -m rollout_coordinator.signer KEY_FILE``. A request: the length of the rest in 4 bytes, most
significant first, and a msgpack list of payloads. The answer: 64 bytes of signature for each.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from fleetward.trust.signing import TARGET, SigningKey

LENGTH_BYTES = 4
_decoder = msgspec.msgpack.Decoder(list[bytes])


def framed(payloads: list[bytes]) -> bytes:
    """A request for the signatures of ``payloads``."""
    body = msgspec.msgpack.encode(payloads)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def serve(key: SigningKey, asked: BinaryIO, answered: BinaryIO) -> None:
    """Answer until there is nothing more, or nobody who reads it."""
    while len(length := asked.read(LENGTH_BYTES)) == LENGTH_BYTES:
        payloads = _decoder.decode(asked.read(int.from_bytes(length, "big")))
        answered.write(b"".join([key.sign(TARGET, payload).signature for payload in payloads]))
        answered.flush()


def main() -> int:
    """The process's exit status. Who stops the coordinator stops this: its input ends then."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    serve(SigningKey.load(Path(sys.argv[1])), sys.stdin.buffer, sys.stdout.buffer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
