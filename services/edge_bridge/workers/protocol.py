"""What the bridge and a worker say to each other: one message per SEQPACKET datagram.

The bridge sends Load once, then Tickets, and Expect before some of them. A worker answers Load with Ready
or Refused; before, it may ask whether a twin has its engine (Wanted, Offered) and tell how far a build is
(Preparing). It answers each Ticket with one Inferred. Frames do not travel here: a Ticket says where in the
ring they lie.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from edge_bridge.backends.engine_settings import EngineSettings
from edge_bridge.workers.ticket import Ticket
from fleetward.contracts.ids import Digest

MESSAGE_LIMIT_BYTES = 65_536
"""The largest message; a socket's default buffer holds three of them."""


class WorkerArguments(Struct, frozen=True, kw_only=True):
    """The worker's command line, in its order."""

    backend: str
    socket_fd: int
    ring_fd: int
    ring_bytes: int
    warm_up_runs: int
    inline_output_limit_bytes: int

    def argv(self) -> list[str]:
        return [str(getattr(self, name)) for name in self.__struct_fields__]

    @classmethod
    def of(cls, argv: list[str]) -> WorkerArguments:
        backend, socket_fd, ring_fd, ring_bytes, warm_up_runs, inline_bytes = argv
        return cls(
            backend=backend,
            socket_fd=int(socket_fd),
            ring_fd=int(ring_fd),
            ring_bytes=int(ring_bytes),
            warm_up_runs=int(warm_up_runs),
            inline_output_limit_bytes=int(inline_bytes),
        )


class Load(Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """Become the worker of this file, if its bytes have this digest. gentle: under SCHED_IDLE.

    idle: infer under SCHED_IDLE too, for good, and count latencies in processor time.
    """

    path: str
    digest: Digest
    gentle: bool
    idle: bool = False
    engines: EngineSettings = EngineSettings()


class Hasten(Struct, frozen=True, tag=True, array_like=True):
    """Loading took long enough under SCHED_IDLE: compete for the processor."""


class Expect(Struct, frozen=True, tag=True, array_like=True):
    """A frame is being written, and its Ticket will follow soon: to be awake by then is all."""


class Preparing(Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """An engine is being built, which may take minutes. phase: the runtime's name for what it does."""

    phase: str
    step: int
    steps: int


class Wanted(Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """An engine is not here: has a twin built it? engine: ``EngineKey.name``. Answered with Offered."""

    engine: str


class Offered(Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """Where the file of a twin lies, and who is said to have built it; empty: there is none."""

    path: str = ""
    builder: str = ""


class Ready(Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """Loaded and warm. digest_mapped: sha256 of the very bytes the session was made of.

    warm_up_p99_ms: of single inferences, by nearest rank; warm_up_ms is all of them together.
    backend: the runtime that serves. engine_key: of its engine, empty where it has none. remarks: how
    the engine came, what was refused on the way, why another runtime was not taken.
    """

    digest_mapped: Digest
    load_ms: float
    warm_up_ms: float
    warm_up_p99_ms: float = 0.0
    backend: str = ""
    engine_key: str = ""
    remarks: tuple[str, ...] = ()


class Refused(Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """The model cannot be served; the worker ends."""

    stage: Literal["load", "warm_up"]
    reason: str


class Output(Struct, frozen=True, kw_only=True):
    """One output of a model. content: its bytes in row order when small, else None.

    sample: of one that is not small, evenly spaced elements in row order, where asked for.
    minimum, mean and maximum are None for an empty output and for one that is not numeric.
    """

    shape: tuple[int, ...]
    dtype: str
    minimum: float | None = None
    mean: float | None = None
    maximum: float | None = None
    content: bytes | None = None
    sample: bytes | None = None


class Inferred(Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """One frame's answer. latency_s: pick-up to result; perception_s: capture to pick-up."""

    frame: int
    latency_s: float
    perception_s: float
    confidence: float | None = None
    error: str | None = None
    outputs: dict[str, Output] = {}


Order: TypeAlias = Load | Hasten | Offered | Expect | Ticket
Answer: TypeAlias = Preparing | Wanted | Ready | Refused | Inferred

encode = msgspec.msgpack.Encoder().encode
decode_order = msgspec.msgpack.Decoder(Order).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode
