"""`scada dispatch`: shed and restore load groups through the desk of a running server."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from scada.cli.client import Api
from scada.cli.following import follow
from scada.cli.output import print_json, print_table
from scada.cli.periods import local
from scada.settings import load

FOLLOW_S = 1.0
FINAL = ("closed", "failed")


@click.group()
def dispatch() -> None:
    """
    Shed load groups: select, review, execute. The server's desk decides, whatever is asked here.

    The user's name is --user or SCADA_USER; the password is asked for, or taken from SCADA_PASSWORD.
    """


def options(command: Any) -> Any:
    """What every subcommand takes."""
    user = click.option("--user", "-u", required=True, envvar="SCADA_USER", help="Your user name; role and area decide.")
    command = click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")(user(command))
    return click.argument("config", type=click.Path(path_type=Path, exists=True))(command)


def timed(command: Any) -> Any:
    """What everything that holds for a time takes besides."""
    for option in (
        click.option("--follow", is_flag=True, help="Wait until the command is closed; Ctrl-C ends only the waiting."),
        click.option("--yes", is_flag=True, help="Execute without asking after the review."),
        click.option("--reason", default="", help="Written into the audit."),
    ):
        command = option(command)
    return options(click.argument("group")(command))


@dispatch.command()
@timed
@click.option("--off-for", type=int, required=True, help="Seconds of site time the loads stay off.")
def shed(config: Path, user: str, as_json: bool, group: str, off_for: int, reason: str, yes: bool, follow: bool) -> None:
    """Shed GROUP for --off-for seconds: shows the frozen selection, asks, executes."""
    wish = {"group": group, "off_for_s": off_for, "reason": reason}
    carry_out(config, user, wish, as_json=as_json, yes=yes, follow=follow)


@dispatch.command()
@timed
@click.option("--level", type=int, required=True, help="What each load may still draw [W].")
@click.option("--for", "hold", type=int, required=True, help="Seconds of site time the limit holds.")
def limit(
    config: Path, user: str, as_json: bool, group: str, level: int, hold: int, reason: str, yes: bool, follow: bool
) -> None:
    """Limit every load of GROUP to --level watts for --for seconds: shows the frozen selection, asks, executes."""
    wish = {"group": group, "off_for_s": hold, "reason": reason, "action": "limit", "level_w": level}
    carry_out(config, user, wish, as_json=as_json, yes=yes, follow=follow)


@dispatch.command()
@timed
@click.option("--for", "hold", type=int, required=True, help="Seconds of site time it holds.")
def eco(config: Path, user: str, as_json: bool, group: str, hold: int, reason: str, yes: bool, follow: bool) -> None:
    """Have the loads of GROUP economise for --for seconds: shows the frozen selection, asks, executes."""
    wish = {"group": group, "off_for_s": hold, "reason": reason, "action": "eco"}
    carry_out(config, user, wish, as_json=as_json, yes=yes, follow=follow)


def carry_out(config: Path, user: str, wish: dict[str, Any], *, as_json: bool, yes: bool, follow: bool) -> None:
    """Select, review, execute."""
    api = Api.of(config)
    api.log_in(user)
    selection = api.post("/api/v1/dispatch/select", **wish)
    if not as_json:
        show_selection(selection)
    if not yes:
        click.confirm("Execute this selection?", abort=True, err=as_json)
    command = api.post("/api/v1/dispatch/execute", selection=selection["id"])
    if follow:
        command = followed(api, command)
    print_json(command) if as_json else show_command(command)


def followed(api: Api, command: dict[str, Any]) -> dict[str, Any]:
    """Wait until a command is closed."""
    identity = command["id"]
    return follow(
        command, lambda: api.get(f"/api/v1/dispatch/commands/{identity}"), over=lambda now: now["state"] in FINAL,
        line=lambda now: f"{identity} {now['state']}: {counts(now)}", every_s=FOLLOW_S,
        without_us=f"the command goes on without us; `scada dispatch show CONFIG {identity}` tells how it went",
    )


def counts(command: dict[str, Any]) -> str:
    """How many members are in which state."""
    return ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in command["counts"].items()) or "none yet"


@dispatch.command()
@options
@click.argument("command_id")
def restore(config: Path, user: str, as_json: bool, command_id: str) -> None:
    """Give the supply back before the time of COMMAND_ID is over."""
    api = Api.of(config)
    api.log_in(user)
    command = api.post("/api/v1/dispatch/restore", command=command_id)
    print_json(command) if as_json else show_command(command)


@dispatch.command(name="list")
@options
def list_(config: Path, user: str, as_json: bool) -> None:
    """The latest commands."""
    api = Api.of(config)
    api.log_in(user)
    commands = api.get("/api/v1/dispatch/commands")
    commands = commands.get("commands", commands) if isinstance(commands, dict) else commands
    if as_json:
        print_json(commands)
        return
    zone = ZoneInfo(load(config).site.timezone)
    print_table(
        "commands",
        ("id", "made", "action", "group", "off s", "by", "state", "members", "monitor only"),
        [
            (
                c["id"], local(c["made_ms"] // 1000, zone), c["action"], c["group"], str(c["off_for_s"]), c["actor"],
                c["state"], counts(c), "yes" if c["monitor_only"] else "",
            )
            for c in commands
        ],
        numbers=(4,),
    )


@dispatch.command()
@options
def groups(config: Path, user: str, as_json: bool) -> None:
    """The load groups there are, and how long each may be off."""
    api = Api.of(config)
    api.log_in(user)
    found = api.get("/api/v1/dispatch/groups")["groups"]
    if as_json:
        print_json(found)
        return
    print_table(
        "load groups",
        ("name", "title", "class", "area", "loads", "longest off s"),
        [(g["name"], g["title"], g["load_class"], g["area"], str(g["members"]), str(g["max_off_s"])) for g in found],
        numbers=(4, 5),
    )


@dispatch.command()
@options
@click.argument("command_id")
def show(config: Path, user: str, as_json: bool, command_id: str) -> None:
    """What became of COMMAND_ID, module by module."""
    api = Api.of(config)
    api.log_in(user)
    command = api.get(f"/api/v1/dispatch/commands/{command_id}")
    print_json(command) if as_json else show_command(command)


def show_selection(selection: dict[str, Any]) -> None:
    loads = selection.get("total", len(selection["members"]))
    print_table(
        f"selection {selection['id']}: {loads} loads, {selection['expected_w'] / 1000:.1f} kW",
        ("module", "load", "class", "rated W", "may not answer"),
        [(m["device"], m["title"], m["load_class"], f"{m['rated_w']:.0f}", m["obstacle"]) for m in selection["members"]],
        numbers=(3,),
    )
    for warning in selection["warnings"]:
        click.echo(f"warning: {warning}")
    if selection["monitor_only"]:
        click.echo("MONITOR ONLY: nothing will be sent to the field")


def show_command(command: dict[str, Any]) -> None:
    print_table(
        f"command {command['id']}: {command['action']} {command['group']}, {command['state']}",
        ("module", "load", "state", "reason"),
        [(m["device"], m["title"], m["state"], m["reason"]) for m in command["members"]],
    )
    for seen in command.get("effects", ()):
        click.echo(measured(seen))
    if command["monitor_only"]:
        click.echo("MONITOR ONLY: nothing was sent to the field")


def measured(seen: dict[str, Any]) -> str:
    """What one transformer's meter showed, as a line."""
    said = f"{seen['transformer']}: {seen['state'].replace('_', ' ').upper()}"
    if seen["shed_w"] is not None:
        shed, uncertainty, rated = (seen[name] / 1000 for name in ("shed_w", "uncertainty_w", "expected_w"))
        said += f", {shed:.1f} ± {uncertainty:.1f} kW shed of {rated:.1f} kW rated"
    return f"{said} ({seen['reason']})" if seen["reason"] else said
