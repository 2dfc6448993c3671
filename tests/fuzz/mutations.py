"""Changes a header and keeps its frame whole, so that what reads the header is reached, not only its frame."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, NamedTuple

from fleetward.delivery.delta import MAGIC as DELTA_MAGIC
from fleetward.delivery.manifest import MAGIC as MANIFEST_MAGIC

ODD_NUMBERS = (
    0,
    1,
    -1,
    2,
    4,
    255,
    2**16,
    2**20 + 1,
    2**31,
    2**32,
    2**53,
    2**63 - 1,
    2**63,
    -(2**63),
)
CHANGES_AT_ONCE = 3

Json = Any  # Any: whatever a header holds


class Framed(NamedTuple):
    """A JSON header between what frames it."""

    before: bytes
    header: Json
    after: bytes


def mutated(content: bytes, seed: int, plain: Callable[[bytes], bytes]) -> bytes:
    """``content`` with a changed header; or changed by ``plain``, when it has none."""
    chance = random.Random(seed)
    framed = _framed(content)
    if framed is None or chance.random() < 0.3:
        return plain(content)
    for _ in range(chance.randint(1, CHANGES_AT_ONCE)):
        _change(framed.header, chance)
    after = plain(framed.after) if framed.after and chance.random() < 0.3 else framed.after
    return _joined(Framed(framed.before, framed.header, after))


def _framed(content: bytes) -> Framed | None:
    start = 12 if content[:4] in (MANIFEST_MAGIC, DELTA_MAGIC) else 8
    if len(content) < start:
        return None
    length = struct.unpack_from("<I", content, start - 4 if start == 12 else 0)[0]
    try:
        header = json.loads(content[start : start + length])
    except (ValueError, RecursionError):
        return None
    before = content[: start - 4] if start == 12 else b""
    return Framed(before, header, content[start + length :])


def _joined(framed: Framed) -> bytes:
    text = json.dumps(framed.header, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )
    length = struct.pack("<I" if framed.before else "<Q", len(text))
    return framed.before + length + text + framed.after


def _change(header: Json, chance: random.Random) -> None:
    places = list(_places(header))
    if not places:
        return
    held, key = chance.choice(places)
    value = held[key]
    match chance.randrange(5):
        case 0 if isinstance(held, list):
            held.insert(chance.randrange(len(held) + 1), deepcopy(value))
        case 1:
            del held[key]
        case 2:
            other, elsewhere = chance.choice(places)
            held[key] = deepcopy(other[elsewhere])
        case _:
            held[key] = _odd(value, chance)


def _odd(value: Json, chance: random.Random) -> Json:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return chance.choice((value, None, "", [], {}, 0, "x" * 70, "\ud800", [[]]))
    return chance.choice((*ODD_NUMBERS, value + 1, value - 1, value * 2, value // 2, value + 0.5))


def _places(held: Json) -> Iterator[tuple[Json, Json]]:
    """Every place in a tree of lists and objects."""
    keys = (
        list(held) if isinstance(held, dict) else range(len(held) if isinstance(held, list) else 0)
    )
    for key in keys:
        yield held, key
        yield from _places(held[key])
