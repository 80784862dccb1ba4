"""`scada site`: put a site file into the registry, and write the registry out again; works beside a running server."""

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from scada import settings as configuration
from scada.cli.fit import misfits
from scada.cli.output import tell
from scada.commands import Actor, Origin, Role
from scada.errors import ConfigError, Problem, ScadaError
from scada.lock import private_directory
from scada.registry import exchange
from scada.registry.database import RegistryDatabase, open_registry, url_of
from scada.registry.draft import Outcome
from scada.registry.kinds import KINDS
from scada.registry.names import device_clashes
from scada.site import Site

CONFIG = click.argument("config", type=click.Path(dir_okay=False, path_type=Path))
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@contextmanager
def registry_of(config: Path) -> Iterator[RegistryDatabase]:
    """The registry a configuration names; what goes wrong is told in a sentence, without a traceback."""
    try:
        loaded = configuration.load(config)
        private_directory(loaded.data_dir)
        database = open_registry(url_of(loaded.registry, loaded.data_dir))
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
@AS_JSON
def import_(config: Path, file: Path, replace: bool, dry_run: bool, as_json: bool) -> None:
    """Put FILE (YAML, a folder of CSV files or one CSV file) into the registry of CONFIG, all of it or nothing."""
    with registry_of(config) as database:
        draft, loaded = exchange.read(file), configuration.load(config)
        if loaded.modbus.devices:
            refuse_shared_names(loaded, database.try_out(draft, replace=replace).site)
        outcome = database.try_out(draft, replace=replace) if dry_run else (
            database.put(draft, person(), str(file), replace=replace)
        )
    warnings: list[Problem] = [*outcome.warnings, *misfits(config, loaded, outcome.site)]
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
