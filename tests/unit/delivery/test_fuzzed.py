"""What fuzzing found worth keeping is read or refused by name, again with every run of the tests."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.mutations import mutated
from tests.fuzz.parsers import PARSERS
from tests.fuzz.seeds import seeds

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus"
MUTATIONS = 300


@pytest.mark.parametrize("parser", PARSERS)
def test_every_seed_is_read(parser: str) -> None:
    assert all(PARSERS[parser](seed) for seed in seeds(parser))


@pytest.mark.parametrize("parser", PARSERS)
def test_the_corpus_is_read_or_refused_by_name(parser: str) -> None:
    kept = [path.read_bytes() for path in sorted((CORPUS / parser).iterdir())]
    read = [PARSERS[parser](content) for content in kept]
    assert False in read, "fuzzing keeps what is refused in a way of its own"


@pytest.mark.parametrize("parser", PARSERS)
def test_changed_headers_are_read_or_refused_by_name(parser: str) -> None:
    chance = random.Random(parser)
    begun = seeds(parser)
    for seed in range(MUTATIONS):
        PARSERS[parser](mutated(chance.choice(begun), seed, lambda part: torn(part, chance)))


def torn(content: bytes, chance: random.Random) -> bytes:
    """With one byte changed, or cut off."""
    if not content:
        return content
    at = chance.randrange(len(content))
    if chance.random() < 0.2:
        return content[:at]
    return content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :]
