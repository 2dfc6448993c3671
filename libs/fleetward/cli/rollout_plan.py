"""``fleetward rollout plan``: the waves, who is left out, MB and minutes, and the end; nothing starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from fleetward.cli.exits import Exit, complain
from fleetward.contracts.wording import how_many, listed

if TYPE_CHECKING:
    from fleetward.client.forecast import Forecast, Wait, WaveForecast
    from fleetward.client.plans import RolloutPreview, VariantForecast
    from fleetward.contracts.rollout_plans import PlannedWave, RobotGroup, RolloutPlanned

ROBOTS_NAMED = 3


def show_plan(found: RolloutPreview, *, as_json: bool) -> Exit | None:
    """Show a plan; one that would be refused with the reason, and as a failure."""
    from fleetward.cli.session import show_json

    show_json(plain(found)) if as_json else _show(found)
    return Exit.FAILED if found.plan.refusal else None


def plain(found: RolloutPreview) -> dict[str, Any]:
    """The preview as JSON; waves and groups carry the robots' ids."""
    from fleetward.cli.plain import variant

    plan, ahead = found.plan, found.forecast
    return {
        "refusal": plan.refusal or None,
        "model": str(plan.model) if plan.model else None,
        "digest": plan.digest,
        "together": [str(each.model) for each in plan.together],
        "strategy": plan.strategy.value,
        "enrolled": plan.enrolled,
        "selected": plan.selected,
        "waves": [
            {"robots": list(wave.robots), "sites": wave.sites, **_plain_wave(ahead, number)}
            for number, wave in enumerate(plan.waves)
        ],
        "variants": [
            {
                **variant(each.variant),
                "robots": each.robots,
                "fetch_bytes": each.fetch_bytes,
            }
            for each in found.variants
        ],
        "left_out": [_plain_group(group) for group in plan.left_out],
        "doubtful": [_plain_group(group) for group in plan.doubtful],
        "begins_at": to_builtins(plan.begins_at),
        "waits": [to_builtins(wait) for wait in ahead.waits] if ahead else [],
        "fetch_bytes": ahead.fetch_bytes if ahead else None,
        "takes_s": round(ahead.takes_s, 1) if ahead else None,
        "assumptions": list(ahead.assumptions) if ahead else [],
    }


def _plain_wave(ahead: Forecast | None, number: int) -> dict[str, Any]:
    if ahead is None or number >= len(ahead.waves):
        return {}
    wave = ahead.waves[number]
    return {
        "fetch_bytes": wave.fetch_bytes,
        "fetch_minutes": round(wave.fetch_s / 60, 3),
        "ends_after_s": round(wave.ends_after_s, 1),
    }


def _plain_group(group: RobotGroup) -> dict[str, Any]:
    return {"reason": group.reason, "robots": group.robots, "named": list(group.named)}


def _show(found: RolloutPreview) -> None:
    from fleetward.cli.tables import show_table

    plan, ahead = found.plan, found.forecast
    if ahead is not None:
        _show_heading(plan, ahead)
        forecasts: list[WaveForecast | None] = [*ahead.waves]
        forecasts += [None] * (len(plan.waves) - len(ahead.waves))
        show_table(
            ["WAVE", "ROBOTS", "SITES", "FETCHES", "EACH AT MOST", "THROUGH AFTER"],
            [_row(n, *pair) for n, pair in enumerate(zip(plan.waves, forecasts, strict=True), 1)],
            when_empty="No wave.",
        )
        for wait in ahead.waits:
            print(_wait(wait))
    for each in found.variants:
        print(_variant(each))
    for title, groups in (("Left out", plan.left_out), ("Doubtful", plan.doubtful)):
        for group in groups:
            print(f"{title}: {listed(group.named, ROBOTS_NAMED, of=group.robots)}: {group.reason}.")
    if ahead is not None:
        print(f"Assumed: {'; '.join(ahead.assumptions)}. Nothing was started.")
    if plan.refusal:
        complain(plan.refusal)


def _show_heading(plan: RolloutPlanned, ahead: Forecast) -> None:
    from fleetward.cli.durations import spoken
    from fleetward.cli.sizes import spoken_size

    robots = sum(len(wave.robots) for wave in plan.waves)
    print(
        f"{_models(plan)} by {plan.strategy.value} to {robots} of "
        f"{how_many(plan.selected, 'selected robot')} in {how_many(len(plan.waves), 'wave')}: "
        f"{spoken_size(ahead.fetch_bytes)}, through in about "
        f"{spoken(ahead.takes_s)}{_from(plan)}."
    )


def _models(plan: RolloutPlanned) -> str:
    others = [str(each.model) for each in plan.together]
    return f"{plan.model} together with {' and '.join(others)}" if others else str(plan.model)


def _from(plan: RolloutPlanned) -> str:
    return f" from {plan.begins_at:%Y-%m-%d %H:%M:%S} UTC on" if plan.begins_at else ""


def _wait(wait: Wait) -> str:
    who = f"wave {wait.wave}" if wait.wave else "staging"
    opens = f"{wait.opens_at:%a %Y-%m-%d %H:%M} UTC"
    return f"Waits: {who} for the window of site {wait.site}, which opens at {opens}."


def _variant(each: VariantForecast) -> str:
    from fleetward.cli.sizes import spoken_size

    fits = each.variant.fits or "all others"
    return (
        f"Given {each.variant.model} (for {fits}): {how_many(each.robots, 'robot')}, "
        f"{spoken_size(each.fetch_bytes)}."
    )


def _row(number: int, wave: PlannedWave, ahead: WaveForecast | None) -> list[str]:
    from fleetward.cli.durations import spoken
    from fleetward.cli.sizes import spoken_size

    sites = " ".join(f"{site or 'no-site'}:{robots}" for site, robots in wave.sites.items())
    start = [str(number), str(len(wave.robots)), sites]
    if ahead is None:
        return [*start, "keeps what it has", "", ""]
    return [
        *start,
        spoken_size(ahead.fetch_bytes),
        spoken(ahead.fetch_s),
        spoken(ahead.ends_after_s),
    ]
