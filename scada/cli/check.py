"""`scada check`: every error of a configuration at once, before anything is started."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from scada.cli.fit import misfits, unfit_networks
from scada.cli.run import make_clock
from scada.errors import ConfigError, Problem, StartError
from scada.settings import Examined, Settings, examine
from scada.site import Site


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
        found = examine(config)
        problems = [*found.problems]
        if found.settings is not None:          # what is sound in it: the files it names are looked at all the same
            problems += problems_of_named_files(found, found.settings, warnings)
    except ConfigError as error:
        problems = [*error.problems]
    problems, warnings = _sorted(config, problems), _sorted(config, warnings)
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


def _sorted(config: Path, problems: Iterable[Problem]) -> list[Problem]:
    """The configuration first, then the files it names, each by line; nothing twice."""
    return sorted(dict.fromkeys(problems), key=lambda one: (one.where != str(config), one.where, one.line or 0))


def _plain(one: Problem) -> dict[str, str | int | None]:
    return {"file": one.where, "line": one.line, "key": one.key, "expected": one.expected}


def problems_of_named_files(found: Examined, settings: Settings, warnings: list[Problem]) -> Iterator[Problem]:
    """What is wrong in what a configuration names: templates, site, site clock and zone, database, secrets."""
    yield from _templates(found, settings)
    yield from _site(found, settings, warnings)
    yield from _clock(found, settings)
    for influx in settings.historian.influx:
        at = ("historian", "influx", _place(found, influx.name, "historian", "influx"))
        if influx.secret_file is not None and not influx.secret_file.is_file():
            said = f"no such file {influx.secret_file}; expected a file with the secret"
            yield found.problem(said, *at, "secret_file")
        if influx.secret_env and influx.secret_env not in os.environ:
            said = f"{influx.secret_env} is not set here; the server needs it in its environment"
            warnings.append(found.problem(said, *at, "secret_env"))


def _templates(found: Examined, settings: Settings) -> Iterator[Problem]:
    from scada.drivers.modbus.template import load_template

    seen: set[str] = set()
    for device in settings.modbus.devices:
        if device.template in seen:
            continue
        seen.add(device.template)
        try:
            load_template(device.template, settings.modbus.template_dirs)
        except ConfigError as error:
            for one in error.problems:          # an unknown name is a mistake in the configuration, not in a file
                at = ("modbus", "devices", _place(found, device.name, "modbus", "devices"), "template")
                said = f"{device.template}: {one.expected}"
                yield found.problem(said, *at) if one.where == device.template else one


def _site(found: Examined, settings: Settings, warnings: list[Problem]) -> Iterator[Problem]:
    """The site file, and the site a registry holds already; held against the Modbus devices."""
    from scada.registry.database import look, url_of
    from scada.registry.draft import put_into
    from scada.registry.exchange import read as read_site
    from scada.registry.names import device_clashes
    from scada.registry.schema import make_engine

    sites = [Site()]
    if settings.registry.import_file is not None:
        try:
            outcome = put_into(read_site(settings.registry.import_file), Site())
        except ConfigError as error:
            yield from error.problems
        else:
            sites.append(outcome.site)
            warnings += [*outcome.warnings, *unfit_networks(outcome.site)]
            if not any(one.key.startswith("modbus") for one in found.problems):     # else half of them may be missing
                warnings += misfits(found.path, settings, outcome.site)
    try:
        if settings.registry.url and not settings.registry.url.startswith("sqlite"):    # a file is made by opening it
            make_engine(settings.registry.url).dispose()
        sites.append(look(url_of(settings.registry, settings.data_dir)))
        warnings += unfit_networks(sites[-1])
    except StartError as error:
        yield found.problem(error.reason, "registry", "url")
    for site in sites:
        for name, said in device_clashes(site, (device.name for device in settings.modbus.devices)):
            yield found.problem(said, "modbus", "devices", _place(found, name, "modbus", "devices"), "name")


def _clock(found: Examined, settings: Settings) -> Iterator[Problem]:
    from scada.balancing.days import whole_hours

    try:
        hour = make_clock(found.path, settings).hour()
    except ConfigError as error:
        for one in error.problems:
            yield found.problem(one.expected, *one.key.split("."))
        return
    try:
        whole_hours(ZoneInfo(settings.site.timezone), hour)
    except ValueError as error:
        yield found.problem(str(error), "site", "timezone")


def _place(found: Examined, name: str, *path: str) -> int:
    """Where in a list of the file the item with this name stands; what is not sound may be missing in the settings."""
    items: Any = found.data
    for part in path:
        items = items[part]
    return next(place for place, one in enumerate(items) if isinstance(one, dict) and one.get("name", "influx") == name)
