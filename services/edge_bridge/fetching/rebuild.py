"""Makes the file: takes each step's payload in order, and lets only right chunks into the partial."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge_bridge.errors import BridgeError, WrongChunkError
from edge_bridge.fetching.partial import PartialModel
from edge_bridge.files import Files
from fleetward.contracts.ids import Digest
from fleetward.delivery.apply import LoadedAdapter, load_adapter, make_segment
from fleetward.delivery.delta import FromChunks, Literal
from fleetward.delivery.errors import DeltaError
from fleetward.delivery.fetch_plan import FromDelta, FromHeld, FromPack, LoadAdapter, Step
from fleetward.delivery.frames import Content
from fleetward.delivery.planes import Scratch
from fleetward.delivery.update import Kind, Source, Update


class WrongSourceError(BridgeError):
    """A source gave other bytes than the signed chunks: plan again without it."""

    def __init__(self, source: Source, reason: str) -> None:
        super().__init__(f"{source} gave wrong bytes: {reason}")
        self.source = source


class Rebuild:
    """Blocking, one step after the other. ``held`` is where each model that is here lies."""

    def __init__(
        self,
        partial: PartialModel,
        files: Files,
        held: Mapping[Digest, Path],
        update: Update,
    ) -> None:
        self._partial = partial
        self._files = files
        self._held = held
        self._update = update
        self._adapter: LoadedAdapter | None = None
        self._scratch = Scratch()
        self._chunk = bytearray()
        self._sources: dict[Source, None] = {}
        """Who gave bytes of the chunk in progress, in order."""

    def do(self, step: Step, payload: bytes) -> None:
        """Carry a step out. Raises WrongSourceError, DiskFullError or DiskFailedError."""
        if isinstance(step, FromPack):
            self._take(payload, Source(Kind.PACK, step.stored))
        elif isinstance(step, FromHeld):
            source = self._copied_from(step.source)
            self._take(self._read(source, step.source_start, step.length), source)
        else:
            try:
                self._compute(step, payload)
            except DeltaError as problem:
                raise WrongSourceError(Source(Kind.DELTA, step.stored), str(problem)) from problem

    def _compute(self, step: LoadAdapter | FromDelta, payload: bytes) -> None:
        delta = self._update.delta
        assert delta is not None, "only a delta's plan has steps that compute"
        if isinstance(step, LoadAdapter):
            self._adapter = load_adapter(delta.header.adapters[step.adapter], payload)
            return
        segment, base = step.placed.segment, b""
        if not isinstance(segment, (Literal, FromChunks)):
            source = Source(Kind.HELD, delta.header.base)
            base = self._read(source, segment.base_start, segment.length)
        content = make_segment(segment, base, payload, self._adapter, self._scratch)
        made = memoryview(content).cast("B")
        here_bytes = self._partial.kept_bytes + len(self._chunk)
        self._take(made[here_bytes - step.start :], Source(Kind.DELTA, step.stored))

    def _take(self, content: Content, source: Source) -> None:
        view = memoryview(content)
        while view:
            self._sources[source] = None
            missing = self._partial.next_chunk().length - len(self._chunk)
            self._chunk += view[:missing]
            if len(view) < missing:
                return
            view = view[missing:]
            self._end_chunk()

    def _end_chunk(self) -> None:
        content = bytes(self._chunk)
        suspect = min(self._sources, key=lambda source: source.kind.value)
        self._chunk.clear()
        self._sources.clear()
        try:
            self._partial.append(content)
        except WrongChunkError as problem:
            raise WrongSourceError(suspect, str(problem)) from problem

    def _copied_from(self, digest: Digest) -> Source:
        is_itself = digest == self._partial.manifest.header.digest
        return Source(Kind.ITSELF if is_itself else Kind.HELD, digest)

    def _read(self, source: Source, start: int, length: int) -> bytes:
        if source.kind is Kind.ITSELF:
            return self._partial.read(start, length)
        try:
            content = self._files.read_part(self._held[source.digest], start, length)
        except OSError as problem:
            raise WrongSourceError(source, str(problem)) from problem
        if len(content) != length:
            raise WrongSourceError(source, f"it ends before byte {start + length}")
        return content
