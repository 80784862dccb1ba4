"""`scada site`: put a site file into the registry, and write the registry out again; works beside a running server."""

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from scada import settings as configuration
from scada.cli.fit import misfits, unfit_networks
from scada.cli.output import tell
from scada.cli.run import make_clock
from scada.clock import SiteClock
from scada.commands import Actor, Origin, Role
from scada.errors import ConfigError, Problem, ScadaError
from scada.lock import private_directory
from scada.registry import exchange
from scada.registry.database import RegistryDatabase, open_registry, url_of
from scada.registry.draft import Outcome
from scada.registry.kinds import EUI, HOUR, KINDS
from scada.registry.names import device_clashes
from scada.site import Directory, Site, Swap, SwappedMeter
from scada.swaps import unread, with_counted

CONFIG = click.argument("config", type=click.Path(dir_okay=False, path_type=Path))
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@contextmanager
def registry_of(config: Path) -> Iterator[RegistryDatabase]:
    """The registry a configuration names; what goes wrong is told in a sentence, without a traceback."""
    try:
        loaded = configuration.load(config)
        private_directory(loaded.data_dir)
        database = open_registry(url_of(loaded.registry, loaded.data_dir), make_clock(config, loaded))
        try:
            yield database
        finally:
            database.close()
    except ScadaError as error:
        raise SystemExit(tell(error)) from None


def person() -> Actor:
    """Who sits at the terminal: whoever may read the data directory may do everything, and is named in the audit."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):             # a container may run under a number without a name
        name = "unknown"
    return Actor(name, Role.ADMINISTRATOR, origin=Origin.CLI)


@click.group("site")
def site() -> None:
    """Import and export what exists on the site."""


@site.command("import")
@CONFIG
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Make the file the whole site: what it does not hold is removed.")
@click.option("--dry-run", is_flag=True, help="Check only, and say what would change.")
@click.option("--layout", type=click.Choice(["site", "feeder"]), default="site", show_default=True,
              help="feeder: a folder with lines.csv, linecodes.csv, loads.csv and source_transformer.csv.")
@click.option("--transformer", help="With --layout feeder: whose network it is.")
@click.option("--feeder", help="With --layout feeder: the feeder of its sections; else TRANSFORMER-LV.")
@click.option("--prefix", default="", help="With --layout feeder: put before the names of sections and linecodes.")
@AS_JSON
def import_(
    config: Path, file: Path, replace: bool, dry_run: bool, layout: str, transformer: str | None, feeder: str | None,
    prefix: str, as_json: bool,
) -> None:
    """
    Put FILE (YAML, a folder of CSV files or one CSV file) into the registry of CONFIG, all of it or nothing.

    With --layout feeder FILE is a folder as the IEEE European low-voltage test feeder is often handed on, and becomes the
    network of TRANSFORMER; loads are metering points by their names, new ones where there are none.
    """
    of_feeder = layout == "feeder"
    if of_feeder != (transformer is not None) or (not of_feeder and (feeder or prefix)) or (of_feeder and replace):
        raise click.UsageError("--layout feeder goes with --transformer, and not with --replace; the others go with it")
    left_out: tuple[Problem, ...] = ()
    with registry_of(config) as database:
        loaded = configuration.load(config)
        if transformer is not None:
            from scada.cli.feeder_layout import Wish, drafted

            wish = Wish(transformer, feeder or f"{transformer}-LV", prefix)
            draft, left_out = drafted(file, wish, database.load())
        else:
            draft = exchange.read(file)
        if loaded.modbus.devices:
            refuse_shared_names(loaded, database.try_out(draft, replace=replace).site)
        outcome = database.try_out(draft, replace=replace) if dry_run else (
            database.put(draft, person(), str(file), replace=replace)
        )
    warnings: list[Problem] = [
        *left_out, *outcome.warnings, *misfits(config, loaded, outcome.site), *unfit_networks(outcome.site)
    ]
    _tell_outcome(outcome, warnings, dry_run=dry_run, as_json=as_json)


def _tell_outcome(outcome: Outcome, warnings: list[Problem], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        counts = {what: getattr(outcome, what) for what in ("added", "changed", "removed")}
        click.echo(json.dumps({**counts, "dry_run": dry_run, "warnings": [str(one) for one in warnings]}))
        return
    console = Console()
    if outcome.unchanged:
        console.print("Nothing changed: the registry holds all of this already.")
    else:
        console.print(_changes(outcome, "Would change" if dry_run else "Changed"))
    for warning in warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)


@site.command("plan")
@CONFIG
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check only, and say what would change.")
@AS_JSON
def plan(config: Path, file: Path, dry_run: bool, as_json: bool) -> None:
    """Put FILE, a CSV plan with a line for each meter, into the registry of CONFIG: its modules are planned until heard."""
    with (
        registry_of(config) as database,
        Progress(*Progress.get_default_columns(), console=Console(stderr=True), disable=as_json, transient=True) as bar,
    ):
        lines = bar.add_task("reading", total=None)

        def progress(done: int, of: int) -> None:
            bar.update(lines, completed=done, total=of, description="reading" if done < of else "checking and storing")

        outcome = database.plan(file, person(), SiteClock().hour(), progress, dry_run=dry_run)
    _tell_outcome(outcome, list(outcome.warnings), dry_run=dry_run, as_json=as_json)


@site.command("swap")
@CONFIG
@click.argument("old")
@click.argument("new")
@click.option("--at", default="", help="Full hour in UTC, such as 2026-01-01T00:00Z; now without it.")
@click.option("--meter", "meters", multiple=True, metavar="CHANNEL:KEY=VALUE,…",
              help="What is known of a channel: final, start (registers), serial, constant, channel (of the new module).")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@AS_JSON
def swap(
    config: Path, old: str, new: str, at: str, meters: tuple[str, ...], dry_run: bool, as_json: bool
) -> None:
    """
    Put module NEW (its EUI) in the place of OLD (name or EUI): meters' periods end and go on at the same points.

    With the same module twice only the meters that are named are changed. Giving it again changes nothing more. A final
    register that is not given is the one that was counted up to then; where nothing is known, that is said.
    """
    from scada.cli.life import tell_change

    with registry_of(config) as database:
        directory = database.directory(database.load())
        module = directory.module_of_name.get(old)
        try:
            settings = configuration.load(config)
            hour = HOUR.read(at) if at else make_clock(config, settings).hour()
            euis = module.eui if module else EUI.read(old), _eui(directory, new)
            change = Swap(*euis, hour, tuple(_swapped(one) for one in meters))
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        change = _counted(settings, directory, change)
        if dry_run:
            tell_change(database.preview(person(), change), dry_run=True, as_json=as_json)
            return
        after = database.swap(person(), change)
    heir = next(one for one in after.modules if one.eui == change.new_eui)
    opened = [one for one in after.meters if one.eui == heir.eui and one.valid_from == hour]
    closed = [one for one in after.meters if one.eui == change.old_eui and one.valid_to == hour]
    if as_json:
        finals = {one.serial: one.final_register for one in closed}
        begun = [one.serial for one in opened]
        click.echo(json.dumps({"module": heir.name, "state": heir.state, "meters": begun, "final_registers": finals}))
        return
    serials = ", ".join(one.serial for one in opened) or "-"
    click.echo(f"{heir.name} ({heir.state}) has the place; from this hour on: {serials}")
    for one in closed:
        if one.final_register is not None:
            click.echo(f"{one.serial} at {one.point} ends with {one.final_register:.3f}: compare it with its dial")
            continue
        click.echo(
            f"warning: {one.serial} at {one.point} ends without a final register: none was given, and nothing is known "
            "of it here; read its dial, and write it into the site file"
        )


def _counted(settings: configuration.Settings, directory: Directory, swap: Swap) -> Swap:
    """The swap with the registers that the history of this configuration has, where nobody read a dial."""
    from scada.cli.read import history_dir
    from scada.historian.service import open_reader
    from scada.metering.known import registers

    points = [one.point for one in unread(directory, swap)]
    if not points or not history_dir(settings).is_dir():
        return swap
    found = registers(directory, open_reader(history_dir(settings)).intervals, points, swap.hour)
    return with_counted(directory, swap, dict(zip(points, found.tolist(), strict=True)))


def _eui(directory: Directory, text: str) -> int:
    module = directory.module_of_name.get(text)
    return int(module.eui if module else EUI.read(text))


def _swapped(text: str) -> SwappedMeter:
    """`0:final=123.4,serial=N77,start=0,constant=1000`."""
    channel, _, rest = text.partition(":")
    said = dict(part.partition("=")[::2] for part in rest.split(",") if part)
    names = {"final": "final_register", "start": "start_register", "serial": "serial", "constant": "pulses_per_unit",
             "channel": "new_channel"}
    if unknown := set(said) - set(names):
        raise ValueError(f"--meter {text}: unknown {', '.join(sorted(unknown))}; expected {', '.join(names)}")
    try:
        values = {names[k]: v if k == "serial" else int(v) if k == "channel" else float(v) for k, v in said.items()}
        return SwappedMeter(int(channel), **values)  # type: ignore[arg-type]
    except ValueError:
        raise ValueError(f"--meter {text}: expected a channel, a colon and numbers, as 0:final=123.4,start=0") from None


def refuse_shared_names(loaded: configuration.Settings, content: Site) -> None:
    """The registry does not know the configuration's devices, and they share the bus."""
    clashes = tuple(device_clashes(content, (device.name for device in loaded.modbus.devices)))
    if clashes:
        raise ConfigError(Problem("registry", name, said) for name, said in clashes)


