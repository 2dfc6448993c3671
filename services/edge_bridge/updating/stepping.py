"""The steps of a release towards being the bridge: fetched, installed and tried, started, proved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec.structs import replace

from edge_bridge.converging.converge import Cost, Memory, Slotted
from edge_bridge.converging.interrupting import to_its_end
from edge_bridge.converging.outcome import Proof, activated
from edge_bridge.converging.swap_gate import LOOK_S, SwapGate
from edge_bridge.converging.verify import verified_manifest
from edge_bridge.disturbance.brake import Brake
from edge_bridge.errors import (
    DigestMismatchError,
    DiskFailedError,
    NotUpdatableError,
    TransientError,
)
from edge_bridge.fetching.fetch import Fetcher
from edge_bridge.pipeline import Shared
from edge_bridge.settings import Settings
from edge_bridge.updating import trial
from edge_bridge.updating.check import Tried
from edge_bridge.updating.installing import collect, install, remove
from edge_bridge.updating.launched import Launched, digest_of, name_of
from edge_bridge.updating.trial import Seen
from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.event import Event
from fleetward.contracts.ids import Digest, ModelRef
from fleetward.contracts.registry import ModelManifest
from fleetward.contracts.robots import RobotTarget, TargetMode


async def on_disk(call: Callable[..., object], *arguments: object) -> None:
    """In a thread; raises DiskFailedError, so that it is tried again."""
    try:
        await asyncio.to_thread(call, *arguments)
    except OSError as problem:
        raise DiskFailedError(
            f"the robot's disk failed for releases of the bridge: {problem}."
        ) from problem


class ReleaseSteps:
    """Acts on the store, on installed releases and on what is chosen of them."""

    def __init__(
        self,
        settings: Settings,
        launched: Launched,
        shared: Shared,
        *,
        brake: Brake,
        fetcher: Fetcher,
        gate: SwapGate,
        serving: Callable[[], Sequence[Tried]],
        seen: Callable[[], Seen],
    ) -> None:
        """serving: every model that the robot serves now. seen: what this bridge did since it started."""
        self.launched = launched
        self.gate = gate
        self._settings = settings
        self._shared = shared
        self._brake = brake
        self._fetcher = fetcher
        self._serving = serving
        self._seen = seen
        self._first_result_s: float | None = None

    @property
    def limited(self) -> bool:
        """Whether a preparation here may have to pause."""
        return self._shared.work.limited

    def slotted(self, target: RobotTarget | None) -> Slotted:
        """What is so: which release runs, which it would return to, and whether the target's is installed."""
        place, choice = self.launched.place, self.launched.choice()
        warm = choice.own if self.launched.on_trial else choice.before
        wanted = name_of(target.digest) if target else ""
        is_staged = (
            place.is_whole(wanted) if wanted not in {"", self.launched.name, warm} else False
        )
        return Slotted(
            active=self.launched.digest,
            warm=digest_of(warm) if warm and place.is_whole(warm) else None,
            staged=digest_of(wanted) if is_staged else None,
            stored=self._shared.store.digests(),
            withdrawn=self._shared.withdrawn.digests,
            may_swap=target is None or self.gate.is_open(target),
        )

    def refuse(self, target: RobotTarget) -> None:
        """Raise NotUpdatableError for what cannot be asked of a release."""
        if target.mode is TargetMode.SHADOW:
            raise NotUpdatableError(f"{target.model} is the bridge itself, and cannot be a shadow.")
        if target.together:
            raise NotUpdatableError(
                f"{target.model} is the bridge itself, and switches with no model."
            )

    async def fetch(self, target: RobotTarget, memory: Memory) -> Cost:
        """Bring the archive into the store; return what that cost."""
        await self._shared.trust.permit(target, memory)
        async with self._shared.needs.fetching:
            pinned = self._shared.needs.pinned()
            return await self._fetcher.fetch(target, pinned, memory.bytes_fetched)

    async def stage(self, target: RobotTarget, memory: Memory) -> None:
        """Verify the archive, install it beside the release that runs, and try it."""
        await self._shared.trust.permit(target, memory)
        await self._verify(target)
        await self.collect(target)
        await install(
            self.launched.place,
            name_of(target.digest),
            self._shared.store.path(target.digest),
            self._serving(),
            self._settings,
            self._brake,
        )

    async def discard(self, target: RobotTarget) -> None:
        """It is installed, and was left or is not wanted any more."""
        await on_disk(remove, self.launched.place, name_of(target.digest))

    async def collect(self, target: RobotTarget | None) -> None:
        """Keep what runs, what it would return to, and what is wanted."""
        choice = self.launched.choice()
        wanted = name_of(target.digest) if target else ""
        kept = (self.launched.name, choice.own, choice.before, choice.trial, wanted)
        await on_disk(collect, self.launched.place, kept)

    async def hand_over(self, digest: Digest | None) -> None:
        """Have another release started in our place, and wait for our end. Raises DiskFailedError.

        A newer target that comes meanwhile is that release's: what is chosen is started.
        """
        await to_its_end(self._make_way(digest))
        await asyncio.get_running_loop().create_future()

    async def _make_way(self, digest: Digest | None) -> None:
        await on_disk(self.launched.choose, name_of(digest))
        self.launched.leaving.set()

    async def await_swap(self, target: RobotTarget) -> None:
        """A while of waiting for the gate; raises TransientError while the hub's time is unknown."""
        if not self.gate.knows_the_time(target):
            await self._shared.trust.refresh(None)
        await self.gate.news(target)

    async def prove(self, target: RobotTarget) -> Proof:
        """Until this bridge does all that one is for. Raises TrialFailedError."""
        since_s = time.monotonic()
        while True:
            seen = self._seen()
            if trial.missing(seen):
                since_s = time.monotonic()
            seen = replace(seen, for_s=time.monotonic() - since_s)
            reason = trial.waits_for(seen, target.proof_inferences)
            if not reason:
                break
            self.launched.refuse_late(reason)
            await asyncio.sleep(LOOK_S)
        return self.proof()

    def proof(self) -> Proof:
        """What this bridge did so far."""
        answers = trial.inferences(self._seen().pipelines)
        return Proof(inferences=answers, swap_ms=self._gap_ms(), warm_up=None)

    def proved(
        self, target: RobotTarget, proof: Proof, memory: Memory, now: datetime
    ) -> list[Event]:
        """What is said of a target that is reached."""
        return [activated(target, proof, memory, now)]

    def refuse_withdrawn(self, target: RobotTarget) -> None:
        """Raise WithdrawnError where the target names withdrawn bytes."""
        self._shared.withdrawn.refuse(target)

    def release_of(self, target: RobotTarget) -> int:
        """Which release the registry last said this is; 0 when it does not list it."""
        return self._shared.trust.release_of(target)

    def first_result(self) -> None:
        """A model answered a frame, the first one since this bridge started."""
        if self._first_result_s is None:
            self._first_result_s = time.monotonic()

    def model_of(self, digest: Digest) -> ModelRef | None:
        """What a stored release is called; None: it is not stored any more."""
        try:
            manifest = decode(self._shared.store.manifest(digest).payload, ModelManifest)
        except (UnreadableMessageError, OSError):
            return None
        return manifest.model if manifest.digest == digest else None

    def _gap_ms(self) -> float:
        """From when the bridge before began to make way to the first answer of ours; 0: no frame came."""
        asked_s, first_s = self.launched.asked_s, self._first_result_s
        return (first_s - asked_s) * 1e3 if asked_s and first_s and first_s > asked_s else 0.0

    async def _verify(self, target: RobotTarget) -> None:
        """An archive that rotted on disk is fetched again; one that is not listed is refused."""
        store = self._shared.store
        try:
            await asyncio.to_thread(store.verify, target.digest)
            verified_manifest(self._shared.trust, store.manifest(target.digest), target)
        except (DigestMismatchError, UnreadableMessageError, OSError) as problem:
            store.remove(target.digest)
            raise TransientError(f"{target.model} must be fetched again: {problem}") from problem
