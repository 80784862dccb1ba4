"""How far a firmware campaign is, at a terminal: followed until it stands, and shown stage by stage."""

from typing import Any, Final
from zoneinfo import ZoneInfo

import click

from scada.cli.client import Api
from scada.cli.following import follow
from scada.cli.output import print_table
from scada.cli.periods import local

FOLLOW_S: Final = 2.0
STANDS: Final = ("draft", "paused", "done", "aborted")      # nothing goes on by itself
BASE: Final = "/api/v1/firmware/campaigns"


def followed(api: Api, found: dict[str, Any]) -> dict[str, Any]:
    """Wait until a campaign is done or stands."""
    return follow(
        found, lambda: api.get(f"{BASE}/{found['number']}"), over=lambda now: now["state"] in STANDS, line=line,
        every_s=FOLLOW_S, without_us='the campaign goes on without us; the page "Firmware" tells how it went',
    )


def line(found: dict[str, Any]) -> str:
    """How far a campaign is, in a line."""
    counts, stage, waves = found["counts"], found["stages"][found["stage"]], len(found["stages"]) - 1
    where = f"{_stage(found['stage'])} of {waves}" if found["stage"] else f"canary before {waves} waves"
    under_way = found["total"] - sum(counts.get(one, 0) for one in ("waiting", "done", "failed"))
    text = (
        f"campaign {found['number']} {found['state']}, {where}: "
        f"{counts.get('done', 0)} of {found['total']} updated, {counts.get('failed', 0)} failed, {under_way} under way"
    )
    if wanted := stage["counts"].get("transfer", 0) * found["image"]["blocks"]:
        text += f", {100 * (1 - stage['missing_blocks'] / wanted):.0f} % of the blocks delivered"
    return f"{text} ({found['why']})" if found["why"] else text


def show(found: dict[str, Any], failed: Any, zone: ZoneInfo) -> None:
    click.echo(line(found))
    approved = f"waves approved by {found['approver']}" if found["approver"] else "waves not approved yet"
    click.echo(f"{image_of(found)}, drafted by {found['drafter']}, {approved}")
    if found["soak_ends_ms"]:
        click.echo(f"the canary is watched until {local(found['soak_ends_ms'] // 1000, zone)}")
    rows = []
    for one in found["stages"]:
        counts = one["counts"]
        under_way = one["total"] - sum(counts.get(name, 0) for name in ("waiting", "done", "failed"))
        rows.append((
            _stage(one["number"]), str(one["total"]), str(counts.get("waiting", 0)), str(under_way),
            str(counts.get("done", 0)), str(counts.get("failed", 0)),
        ))
    print_table("stages", ("stage", "modules", "waiting", "under way", "updated", "failed"), rows, numbers=range(1, 6))
    if failed:
        print_table("failed", ("module", "concentrator", "reason"), [
            (one["device"], one["concentrator"], one["reason"]) for one in failed
        ])
        more = found["counts"].get("failed", 0) - len(failed)
        if more > 0:
            click.echo(f"and {more} more that failed; the page shows all")
    for text in found["left_out"]:
        click.echo(text)


def image_of(found: dict[str, Any]) -> str:
    return " ".join(found["image"][name] for name in ("vendor", "hardware", "version"))


def _stage(number: int) -> str:
    return f"wave {number}" if number else "canary"
