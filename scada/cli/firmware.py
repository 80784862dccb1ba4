"""`scada firmware`: campaigns through a running server, as a person with rights; keys and images beside it."""

import time
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import click

from scada.cli.client import Api
from scada.cli.firmware_images import import_, list_, trust
from scada.cli.output import print_json, print_table
from scada.cli.periods import local
from scada.cli.site import AS_JSON, CONFIG
from scada.settings import load

FOLLOW_S: Final = 2.0
STANDS: Final = ("draft", "paused", "done", "aborted")      # nothing goes on by itself
NOT_DONE: Final = 4                     # exit status of --follow
INTERRUPTED: Final = 130                # as a shell has it
MOST_FAILED: Final = 20                 # modules named at a terminal; --json of the API has all
BASE: Final = "/api/v1/firmware/campaigns"
USER = click.option("--user", "-u", required=True, envvar="SCADA_USER", help="Your user name; role and area decide.")
NUMBER = click.argument("number", type=int)
FOLLOW = click.option("--follow", is_flag=True, help="Wait until it is done or stands; Ctrl-C ends only the waiting.")


@click.group()
def firmware() -> None:
    """Firmware of modules: makers' keys, images, and campaigns with canary and waves (docs/guide/firmware.md)."""


for one in (trust, import_, list_):
    firmware.add_command(one)


@firmware.command()
@CONFIG
@click.argument("image")
@USER
@click.option("--concentrator", "concentrators", multiple=True, help="Only its modules; may be given again.")
@click.option("--group", "groups", multiple=True, help="Only members of this load group; may be given again.")
@click.option("--canary", type=int, default=5, show_default=True, help="Modules that take it first.")
@click.option("--wave", type=int, default=200, show_default=True, help="Modules of each wave after them.")
@click.option("--soak", "soak_h", type=float, default=24.0, show_default=True, help="Hours the canary is watched.")
@click.option("--failures", type=float, default=5.0, show_default=True, help="Percent of a stage; beyond it, it pauses.")
@click.option("--patience", "patience_h", type=float, default=48.0, show_default=True, help="Hours a stage may take.")
@click.option("--reason", default="", help="For the audit.")
@AS_JSON
def campaign(
    config: Path, image: str, user: str, concentrators: tuple[str, ...], groups: tuple[str, ...], canary: int, wave: int,
    soak_h: float, failures: float, patience_h: float, reason: str, as_json: bool,
) -> None:
    """Draft a campaign with IMAGE (its id, of `scada firmware list`). Nothing is sent before `scada firmware start`."""
    api = _logged_in(config, user)
    made = api.post(
        BASE, image=image, concentrators=list(concentrators), groups=list(groups), canary=canary, wave=wave,
        soak_s=round(soak_h * 3600), patience_s=round(patience_h * 3600), most_failed_percent=failures, reason=reason,
    )
    print_json(made) if as_json else show(made, (), _zone(config))


@firmware.command()
@CONFIG
@NUMBER
@USER
@FOLLOW
@AS_JSON
def start(config: Path, number: int, user: str, follow: bool, as_json: bool) -> None:
    """Start the canary of campaign NUMBER."""
    _act(config, number, user, "start", follow, as_json)


@firmware.command()
@CONFIG
@NUMBER
@USER
@FOLLOW
@AS_JSON
def approve(config: Path, number: int, user: str, follow: bool, as_json: bool) -> None:
    """Open the way beyond the canary of campaign NUMBER; another person than the one who drafted it."""
    _act(config, number, user, "approve", follow, as_json)


@firmware.command()
@CONFIG
@NUMBER
@USER
@click.option("--reason", default="", help="Shown on the page and in the audit.")
@AS_JSON
def pause(config: Path, number: int, user: str, reason: str, as_json: bool) -> None:
    """Pause campaign NUMBER: neither blocks nor activations leave."""
    _act(config, number, user, "pause", False, as_json, why=reason)


@firmware.command()
@CONFIG
@NUMBER
@USER
@click.option("--retry", is_flag=True, help="Modules that failed try again.")
@FOLLOW
@AS_JSON
def resume(config: Path, number: int, user: str, retry: bool, follow: bool, as_json: bool) -> None:
    """Go on with campaign NUMBER from the blocks that are missing; failures so far no longer count."""
    _act(config, number, user, "resume", follow, as_json, retry=retry)


@firmware.command()
@CONFIG
@NUMBER
@USER
@click.option("--reason", default="", help="Shown on the page and in the audit.")
@AS_JSON
def abort(config: Path, number: int, user: str, reason: str, as_json: bool) -> None:
    """End campaign NUMBER for good. Modules that run the new version keep it."""
    _act(config, number, user, "abort", False, as_json, why=reason)


@firmware.command()
@CONFIG
@click.argument("number", type=int, required=False)
@USER
@FOLLOW
@AS_JSON
def status(config: Path, number: int | None, user: str, follow: bool, as_json: bool) -> None:
    """Show all campaigns, or campaign NUMBER with its stages and the modules that failed."""
    if follow and number is None:
        raise click.UsageError("--follow needs the number of a campaign")
    api = _logged_in(config, user)
    if number is not None:
        _end(api, config, api.get(f"{BASE}/{number}"), follow, as_json)
        return
    found = api.get(BASE)["campaigns"]
    if as_json:
        print_json(found)
        return
    rows = [
        (str(one["number"]), _image(one), one["state"], f"{one['counts'].get('done', 0)} of {one['total']}",
         str(one["counts"].get("failed", 0)), one["why"])
        for one in found
    ]
    print_table("firmware campaigns", ("number", "image", "state", "updated", "failed", "why"), rows, numbers=(3, 4))


def _act(config: Path, number: int, user: str, doing: str, follow: bool, as_json: bool, **body: Any) -> None:
    api = _logged_in(config, user)
    _end(api, config, api.post(f"{BASE}/{number}/{doing}", **body), follow, as_json)


def _end(api: Api, config: Path, found: dict[str, Any], follow: bool, as_json: bool) -> None:
    if follow:
        found = followed(api, found)
    if as_json:
        print_json(found)
    else:
        failed = api.get(f"{BASE}/{found['number']}/modules", state="failed", most=MOST_FAILED)["modules"]
        show(found, failed, _zone(config))
    if follow and found["state"] != "done":
        raise SystemExit(NOT_DONE)


def followed(api: Api, found: dict[str, Any]) -> dict[str, Any]:
    """Wait until a campaign is done or stands; on stderr a line for every change. Ctrl-C ends the waiting alone."""
    told = ""
    try:
        while True:
            if (now := line(found)) != told:
                told = now
                click.echo(now, err=True)
            if found["state"] in STANDS:
                return found
            time.sleep(FOLLOW_S)
            found = api.get(f"{BASE}/{found['number']}")
    except KeyboardInterrupt:
        click.echo('\nthe campaign goes on without us; the page "Firmware" tells how it went', err=True)
        raise SystemExit(INTERRUPTED) from None


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
    click.echo(f"{_image(found)}, drafted by {found['drafter']}, {approved}")
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


def _logged_in(config: Path, user: str) -> Api:
    api = Api.of(config)
    api.log_in(user)
    return api


def _image(found: dict[str, Any]) -> str:
    return " ".join(found["image"][name] for name in ("vendor", "hardware", "version"))


def _stage(number: int) -> str:
    return f"wave {number}" if number else "canary"


def _zone(config: Path) -> ZoneInfo:
    return ZoneInfo(load(config).site.timezone)
