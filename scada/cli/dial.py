"""`scada dial`: readings of meters' dials as CSV, in and out, and which of them do not agree with the count."""

from pathlib import Path
from typing import Final

import click

from scada import settings as configuration
from scada.cli.client import Api
from scada.cli.output import print_json, print_table
from scada.cli.periods import utc_ns
from scada.cli.run import make_clock
from scada.cli.site import AS_JSON, CONFIG, person, registry_of
from scada.clock import NS
from scada.dial import DialSource
from scada.dial_file import read_readings, written
from scada.errors import ConfigError, Problem
from scada.registry.exchange import text_of
from scada.site import Directory

WRONG: Final = 4                        # exit status: some dials do not agree, and `--which failed` asks for them
SOURCES: Final = click.Choice([one.value for one in DialSource if one is not DialSource.INSTALLER])
CHOICES: Final = ("failed", "overdue", "soon", "drift", "waiting", "never", "all")


@click.group("dial")
def dial() -> None:
    """Readings of meters' dials, and whether they agree with the count."""


@dial.command("import")
@CONFIG
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--source", type=SOURCES, default=DialSource.WALK_BY.value, show_default=True,
              help="Who read the dials, where a line does not say it.")
@click.option("--correct", is_flag=True, help="A reading of an instant that is held already takes its place.")
@click.option("--dry-run", is_flag=True, help="Check only.")
@AS_JSON
def import_(config: Path, file: Path, source: str, correct: bool, dry_run: bool, as_json: bool) -> None:
    """
    Enter the readings of FILE, all of them or none.

    CSV with the columns time and dial, and point, or eui and channel, or serial; if wanted source and by.
    """
    with registry_of(config) as database:
        directory, who = Directory(database.load()), person()
        now = make_clock(config, configuration.load(config)).now()
        readings, problems = read_readings(text_of(file), str(file), directory, who.name, DialSource(source), now)
        if problems:
            raise ConfigError(problems)
        if dry_run:
            said = {"new": 0, "known": 0, "checked": len(readings)}
        else:
            outcome = database.dials.add(who, readings, correct=correct)
            said = {"new": outcome.new, "known": outcome.known, "checked": len(readings)}
    if as_json:
        print_json({**said, "dry_run": dry_run})
        return
    click.echo(f"{said['checked']} readings: " + ("nothing was stored (dry run)" if dry_run else
                                                   f"{said['new']} new, {said['known']} known already"))


@dial.command("export")
@CONFIG
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--point", "points", multiple=True, help="Only of this metering point; may be repeated.")
@AS_JSON
def export(config: Path, file: Path, points: tuple[str, ...], as_json: bool) -> None:
    """Write every reading to FILE as CSV, corrected ones once; "-" is the terminal."""
    with registry_of(config) as database:
        held = {}
        number = 0
        while rows := database.dials.after(number):
            number = rows[-1].number
            held.update({(one.point, one.at): one for one in rows if not points or one.point in points})
    text = written(sorted(held.values(), key=lambda one: (one.point, one.at)))
    if str(file) == "-":
        click.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError([Problem(str(file), "", f"cannot be written: {error.strerror}")]) from None
    print_json({"file": str(file), "written": len(held)}) if as_json else click.echo(f"{len(held)} readings in {file}")


@dial.command("list")
@CONFIG
@click.option("--which", type=click.Choice(CHOICES), default="all", show_default=True, help="Only these.")
@click.option("--limit", type=click.IntRange(1, 5000), default=500, show_default=True, help="At most so many.")
@click.option("--user", "-u", envvar="SCADA_USER", required=True, help="Your user name.")
@AS_JSON
def list_(config: Path, which: str, limit: int, user: str, as_json: bool) -> None:
    """Meters with their dials, as the running server has them: difference, likely cause, due; the worst first."""
    api = Api.of(config)
    api.log_in(user)
    found = api.get("/api/v1/dials", which=which, limit=limit)
    if as_json:
        print_json(found)
    else:
        print_table(
            "dials: " + ", ".join(f"{count} {name}" for name, count in found["counts"].items()),
            ("point", "meter", "read (UTC)", "dial", "expected", "difference", "tolerance", "unit", "result", "cause",
             "due"),
            [
                (
                    one["point"], one["serial"], utc_ns(one["read_ms"] * NS // 1000) if one["read_ms"] else "-",
                    *(_number(one[name]) for name in ("read", "expected", "difference", "tolerance")), one["unit"],
                    one["verdict"], one["cause"].replace("none", ""), one["due"],
                )
                for one in found["dials"]
            ],
            numbers=(3, 4, 5, 6),
        )
    if which == "failed" and found["counts"]["failed"]:
        raise SystemExit(WRONG)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
