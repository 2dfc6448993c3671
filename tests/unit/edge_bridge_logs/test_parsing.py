"""Lines of programs as records: what they say of themselves is found, what is secret is not kept."""

from __future__ import annotations

import json
import random
from datetime import datetime, timezone

import msgspec
import pytest

from edge_bridge.logs.parsing import record_of
from edge_bridge.logs.redaction import REDACTED
from fleetward.logs.record import LogRecord, Resource, Severity

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=timezone.utc)
NOW_NS = int(NOW.timestamp()) * 10**9
SOURCE = Resource(service_name="nav")


def parsed(line: str) -> LogRecord:
    return record_of(line.encode(), SOURCE, NOW_NS)


def test_json_keeps_its_fields_under_the_names_of_the_data_model() -> None:
    record = parsed(
        '{"at":"2026-11-29T11:59:59.250+00:00","level":"warning","service":"planner",'
        '"event":"plan.late","late_ms":12,"trace_id":"abc","exception":"Traceback ..."}'
    )
    assert record == LogRecord(
        timestamp=NOW_NS - 750_000_000,
        observed_timestamp=NOW_NS,
        severity_number=Severity.WARN,
        severity_text="warning",
        body="plan.late",
        resource=Resource(service_name="planner"),
        attributes={"late_ms": 12, "exception.stacktrace": "Traceback ..."},
        trace_id="abc",
    )


@pytest.mark.parametrize(
    ("said", "seconds_before_now"),
    [
        ('"2026-11-29T11:59:00Z"', 60.0),
        ('"2026-11-29 12:59:30.5+01:00"', 30.0 - 0.5),
        ('"2026-11-29T11:59:59.123456789+0000"', 0.876543211),
        ("1795953599", 1.0),
        ("1795953599.5", 0.5),
        ("1795953599500", 0.5),
        ("1795953599500000", 0.5),
        ("1795953599500000000", 0.5),
    ],
)
def test_times_of_every_kind_are_read(said: str, seconds_before_now: float) -> None:
    record = parsed(f'{{"time":{said},"msg":"x"}}')
    assert (NOW_NS - record.timestamp) / 1e9 == pytest.approx(seconds_before_now, abs=1e-6)
    assert record.attributes == {}


@pytest.mark.parametrize(
    "said",
    ['"yesterday"', '"2026-13-29T11:59:00Z"', "0", "1e300", "true", '"9999-01-01T00:00:00Z"'],
)
def test_what_cannot_be_a_time_stays_as_it_was_said(said: str) -> None:
    record = parsed(f'{{"time":{said},"msg":"x"}}')
    assert record.timestamp == NOW_NS
    assert list(record.attributes) == ["time"]


@pytest.mark.parametrize(
    ("line", "severity"),
    [
        ("[INFO] [1795953599.0] [camera]: started", Severity.INFO),
        ("2026-11-29 11:59:59,123 ERROR nav.planner: no way", Severity.ERROR),
        ("[warn] battery", Severity.WARN),
        ("ts=1 level=error msg=late", Severity.ERROR),
        ("error: no such device", Severity.ERROR),
        ("<4>from a daemon", Severity.WARN),
        ("Traceback (most recent call last):\n  File\nValueError", Severity.ERROR),
        ("all INFORMATION is here", Severity.UNSPECIFIED),
        ("a terrible error in the middle", Severity.UNSPECIFIED),
    ],
)
def test_text_says_how_severe_it_is(line: str, severity: Severity) -> None:
    assert parsed(line).severity_number == severity


def test_text_is_kept_whole_with_the_time_it_begins_with() -> None:
    line = "2026-11-29T11:59:59Z nav: gone"
    record = parsed(line)
    assert (record.body, record.timestamp) == (line, NOW_NS - 10**9)
    assert record.resource == SOURCE


@pytest.mark.parametrize(
    "line",
    ["{", '{"a":', "[1]", '{"deep":' * 2000, "\udcff\x00".encode("utf-8", "replace").decode()],
)
def test_what_is_no_json_is_text(line: str) -> None:
    assert parsed(line).body == line


def test_bytes_that_are_no_text_are_kept_as_far_as_they_are() -> None:
    assert record_of(b"caf\xe9", SOURCE, NOW_NS).body == "caf�"


NAMES = (
    *("time", "level", "severity_number", "msg", "service", "resource", "attributes", "token"),
    *("exception", "trace_id", "body", "", "x"),
)


def any_json(chance: random.Random, depth: int = 0) -> object:
    """What programs never should write, and some do."""
    kind = chance.randrange(12)
    if kind == 0 and depth < 9:
        return {chance.choice(NAMES): any_json(chance, depth + 1) for _ in range(3)}
    if kind == 1 and depth < 9:
        return [any_json(chance, depth + 1) for _ in range(3)]
    numbers = (chance.randint(-(10**30), 10**30), 9e999, chance.random() * 10**300, -1)
    texts = ("\ud800", "\x00\u2028", "2026-11-29T11:59:00Z", "info")
    return chance.choice((None, True, *numbers, *texts))


@pytest.mark.parametrize("seed", range(20))
def test_no_line_ends_the_collector_and_each_becomes_a_line_again(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(200):
        line = bytearray(
            json.dumps({name: any_json(chance) for name in chance.sample(NAMES, 5)}).encode()
        )
        if chance.random() < 0.3:
            line[chance.randrange(len(line))] = chance.randrange(256)
        written = msgspec.json.encode(record_of(bytes(line), SOURCE, NOW_NS))
        assert b"\n" not in written
        msgspec.json.decode(written, type=LogRecord)


@pytest.mark.parametrize(
    "fields",
    [
        '"nats_token":"s3cr3t"',
        '"password":12345',
        '"apiKey":"s3cr3t"',
        '"authorization":"Bearer s3cr3t"',
        '"seed":"s3cr3t"',
        '"login":{"user":"me","Passwd":"s3cr3t"}',
        '"logins":[{"secret":["s3cr3t"]}]',
    ],
)
def test_values_that_are_named_as_secrets_are_not_kept(fields: str) -> None:
    record = parsed(f'{{"msg":"login","kept":"yes",{fields}}}')
    told = str(record.attributes)
    assert REDACTED in told
    assert "s3cr3t" not in told
    assert "12345" not in told
    assert record.attributes["kept"] == "yes"


@pytest.mark.parametrize("fields", ['"tokens":512', '"seed":42', '"token":7', '"keyboard":"de"'])
def test_numbers_that_only_sound_secret_are_kept(fields: str) -> None:
    assert REDACTED not in str(parsed(f'{{"msg":"x",{fields}}}').attributes)


@pytest.mark.parametrize(
    "text",
    [
        "connecting with password=s3cr3t to hub",
        "api_key: s3cr3t",
        'sent {"token": "s3cr3t"}',
        "Authorization: Bearer s3cr3t",
    ],
)
def test_words_of_text_that_are_named_as_secrets_are_not_kept(text: str) -> None:
    body = parsed(text).body
    assert "s3cr3t" not in body
    assert REDACTED in body
    assert parsed("the key to tokens: none").body == "the key to tokens: none"


def test_seeds_of_keys_of_the_bus_are_not_kept_whatever_they_are_called() -> None:
    seed = f"SUA{'B7' * 27}Q"
    body = parsed(f"-----BEGIN USER NKEY SEED-----{seed} ------END").body
    assert seed not in body
    assert REDACTED in body
