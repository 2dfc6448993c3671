"""A plan makes exactly the file, moves what changed and nothing twice."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import DeltaOffer, StoredObject
from fleetward.delivery import fetch_plan
from fleetward.delivery.delta import Adapter, Copy, Delta, DeltaHeader, FromChunks, Literal, Recipe
from fleetward.delivery.errors import DeltaError
from fleetward.delivery.fetch_plan import (
    FromDelta,
    FromHeld,
    FromPack,
    LoadAdapter,
    Step,
    cheapest_offer,
    legs,
    moved_bytes,
    need_of,
    plan_chunks,
    plan_delta,
)
from fleetward.delivery.manifest import ChunkManifest, decode_manifest, encode_manifest
from tests.unit.delivery.chunked_files import Packs, digest_of

DELTA = digest_of(b"a delta")
PIECES = tuple(bytes([letter]) * (3 + letter % 5) for letter in range(97, 107))
files = st.lists(st.sampled_from(PIECES), min_size=1, max_size=24)


def made(
    steps: Iterable[Step], packs: Packs, models: dict[Digest, bytes], so_far: bytes = b""
) -> bytes:
    """What copies and pack ranges make, in their order."""
    content = bytearray(so_far)
    for step in steps:
        assert step.start == len(content)
        if isinstance(step, FromPack):
            content += packs.objects[step.stored][step.offset : step.offset + step.length]
        else:
            assert isinstance(step, FromHeld)
            source = models.get(step.source, content)
            content += source[step.source_start : step.source_start + step.length]
    return bytes(content)


@given(st.lists(files, max_size=3), files, st.integers(0, 24), st.integers(5, 40))
def test_a_plan_makes_exactly_the_file_from_wherever_it_goes_on(
    before: list[list[bytes]], wanted: list[bytes], done: int, pack_bytes: int
) -> None:
    packs = Packs(pack_bytes)
    models = {digest_of(b"".join(pieces)): b"".join(pieces) for pieces in before}
    held = {digest_of(b"".join(pieces)): packs.publish(pieces) for pieces in before}
    target = packs.publish(wanted)
    assert decode_manifest(encode_manifest(target)) == target
    so_far = b"".join(wanted[:done])
    steps = plan_chunks(target, held, len(so_far))
    assert made(steps, packs, models, so_far) == b"".join(wanted)
    new = set(wanted[done:]) - {piece for pieces in before for piece in pieces}
    assert moved_bytes(steps) == sum(map(len, new - set(wanted[:done])))


@given(files, files, st.integers(1, 60))
def test_legs_carry_every_step_in_order_within_the_limit(
    before: list[bytes], wanted: list[bytes], limit_bytes: int
) -> None:
    packs = Packs(40)
    base = packs.publish(before)
    steps = plan_chunks(packs.publish(wanted), {base.header.digest: base})
    grouped = list(legs(steps, limit_bytes))
    assert [step for leg in grouped for step in leg.steps] == list(steps)
    for leg in grouped:
        needs = [need for step in leg.steps if (need := need_of(step))]
        assert (leg.need is None) == (not needs)
        if leg.need is not None:
            assert leg.need.length == sum(need.length for need in needs)
            assert leg.need.length < limit_bytes + needs[-1].length
            offset = leg.need.offset
            for need in needs:
                assert (need.stored, need.offset) == (leg.need.stored, offset)
                offset += need.length


def test_a_robot_that_goes_on_elsewhere_asks_for_the_same_ranges_but_one() -> None:
    packs = Packs()
    target = packs.publish([bytes([letter]) * 7 for letter in range(40)])
    needs = [leg.need for leg in legs(plan_chunks(target, {}), 50)]
    later = [leg.need for leg in legs(plan_chunks(target, {}, 7 * 11), 50)]
    assert later[1:] == needs[-len(later) + 1 :]


def test_what_is_scattered_in_the_file_and_together_in_a_pack_is_one_get() -> None:
    packs = Packs()
    base = packs.publish([b"kept1", b"kept2", b"kept3"])
    target = packs.publish([b"new1", b"kept1", b"new2", b"kept2", b"new3", b"kept3"])
    (leg,) = legs(plan_chunks(target, {base.header.digest: base}), 100)
    assert leg.need is not None
    assert leg.need.length == len(b"new1new2new3")


def test_no_connection_waits_while_much_is_copied_on_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetch_plan, "MAX_COPIED_WITHIN_LEG_BYTES", 5)
    packs = Packs()
    base = packs.publish([b"keep1", b"keep22"])
    target = packs.publish([b"keep22", b"new1", b"keep1", b"new2", b"keep22", b"new3"])
    first, second = legs(plan_chunks(target, {base.header.digest: base}), 100)
    assert first.need is not None
    assert first.need.length == len(b"new1new2")
    assert isinstance(second.steps[0], FromPack)


def delta_of(base: ChunkManifest, target: ChunkManifest, *segments: object) -> Delta:
    header = DeltaHeader(
        base=base.header.digest,
        base_size_bytes=base.header.size_bytes,
        target=target.header.digest,
        target_size_bytes=target.header.size_bytes,
        adapters=(Adapter("F16", "F16", 4, 1, 1, 1.0, 10),),
        segments=segments,  # type: ignore[arg-type]  # a test names its own
    )
    return Delta(header, 100)


def test_a_delta_becomes_copies_pack_ranges_and_segments_with_their_payloads() -> None:
    packs = Packs()
    base = packs.publish([b"base-one", b"base-two"])
    target = packs.publish([b"base-one", b"12345678", b"literal!", b"recipe!!"])
    delta = delta_of(
        base, target, Copy(8, 0), FromChunks(8), Literal(8, 1, 7), Recipe(8, 0, 0, 0, 0)
    )
    steps = plan_delta(target, delta, DELTA, {base.header.digest: base})
    kinds = [type(step) for step in steps]
    assert kinds == [FromHeld, FromPack, FromDelta, LoadAdapter, FromDelta]
    literal, adapter = need_of(steps[2]), need_of(steps[3])
    assert literal is not None
    assert adapter is not None
    assert (literal.offset, literal.length) == (110, 7), "the adapters' payloads come first"
    assert (adapter.offset, adapter.length) == (100, 10)
    assert need_of(steps[4]) is None
    assert moved_bytes(steps) == 8 + 7 + 10
    assert delta.fetch_bytes == moved_bytes(steps) + delta.header_bytes


def test_a_delta_goes_on_where_the_file_stopped_and_loads_the_adapter_again() -> None:
    packs = Packs()
    base = packs.publish([b"base-one", b"base-two"])
    target = packs.publish([b"base-one", b"rec1", b"rec2"])
    delta = delta_of(base, target, Copy(8, 0), Recipe(8, 0, 0, 0, 3))
    held = {base.header.digest: base}
    assert [type(step) for step in plan_delta(target, delta, DELTA, held, 12)] == [
        LoadAdapter,
        FromDelta,
    ]
    copy, *_ = plan_delta(target, delta, DELTA, held, 4)
    assert copy == FromHeld(4, 4, base.header.digest, 4)


def test_a_delta_for_other_bytes_is_refused() -> None:
    packs = Packs()
    base, other = packs.publish([b"base"]), packs.publish([b"base", b"!"])
    target = packs.publish([b"12", b"345678"])
    held = {base.header.digest: base}
    good = delta_of(base, target, FromChunks(8))
    assert plan_delta(target, good, DELTA, held)
    with pytest.raises(DeltaError, match="is not here"):
        plan_delta(target, good, DELTA, {})
    with pytest.raises(DeltaError, match="the delta makes"):
        plan_delta(other, good, DELTA, held)
    with pytest.raises(DeltaError, match="none begins there"):
        plan_delta(target, delta_of(base, target, FromChunks(4), Literal(4, 1, 4)), DELTA, held)


def test_the_cheapest_delta_from_a_held_model_is_taken_when_it_beats_plain_chunks() -> None:
    here, absent = digest_of(b"here"), digest_of(b"absent")

    def offer(base: Digest, fetch_bytes: int) -> DeltaOffer:
        stored = StoredObject(key="k", digest=DELTA, size_bytes=fetch_bytes)
        return DeltaOffer(base=base, stored=stored, header_bytes=1, fetch_bytes=fetch_bytes)

    offers = [offer(here, 30), offer(here, 20), offer(absent, 5)]
    assert cheapest_offer(offers, {here}, 100) == offers[1]
    assert cheapest_offer(offers, {here}, 20) is None
    assert cheapest_offer(offers, (), 100) is None
