"""The catalog as an AsyncAPI 3.0 document, for programs: channels, messages, JSON Schemas.

https://www.asyncapi.com/docs/reference/specification/v3.0.0. Bytes are raw in msgpack; JSON
Schema knows them as base64 text only.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fleetward.contracts.catalog import CONSUMERS, EVENTS, REQUESTS
from fleetward.contracts.event import Event
from fleetward.contracts.events_page import first_line, kept
from fleetward.contracts.rows import PLACEHOLDER, RequestRow

ASYNCAPI_VERSION = "3.0.0"
CATALOG_VERSION = "1"
"""The ``v1`` of every subject: a changed meaning is a new Struct on a new subject."""
CONTENT_TYPE = "application/msgpack"

Node = dict[str, Any]  # JSON: what it may hold is AsyncAPI's to say


def asyncapi() -> str:
    """The document as indented JSON, the same bytes for the same catalog."""
    document = msgspec.json.encode(_document(), order="sorted")
    return msgspec.json.format(document, indent=2).decode() + "\n"


def _document() -> Node:
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "Fleetward",
            "version": CATALOG_VERSION,
            "description": "What services, robots and people of a fleet say to each other.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {**_event_channels(), **_request_channels()},
        "operations": {**_event_operations(), **_request_operations()},
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _event_channels() -> Node:
    return {
        row.event.__name__: {
            **_channel(row.subject, row.event),
            "x-rate": row.rate,
            "x-producers": [principal.value for principal in row.producers],
            "x-readers": [principal.value for principal in row.readers],
            "x-listeners": [principal.value for principal in row.listeners],
            "x-stream": row.stream.value if row.stream else None,
            "x-retention": kept(row),
            "x-size-limit-bytes": row.size_limit_bytes,
        }
        for row in EVENTS
    }


def _request_channels() -> Node:
    channels: Node = {}
    for row in REQUESTS:
        channels[row.request.__name__] = _channel(row.subject, row.request)
        channels[_reply_channel(row)] = {
            "address": None,
            "description": "The caller's own inbox.",
            "messages": {row.reply.__name__: _message_ref(row.reply)},
        }
    return channels


def _channel(subject: str, event: type[Event]) -> Node:
    return {
        "address": subject,
        "summary": first_line(event),
        "parameters": {name: {} for name in PLACEHOLDER.findall(subject)},
        "messages": {event.__name__: _message_ref(event)},
    }


def _event_operations() -> Node:
    published = {
        f"{principal.value}.publishes.{row.event.__name__}": _operation("send", row.event)
        for row in EVENTS
        for principal in row.producers
    }
    heard = {
        f"{principal.value}.hears.{row.event.__name__}": _operation("receive", row.event)
        for row in EVENTS
        for principal in row.listeners
    }
    consumed = {
        f"{row.durable}.takes.{event.__name__}": _operation("receive", event)
        for row in CONSUMERS
        for event in row.events
    }
    return {**published, **heard, **consumed}


def _request_operations() -> Node:
    operations: Node = {}
    for row in REQUESTS:
        reply = {
            "channel": {"$ref": f"#/channels/{_reply_channel(row)}"},
            "messages": [_channel_message(_reply_channel(row), row.reply)],
        }
        for caller in row.callers:
            name = f"{caller.value}.asks.{row.request.__name__}"
            operations[name] = {**_operation("send", row.request), "reply": reply}
        name = f"{row.responder.value}.answers.{row.request.__name__}"
        operations[name] = {**_operation("receive", row.request), "reply": reply}
    return operations


def _operation(action: str, event: type[Event]) -> Node:
    name = event.__name__
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [_channel_message(name, event)],
    }


def _reply_channel(row: RequestRow) -> str:
    return f"{row.request.__name__}.reply"


def _channel_message(channel: str, event: type[Event]) -> Node:
    return {"$ref": f"#/channels/{channel}/messages/{event.__name__}"}


def _message_ref(event: type[Event]) -> Node:
    return {"$ref": f"#/components/messages/{event.__name__}"}


def _messages() -> Node:
    return {
        event.__name__: {
            "name": event.__name__,
            "summary": first_line(event),
            "contentType": CONTENT_TYPE,
            "payload": {"$ref": f"#/components/schemas/{event.__name__}"},
        }
        for event in _structs()
    }


def _schemas() -> Node:
    _, schemas = msgspec.json.schema_components(
        _structs(), ref_template="#/components/schemas/{name}"
    )
    return schemas


def _structs() -> list[type[Event]]:
    """Every Struct that is a payload, once, in the catalog's order."""
    found = [row.event for row in EVENTS]
    for row in REQUESTS:
        found += [row.request, row.reply]
    return list(dict.fromkeys(found))
