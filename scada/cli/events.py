"""`scada historian events`: what devices and alarms said, newest first, straight from the store."""

from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import attrs
import click

from scada.cli.output import print_json, print_table
from scada.cli.periods import local_ns, period, utc_ns
from scada.cli.read import history_dir, open_directory, unknown
from scada.cli.run import make_clock
from scada.cli.site import AS_JSON, CONFIG
from scada.clock import NS
from scada.event_devices import devices_in, devices_of
from scada.events import KeptEvent, Stream
from scada.ports import EventsWanted
from scada.settings import load

MOST: Final = 100_000


@click.command()
@CONFIG
@click.argument("name", required=False)
@click.option("--group", help="Of all members of a load group or balance group.")
@click.option("--kind", "kinds", multiple=True, help="Of this kind alone (magnet, power_down, high); may be repeated.")
@click.option("--stream", type=click.Choice([one.value for one in Stream]), help="Of devices, or of alarms, alone.")
@click.option("--from", "first", help="Start, site time: 2026-11-22 or 2026-11-22T13:00; default: a day before the end.")
@click.option("--to", "last", help="End, not included.")
@click.option("--most", type=click.IntRange(1, MOST), default=100, show_default=True, help="Events of a page.")
@click.option("--before", help="The next page: what the page before said.")
@AS_JSON
def events(
    config: Path, name: str | None, group: str | None, kinds: tuple[str, ...], stream: str | None, first: str | None,
    last: str | None, most: int, before: str | None, as_json: bool,
) -> None:
    """
    Print events of NAME (a module, a metering point, a device or a tag), of a group, or all, newest first.

    A device's events are those of its channels and of alarms on its tags too; of a tag (device/point) they are its alarms.
    """
    from scada.historian.service import open_reader

    if name and group:
        raise click.UsageError("expected a name or --group, not both")
    settings = load(config)
    zone = ZoneInfo(settings.site.timezone)
    start, end = period(first, last, zone, make_clock(config, settings).seconds())
    directory = open_directory(settings)
    devices = devices_in(directory, group) if group else devices_of(directory, name) if name and "/" not in name else None
    if group and devices is None:
        raise unknown("group", group, (*directory.load_group, *directory.balance_group))
    reader = open_reader(history_dir(settings))
    page = reader.events.find(EventsWanted(
        start * NS, end * NS, devices, (name,) if name and "/" in name else None, kinds or None,
        (Stream(stream),) if stream else None, _place(before), most,
    ))
    reader.close()
    older = None if page.older is None else "-".join(map(str, page.older))
    if as_json:
        print_json({"events": [as_row(one) for one in page.events], "older": older})
        return
    print_table(
        f"{len(page.events):,} events", ("time", "source", "kind", "state", "severity", "said by", "value", "what"),
        [
            (local_ns(one.moment, zone) + ("" if one.time_good else " (received)"), one.source, one.kind, one.state,
             one.severity, f"{one.stream} {one.sequence}" if one.stream is Stream.DEVICE else one.by or "alarm",
             _value(one), one.text)
            for one in page.events
        ],
        numbers=(6,),
    )
    if older:
        click.echo(f"there are older ones: --before {older}", err=True)


def as_row(one: KeptEvent) -> dict[str, Any]:
    """For programs; times in UTC."""
    said = attrs.asdict(one) | {"stream": str(one.stream), "device": one.device, "moment": utc_ns(one.moment)}
    return said | {"at": utc_ns(one.at), "received": utc_ns(one.received)}


def _value(one: KeptEvent) -> str:
    if one.value is None:
        return ""
    return f"{one.value:g} {one.unit}" + ("" if one.limit is None else f" (limit {one.limit:g})")


def _place(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    moment, _, number = text.partition("-")
    if not (moment.isdecimal() and number.isdecimal() and len(text) < 40):
        raise click.BadParameter(f"{text!r} is no place; expected what the page before said", param_hint="--before")
    return int(moment), int(number)
