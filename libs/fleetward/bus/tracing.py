"""One trace across the fleet: spans to a file or a collector, ``traceparent`` in headers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACEPARENT = "traceparent"
_propagator = TraceContextTextMapPropagator()


class JsonLinesExporter(SpanExporter):
    """Appends each finished span to a file as one line of JSON."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._path.open("a", encoding="utf-8") as file:
            for span in spans:
                file.write(json.dumps(_line(span)) + "\n")
        return SpanExportResult.SUCCESS


def setup_tracing(service: str, traces_dir: Path | None) -> None:
    """Record this process's spans to ``<traces_dir>/<service>.jsonl``; None records nothing."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    if traces_dir is not None:
        exporter = JsonLinesExporter(traces_dir / f"{service}.jsonl")
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def tracer() -> trace.Tracer:
    """The tracer of Fleetward's own spans."""
    return trace.get_tracer("fleetward")


def current_traceparent() -> str:
    """The current span as a W3C ``traceparent``, or an empty string outside any span."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get(TRACEPARENT, "")


def context_of(traceparent: str) -> Context:
    """The context that continues ``traceparent``; empty or malformed begins a new trace."""
    return _propagator.extract({TRACEPARENT: traceparent}) if traceparent else Context()


def headers_of_span() -> dict[str, str]:
    """The headers that carry the current trace, empty outside any span."""
    traceparent = current_traceparent()
    return {TRACEPARENT: traceparent} if traceparent else {}


def traceparent_in(headers: Mapping[str, str] | None) -> str:
    """The traceparent a message carries, or an empty string."""
    return (headers or {}).get(TRACEPARENT, "")


@contextmanager
def span(name: str, traceparent: str = "", **attributes: str | int | float | bool) -> Iterator[str]:
    """A span named for what is done, never for whom; yields its own traceparent.

    ``traceparent`` continues a trace that came from elsewhere; without it the current span is
    the parent.
    """
    context = context_of(traceparent) if traceparent else None
    with tracer().start_as_current_span(name, context=context, attributes=attributes):
        yield current_traceparent()


def _line(span: ReadableSpan) -> dict[str, object]:
    context = span.get_span_context()
    assert context is not None
    return {
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "name": span.name,
        "service": span.resource.attributes.get("service.name"),
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "attributes": dict(span.attributes or {}),
        "status": span.status.status_code.name,
    }
