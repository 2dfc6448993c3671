"""``fleetward model``: what becomes of a version after it was published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetward.cli.people import By, logged_in
from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet

if TYPE_CHECKING:
    from fleetward.cli.exits import Exit
    from fleetward.client import Fleet

Model = Annotated[str, typer.Argument(metavar="MODEL", help="name:version or name@alias.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept for good.")]


def deprecate(
    model: Model,
    reason: Reason,
    by: By = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Say that another version should be used instead; this one and its variants still may be."""

    async def work(fleet: Fleet) -> None:
        done = await fleet.curation.deprecate(model, reason=reason, by=by or logged_in())
        text = "\n".join(f"{one.name}:{one.version} is deprecated: {one.reason}." for one in done)
        plain = [{"model": f"{one.name}:{one.version}", "digest": one.digest} for one in done]
        _say(text, _of_each(model, plain), as_json=as_json)

    with_fleet(home, work)


def withdraw(
    model: Model,
    reason: Reason,
    by: By = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Let these bytes never be fetched, targeted or fallen back to again, nor its variants'. For good."""

    async def work(fleet: Fleet) -> None:
        done = await fleet.curation.withdraw(model, reason=reason, by=by or logged_in())
        robots = await fleet.robots()
        plain, lines = list[dict[str, Any]](), list[str]()
        for one in done:
            called = f"{one.name}:{one.version}"
            serving = [
                robot.enrolled.robot_id
                for robot in robots
                if robot.last is not None
                and any(each.active_digest == one.digest for each in robot.last.standings)
            ]
            plain.append({"model": called, "digest": one.digest, "serving": serving})
            lines.append(f"{called} is withdrawn: {one.reason}.")
            if serving:
                still = f"It still serves on {', '.join(serving)}"
                lines.append(f"{still}: roll another version out to them.")
        _say("\n".join(lines), _of_each(model, plain), as_json=as_json)

    with_fleet(home, work)


def approve(
    model: Model,
    by: By = None,
    note: Annotated[str, typer.Option("--note", help="What was looked at.")] = "",
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Say yes to exactly the bytes that MODEL has now; each name counts once."""

    async def work(fleet: Fleet) -> None:
        done = await fleet.curation.approve(model, by=by or logged_in(), note=note)
        plain = {"model": f"{done.name}:{done.version}", "digest": done.digest, "by": done.by}
        _say(f"{done.name}:{done.version} is approved by {done.by}.", plain, as_json=as_json)

    with_fleet(home, work)


def preflight(model: Model, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Have the registry build MODEL and run it once on sample input, in a process of its own."""

    async def work(fleet: Fleet) -> Exit | None:
        from fleetward.cli.exits import Exit
        from fleetward.cli.model_view import plain_preflight

        done = await fleet.curation.preflight(model)
        ran = done.preflight
        tools = ", ".join(f"{tool} {version}" for tool, version in ran.tools.items()) or "nothing"
        outcome = "passed" if ran.passed else f"failed: {ran.reason}"
        text = f"{done.name}:{done.version} {outcome} (tried with {tools})."
        for tool, why in ran.skipped.items():
            text += f"\n{tool} was not tried: {why}."
        plain = {"model": f"{done.name}:{done.version}", **plain_preflight(ran)}
        _say(text, plain, as_json=as_json)
        return None if ran.passed else Exit.FAILED

    with_fleet(home, work)


def report(
    model: Model,
    kind: Annotated[str, typer.Option("--kind", help="The report's kind, for example sim.")],
    file: Annotated[
        Path, typer.Option("--file", help="JSON as docs/validation_report.schema.json says.")
    ],
    key: Annotated[
        Path | None, typer.Option("--key", help="The reporter's signing key (Ed25519).")
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Attach the validation report that a simulator, a bench or a pipeline wrote."""
    import json

    try:
        payload = file.read_bytes()
        said = json.loads(payload)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else f"it is no JSON: {error}"
        raise typer.BadParameter(f"{file} cannot be read: {why}.", param_hint="--file") from None
    if not isinstance(said, dict) or said.get("kind") != kind:
        raise typer.BadParameter(f"{file} is no {kind} report.", param_hint="--kind")

    async def work(fleet: Fleet) -> None:
        from fleetward.trust.signing import SigningKey

        signing = SigningKey.load(key) if key is not None else None
        done = await fleet.curation.report(model, payload, key=signing)
        outcome = "passed" if done.passed else "failed"
        plain = {
            "model": f"{done.name}:{done.version}",
            "kind": done.kind,
            "passed": done.passed,
            "key_id": done.key_id or None,
        }
        text = f"{done.name}:{done.version} has a {done.kind} report: it {outcome}."
        _say(text, plain, as_json=as_json)

    with_fleet(home, work)


def gates(
    alias: Annotated[
        str, typer.Argument(metavar="NAME@ALIAS", help="For example detector@production.")
    ],
    require: Annotated[
        str | None,
        typer.Option(
            "--require",
            help="inspected,preflight,licence,report:KIND,approvals:N in order; '' for none.",
        ),
    ] = None,
    by: By = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Show or set what a version must have before an alias may name it."""
    from fleetward.contracts.errors import InvalidIdError

    async def work(fleet: Fleet) -> None:
        name, at, wanted = alias.partition("@")
        if not at:
            raise InvalidIdError("alias", alias, "write name@alias")
        if require is None:
            standing = dict((await fleet.model_record(name)).gates).get(wanted, ())  # type: ignore[call-overload]  # any text may be asked for
        else:
            listed = tuple(gate.strip() for gate in require.split(",") if gate.strip())
            done = await fleet.curation.require_gates(name, wanted, listed, by=by or logged_in())
            standing = done.gates
        text = f"{alias} demands {', '.join(standing) or 'nothing'}."
        _say(text, {"alias": alias, "gates": list(standing)}, as_json=as_json)

    with_fleet(home, work)


def _of_each(asked: str, plain: list[dict[str, Any]]) -> dict[str, Any]:
    return plain[0] if len(plain) == 1 else {"model": asked, "variants": plain}


def _say(text: str, plain: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(plain)
    else:
        print(text)
