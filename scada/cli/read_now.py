"""`scada read-now`: ask modules for their registers by radio, through a running server."""

from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import click

from scada.cli.client import Api
from scada.cli.following import follow
from scada.cli.output import print_json, print_table
from scada.cli.periods import local
from scada.settings import load

FOLLOW_S: Final = 1.0
OVER: Final = ("done", "expired", "failed", "cancelled")


@click.command("read-now")
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.argument("points", nargs=-1)
@click.option("--module", "modules", multiple=True, help="A module, by its name; may be given again.")
@click.option("--group", "groups", multiple=True, help="A balance group or load group; may be given again.")
@click.option("--user", "-u", required=True, envvar="SCADA_USER", help="Your user name; role and area decide.")
@click.option("--within", type=int, default=900, show_default=True, help="Seconds of site time to wait for answers.")
@click.option("--priority", type=click.Choice(["urgent", "normal", "low"]), default="normal", show_default=True)
@click.option("--key", default="", help="Asking again with the same key answers the same read.")
@click.option("--follow", is_flag=True, help="Wait until the read is over; Ctrl-C ends only the waiting.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def read_now(
    config: Path, points: tuple[str, ...], modules: tuple[str, ...], groups: tuple[str, ...], user: str, within: int,
    priority: str, key: str, follow: bool, as_json: bool,
) -> None:
    """
    Read the registers of POINTS, modules or groups now. Answers come by radio and take minutes.

    The exit status is 0 when every module has given a register, 4 when some have not (with --follow).
    """
    api = Api.of(config)
    api.log_in(user)
    task = api.post(
        "/api/v1/reads", points=list(points), modules=list(modules), groups=list(groups), within_s=within,
        priority=priority, key=key,
    )
    if follow:
        task = followed(api, task)
    zone = ZoneInfo(load(config).site.timezone)
    print_json(task) if as_json else show(task, zone)
    if follow and task["answered"] < task["total"]:
        raise SystemExit(4)


def followed(api: Api, task: dict[str, Any]) -> dict[str, Any]:
    """Wait until a read is over."""
    return follow(
        task, lambda: api.get(f"/api/v1/reads/{task['id']}"), over=lambda now: now["state"] in OVER, line=line,
        every_s=FOLLOW_S, without_us='the read goes on without us; the page "Reads" tells how it went',
    )


def line(task: dict[str, Any]) -> str:
    reasons = "; ".join(dict.fromkeys(one["reason"] for one in task["shares"] if one["reason"]))
    text = f"{task['id']} {task['state']}: {task['answered']} of {task['total']} answered"
    return f"{text} ({reasons})" if reasons else text


def show(task: dict[str, Any], zone: ZoneInfo) -> None:
    rows = []
    for module in task["modules"]:
        rows += [
            (
                f"{module['device']}/{one['channel']}", module["title"],
                str(one["pulses"]) if one["pulses"] is not None else "-",
                local(one["at_ms"] // 1000, zone), "" if one["code"] == "OK" else one["code"],
            )
            for one in module["readings"]
        ] or [(module["device"], module["title"], "-", "", module["reason"] or "no answer yet")]
    print_table(
        f"read {task['id']}: {task['asked']}, {task['state']}, {task['answered']} of {task['total']} modules answered",
        ("module/channel", "title", "pulses", "read at", "reason"), rows, numbers=(2,),
    )
    for share in task["shares"]:
        if share["reason"]:
            click.echo(f"{share['concentrator']}: {share['reason']}")
