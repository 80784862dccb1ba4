"""`scada firmware`: campaigns through a running server, as a person with rights; keys and images beside it."""

from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import click

from scada.cli.client import Api
from scada.cli.firmware_images import import_, list_, trust
from scada.cli.firmware_progress import BASE, followed, image_of, show
from scada.cli.output import print_json, print_table
from scada.cli.site import AS_JSON, CONFIG
from scada.settings import load

NOT_DONE: Final = 4                     # exit status of --follow
MOST_FAILED: Final = 20                 # modules named at a terminal; --json of the API has all
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
        (str(one["number"]), image_of(one), one["state"], f"{one['counts'].get('done', 0)} of {one['total']}",
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


def _logged_in(config: Path, user: str) -> Api:
    api = Api.of(config)
    api.log_in(user)
    return api


def _zone(config: Path) -> ZoneInfo:
    return ZoneInfo(load(config).site.timezone)