def _changes(outcome: Outcome, title: str) -> Table:
    table = Table(title=title)
    for heading in ("kind", "added", "changed", "removed"):
        table.add_column(heading, justify="left" if heading == "kind" else "right")
    for kind in KINDS:
        counts = [getattr(outcome, what)[kind.name] for what in ("added", "changed", "removed")]
        if any(counts):
            table.add_row(kind.name.replace("_", " "), *(str(count) for count in counts))
    return table


@site.command("export")
@CONFIG
@click.argument("file", type=click.Path(path_type=Path))
@AS_JSON
def export(config: Path, file: Path, as_json: bool) -> None:
    """Write the registry of CONFIG to FILE: YAML if it ends in .yaml, else a folder of CSV files; "-" is the terminal."""
    with registry_of(config) as database:
        content = database.load()
        if str(file) == "-":
            as_text = json.dumps(exchange.plain(content), ensure_ascii=False) + "\n"
            click.echo(as_text if as_json else exchange.yaml_text(content), nl=False)
            return
        exchange.write(content, file)
    counts: dict[str, Any] = {kind.name: len(getattr(content, kind.name)) for kind in KINDS}
    if as_json:
        click.echo(json.dumps({"file": str(file), "written": counts}))
        return
    table = Table(title=f"Written to {file}")
    table.add_column("kind")
    table.add_column("written", justify="right")
    for name, count in counts.items():
        table.add_row(name.replace("_", " "), str(count))
    Console().print(table)


from scada.cli import install  # noqa: E402, F401  — its command belongs to this group
