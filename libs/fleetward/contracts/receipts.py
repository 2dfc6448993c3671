"""What a robot signs for when it swapped to another model and proved it."""

from __future__ import annotations

from msgspec import Struct

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import BootId, Digest, ModelRef, RobotId, RolloutId


class SwapReceipt(Struct, frozen=True, kw_only=True):
    """Under which conditions a model began to serve on a robot.

    digest: of the bytes its worker mapped. backend, engine_key: what serves it (``ModelActivated``);
    empty where it was warm already. warm_up_p99_ms: of the inferences of its warm-up, by nearest rank:
    of fewer than a hundred, the slowest. parity: by output, how far its answers lay from those of the
    model before on ``parity_frames`` frames that both saw; empty where it was no shadow here since boot.
    temperatures_c: by thermal zone; power_mode: the robot's own word; both at the moment of signing.
    """

    robot_id: RobotId
    boot_id: BootId
    rollout_id: RolloutId
    generation: int
    model: ModelRef
    digest: Digest
    inferences: int
    swap_ms: float
    backend: str = ""
    engine_key: str = ""
    warm_up_p99_ms: float = 0.0
    parity: dict[str, float] = {}
    parity_frames: int = 0
    temperatures_c: dict[str, float] = {}
    power_mode: str = ""
    signed_at: UtcTime


class SwapReceiptSigned(Event, frozen=True, kw_only=True):
    """A receipt as signed bytes. payload: msgpack of SwapReceipt; signature: Ed25519, 64 bytes.

    key: the public nkey that the robot signed with; ``RobotEnrolled.public_key`` says whose it is.
    ``robot_id`` repeats the signer to fill in the subject; the signed copy is what counts.
    """

    robot_id: RobotId
    payload: bytes
    key: str
    signature: bytes
