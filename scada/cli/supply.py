"""`scada supply`: disconnect and reconnect single supplies through a running server; two persons, and holders."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

import click

from scada.cli.client import Api
from scada.cli.following import follow
from scada.cli.output import print_json, print_table
from scada.settings import load

FOLLOW_S: Final = 1.0
NOT_DONE: Final = 4                     # exit status: the switch ended, and the supply is not as it was to be
REASONS: Final = ("debt", "danger", "leak", "crew")


@click.group()
def supply() -> None:
    """
    Disconnect and reconnect single supplies. One person asks, another confirms; the server decides, whatever is asked here.

    The user's name is --user or SCADA_USER; the password is asked for, or taken from SCADA_PASSWORD.
    """


def options(command: Any) -> Any:
    """What every subcommand takes."""
    user = click.option("--user", "-u", required=True, envvar="SCADA_USER", help="Your user name; role and area decide.")
    command = click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")(user(command))
    return click.argument("config", type=click.Path(path_type=Path, exists=True))(command)


def tagged(command: Any) -> Any:
    """What a holder is written down with."""
    command = click.option("--note", default="", help="Written into the history and the audit.")(command)
    command = click.option("--name", default="", help="Who hung the tag there, as the tag says.")(command)
    return click.option("--tag", default="", help="Number of a crew's tag.")(command)


@supply.command("list")
@options
@click.option("--off", is_flag=True, help="Only what is off, or held off.")
@click.option("--pending", is_flag=True, help="Only what waits for a second person.")
def list_(config: Path, user: str, as_json: bool, off: bool, pending: bool) -> None:
    """Every supply that can be switched, with its state and its holders."""
    api = logged_in(config, user)
    found = api.get("/api/v1/supplies")
    rows = [one for one in found["supplies"] if (not off or one["state"] == "off" or one["holders"])
            and (not pending or waits(one))]
    if as_json:
        print_json({"supplies": rows, "local": found["local"]})
        return
    print_table(
        f"{len(rows)} supplies",
        ("point", "kind", "module", "area", "state", "held off by", "switch", "pulses"),
        [
            (one["point"], one["kind"], one["module"], one["area"], state(one), holders(one), switch(one), one["effect"])
            for one in rows
        ],
    )
    for local in found["local"]:
        click.echo(f"{local['scope']} is in local since {local['by']} said so {local['note']}".rstrip())


@supply.command()
@options
@click.argument("point")
def show(config: Path, user: str, as_json: bool, point: str) -> None:
    """One supply: its holders, its last switch, its history."""
    found = logged_in(config, user).get(path(point))
    if as_json:
        print_json(found)
        return
    zone = ZoneInfo(load(config).site.timezone)
    said(found)
    for one in found["holders"]:
        who = " ".join(part for part in (one["reason"], one["tag"], one["name"]) if part)
        click.echo(f"  holder {one['id']}: {who}, by {one['by']} {one['note']}".rstrip())
    print_table(
        "history, newest first", ("time", "what", "by", "detail"),
        [(moment(one["at_ms"], zone), one["what"], one["actor"] or "field", one["detail"]) for one in found["history"]],
    )


@supply.command()
@options
@click.argument("point")
@click.option("--reason", type=click.Choice(REASONS), required=True, help="For what the supply is held off.")
@tagged
def disconnect(
    config: Path, user: str, as_json: bool, point: str, reason: str, tag: str, name: str, note: str
) -> None:
    """Ask for the supply of POINT to be switched off. A second person must confirm."""
    told(logged_in(config, user).post(path(point, "disconnect"), reason=reason, tag=tag, name=name, note=note), as_json)


@supply.command()
@options
@click.argument("point")
@click.option("--note", default="", help="Written into the history and the audit.")
def reconnect(config: Path, user: str, as_json: bool, point: str, note: str) -> None:
    """Ask for the supply of POINT to return, once nobody holds it. A valve is only let go: a hand opens it on site."""
    told(logged_in(config, user).post(path(point, "reconnect"), note=note), as_json)


@supply.command()
@options
@click.argument("point")
@click.option("--switch", "switch_id", default="", help="Number of the request; without it the one that waits.")
@click.option("--yes", is_flag=True, help="Confirm without asking.")
@click.option("--follow", is_flag=True, help="Wait until the switch is over; Ctrl-C ends only the waiting.")
def confirm(config: Path, user: str, as_json: bool, point: str, switch_id: str, yes: bool, follow: bool) -> None:
    """Confirm, as the second person, what somebody asked for; then it is sent."""
    api = logged_in(config, user)
    found = api.get(path(point))
    asked = found["switch"] or {}
    if not as_json:
        said(found)
    if not yes:
        click.confirm(f"Confirm {asked.get('action', 'nothing')} of {point}?", abort=True, err=as_json)
    done = api.post(path(point, "confirm"), switch=switch_id or asked.get("id", ""))
    if follow:
        done = followed(api, done)
    told(done, as_json)
    if follow and done["switch"]["state"] != "executed":
        raise SystemExit(NOT_DONE)


@supply.command()
@options
@click.argument("point")
def withdraw(config: Path, user: str, as_json: bool, point: str) -> None:
    """Take back a request that waits for its second person."""
    api = logged_in(config, user)
    asked = api.get(path(point))["switch"] or {}
    told(api.post(path(point, "withdraw"), switch=asked.get("id", "")), as_json)


@supply.command()
@options
@click.argument("point")
@click.option("--reason", type=click.Choice(REASONS), required=True, help="For what the supply is held off.")
@tagged
def hold(config: Path, user: str, as_json: bool, point: str, reason: str, tag: str, name: str, note: str) -> None:
    """One more who holds a supply that is off: it returns only when all have released it."""
    told(logged_in(config, user).post(path(point, "hold"), reason=reason, tag=tag, name=name, note=note), as_json)


@supply.command()
@options
@click.argument("point")
@click.argument("holder")
@tagged
def release(config: Path, user: str, as_json: bool, point: str, holder: str, tag: str, name: str, note: str) -> None:
    """One holder less (HOLDER is its number in `show`). The supply does not return by it: reconnect it then."""
    told(logged_in(config, user).post(path(point, "release"), holder=holder, tag=tag, name=name, note=note), as_json)


@supply.command()
@options
@click.option("--area", default="", help="A whole area.")
@click.option("--point", default="", help="One metering point.")
@click.option("--note", default="", help="Written into the audit.")
def local(config: Path, user: str, as_json: bool, area: str, point: str, note: str) -> None:
    """Give the say to people on site: a point or an area is not switched from here until it is in remote again."""
    _say(config, user, as_json, area, point, note, local=True)


@supply.command()
@options
@click.option("--area", default="", help="A whole area.")
@click.option("--point", default="", help="One metering point.")
@click.option("--note", default="", help="Written into the audit.")
def remote(config: Path, user: str, as_json: bool, area: str, point: str, note: str) -> None:
    """Take the say back: said by who said local, or by an administrator."""
    _say(config, user, as_json, area, point, note, local=False)


def _say(config: Path, user: str, as_json: bool, area: str, point: str, note: str, *, local: bool) -> None:
    if bool(area) == bool(point):
        raise click.UsageError("expected --area or --point, one of them")
    found = logged_in(config, user).post("/api/v1/supplies-local", area=area, point=point, note=note, local=local)
    if as_json:
        print_json(found)
        return
    click.echo("in local: " + (", ".join(one["scope"] for one in found["local"]) or "nothing"))


def followed(api: Api, found: dict[str, Any]) -> dict[str, Any]:
    """Wait until a switch is over."""
    return follow(
        found, lambda: api.get(path(found["point"])), over=lambda now: bool(now["switch"]["over"]),
        line=lambda now: f"{now['point']} {switch(now)}", every_s=FOLLOW_S,
        without_us='the switch goes on without us; the page "Supplies" tells how it went',
    )


def logged_in(config: Path, user: str) -> Api:
    api = Api.of(config)
    api.log_in(user)
    return api


def path(point: str, what: str = "") -> str:
    return f"/api/v1/supplies/{quote(point, safe='')}" + (f"/{what}" if what else "")


def waits(one: dict[str, Any]) -> bool:
    return bool(one["switch"]) and one["switch"]["state"] == "requested"


def state(one: dict[str, Any]) -> str:
    return str(one["state"]) + (", by hand on site" if one["by_hand"] else "") + (", local" if one["local"] else "")


def holders(one: dict[str, Any]) -> str:
    return ", ".join(f"{each['reason']} {each['tag']} {each['name']}".strip() for each in one["holders"])


def switch(one: dict[str, Any]) -> str:
    found = one["switch"]
    if not found:
        return ""
    people = found["requested_by"] + (f", {found['confirmed_by']}" if found["confirmed_by"] else "")
    reason = f": {found['reason']}" if found["reason"] else ""
    return f"{found['action']} {found['state']} ({people}){reason}"


def said(one: dict[str, Any]) -> None:
    click.echo(f"{one['point']}: {state(one)}; {switch(one) or 'never switched'}; pulses: {one['effect']}")
    if one["holders"]:
        click.echo(f"held off by {holders(one)}")


def told(one: dict[str, Any], as_json: bool) -> None:
    print_json(one) if as_json else said(one)


def moment(ms: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
