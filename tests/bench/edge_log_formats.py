"""The same log records as blocks of JSON lines and as foxglove.Log in MCAP: processor and bytes."""

from __future__ import annotations

import io
import time

import msgspec
from mcap.writer import CompressionType, Writer
from msgspec import Struct

from edge_bridge.logs.batch import Batch
from edge_bridge.logs.parsing import record_of
from fleetward.logs.record import LogRecord, Resource
from fleetward.logs.segment import BlockWriter
from tests.bench.measurement import Measurement

RECORDS = 100_000
CHUNK_BYTES = 1024 * 1024
"""Of either format, uncompressed."""
NS_PER_S = 1_000_000_000
SOURCE = Resource(service_name="bench", file="/var/log/bench.log")
RATE_BYTES_PER_S = 10_000_000
_ENCODER = msgspec.json.Encoder()
_AT_ONCE = 1024


class Written(Struct, frozen=True):
    """cpu_s: to make ``size_bytes`` of the records."""

    cpu_s: float
    size_bytes: int


def measure() -> list[Measurement]:
    """Of lines that are read already."""
    lines = [_line(number) for number in range(RECORDS)]
    now_ns, began_s = time.time_ns(), time.process_time()
    records = [record_of(line, SOURCE, now_ns) for line in lines]
    read_s = time.process_time() - began_s
    read_bytes = sum(map(len, lines))
    blocks, mcap = _blocks(records), _mcap(records)

    def percent(cpu_s: float) -> float:
        return 100 * cpu_s * RATE_BYTES_PER_S / read_bytes

    return [
        Measurement(
            name="logs at 10 MB/s: lines made records", value=percent(read_s), unit="% of a core"
        ),
        Measurement(
            name="logs at 10 MB/s: records made segments of JSON lines in zstd",
            value=percent(blocks.cpu_s),
            unit="% of a core",
            ratio=blocks.cpu_s / mcap.cpu_s,
            against=f"foxglove.Log in MCAP, without fields: {percent(mcap.cpu_s):.1f} %",
        ),
        Measurement(
            name="the same: bytes, of those of the lines",
            value=100 * blocks.size_bytes / read_bytes,
            unit="%",
            ratio=blocks.size_bytes / mcap.size_bytes,
            against=f"foxglove.Log in MCAP, without fields: {100 * mcap.size_bytes / read_bytes:.1f} %",
        ),
    ]


def _line(number: int) -> bytes:
    """JSON and text by turns."""
    at = f"2026-11-29T09:40:{number // 1000 % 60:02}.{number % 1000:03}Z"
    if number % 2:
        return (
            f'{{"at":"{at}","level":"info","service":"bench","event":"plan.made","step":{number},'
            f'"cost":{number % 977 / 7:.3f},"pose":[{number % 313 / 3:.2f},0.0],'
            '"note":"a plan as a planner makes some hundred of a second"}'
        ).encode()
    return (
        f"{at} INFO bench.controller: wheel {number % 4} at {number % 97 / 9:.4f} rad/s, wanted "
        f"{number % 89 / 8:.4f}, current {number % 53 / 7:.2f} A, within its limits"
    ).encode()


def _blocks(records: list[LogRecord]) -> Written:
    began_s, writer, size_bytes, batch = time.process_time(), BlockWriter(), 0, Batch(0)
    for start in range(0, len(records), _AT_ONCE):
        part = records[start : start + _AT_ONCE]
        batch.add(part, _ENCODER.encode_lines(part))
        if len(batch.lines) >= CHUNK_BYTES:
            size_bytes += len(writer.block(batch.lines, batch.header(b"{}")))
            batch = Batch(start)
    size_bytes += len(writer.block(batch.lines, batch.header(b"{}")))
    return Written(time.process_time() - began_s, size_bytes)


def _mcap(records: list[LogRecord]) -> Written:
    began_s, file = time.process_time(), io.BytesIO()
    writer = Writer(file, chunk_size=CHUNK_BYTES, compression=CompressionType.ZSTD)
    writer.start()
    schema = writer.register_schema("foxglove.Log", "jsonschema", b"{}")
    channel = writer.register_channel("/log", "json", schema)
    for record in records:
        at_ns = record.timestamp
        content = {
            "timestamp": {"sec": at_ns // NS_PER_S, "nsec": at_ns % NS_PER_S},
            "level": record.severity_number // 4,
            "message": record.body,
            "name": record.resource.service_name,
            "file": record.resource.file,
            "line": 0,
        }
        writer.add_message(channel, at_ns, _ENCODER.encode(content), at_ns)
    writer.finish()  # type: ignore[no-untyped-call]  # mcap has no types here
    return Written(time.process_time() - began_s, len(file.getvalue()))
