"""`scada check`: every error of a configuration at once, before anything is started."""

import json
import os
from pathlib import Path

import click

from scada.cli.fit import misfits
from scada.cli.run import make_clock
from scada.errors import ConfigError, Problem, StartError
from scada.settings import Settings, load


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Problems as JSON.")
def check(config: Path, as_json: bool) -> None:
    """
    Check the configuration file CONFIG and everything it names; exit status 2 if anything is wrong.

    A warning is something that can work, but perhaps not as it was meant.
    """
    warnings: list[Problem] = []
    try:
        settings = load(config)
        problems: tuple[Problem, ...] = tuple(problems_of_named_files(config, settings, warnings))
    except ConfigError as error:
        problems = error.problems
    if as_json:
        said = {"problems": [_plain(one) for one in problems], "warnings": [_plain(one) for one in warnings]}
        click.echo(json.dumps({"ok": not problems, **said}, indent=2, ensure_ascii=False))
    else:
        for problem in problems:
            click.echo(f"error: {problem}", err=True)
        for problem in warnings:
            click.echo(f"warning: {problem}", err=True)
        click.echo(f"{config}: {len(problems)} problem(s)" if problems else f"{config}: ok")
    if problems:
        raise SystemExit(2)


def _plain(one: Problem) -> dict[str, str | int | None]:
    return {"file": one.where, "line": one.line, "key": one.key, "expected": one.expected}


def problems_of_named_files(config: Path, settings: Settings, warnings: list[Problem]) -> list[Problem]:
    """What is wrong in what a sound configuration names: templates, site file, site clock, database, secrets."""
    from scada.drivers.modbus.template import load_template
    from scada.registry.draft import put_into
    from scada.registry.exchange import read as read_site
    from scada.registry.schema import make_engine
    from scada.site import Site

    found: list[Problem] = []
    for name in dict.fromkeys(device.template for device in settings.modbus.devices):
        try:
            load_template(name, settings.modbus.template_dirs)
        except ConfigError as error:
            found += error.problems
    if settings.registry.import_file is not None:
        try:
            outcome = put_into(read_site(settings.registry.import_file), Site())
            warnings += [*outcome.warnings, *misfits(config, settings, outcome.site)]
        except ConfigError as error:
            found += error.problems
    if settings.registry.url and not settings.registry.url.startswith("sqlite"):     # a file is made by opening it
        try:
            make_engine(settings.registry.url).dispose()
        except StartError as error:
            found.append(Problem(str(config), "registry.url", error.reason))
    try:
        make_clock(config, settings)
    except ConfigError as error:
        found += error.problems
    for number, influx in enumerate(settings.historian.influx):
        if influx.secret_file is not None and not influx.secret_file.is_file():
            key = f"historian.influx.{number}.secret_file"
            found.append(Problem(str(config), key, f"no such file {influx.secret_file}; expected a file with the secret"))
        if influx.secret_env and influx.secret_env not in os.environ:
            key = f"historian.influx.{number}.secret_env"
            said = f"{influx.secret_env} is not set here; the server needs it in its environment"
            warnings.append(Problem(str(config), key, said))
    return found
