"""What `scada balance losses` is worked out from: stored hours in the place of a CSV file, and the form factor."""

from pathlib import Path
from zoneinfo import ZoneInfo

import click
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import DEFAULTS, FormFactor, Network, calibrate, for_means, networks
from scada.balancing.network.profiles import read_profiles
from scada.cli.periods import period, utc
from scada.cli.read import history_dir, open_directory
from scada.cli.run import make_clock
from scada.clock import DAY_H, HOUR_S
from scada.errors import ConfigError, Problem
from scada.settings import load
from scada.tags import BAD


def form_factor(network: Network, minutes: int, minute_data: Path | None) -> tuple[FormFactor | None, str]:
    """Fitted to what is at hand, else the registry's, else the one shipped for such means, else none; and which it is."""
    if minute_data is not None:
        _, fine = read_profiles(minute_data, network, "kW", 1.0)
        try:
            return calibrate(fine, minutes), f"fitted to {minute_data.name}"
        except ValueError as error:
            raise ConfigError([Problem(str(minute_data), "", str(error))]) from None
    form = for_means(network.form, minutes)
    if minutes > 1 and form is None:
        known = ", ".join(map(str, sorted(DEFAULTS)))
        click.echo(f"no form factor for means over {minutes} minutes, only over {known}: none is used", err=True)
    return form, "none" if form is None else "shipped" if form is DEFAULTS[form.minutes] else "of the registry"


def of_registry(config: Path, transformer: str, meshed: bool) -> Network:
    """The network of a transformer as the registry has it; what is wrong with it, or only left out of it, is said."""
    directory = open_directory(load(config))
    if transformer not in directory.transformer:
        some = ", ".join(sorted(directory.transformer)[:5]) or "none"
        raise ConfigError([Problem("argument", "TRANSFORMER", f"no transformer {transformer!r}; there are {some}")])
    known = networks(directory, meshed or None)
    if transformer in known.problems:
        raise ConfigError(list(known.problems[transformer]))
    if transformer not in known.networks:
        said = f"{transformer} has no sections in the registry; see docs/guide/site-file.md"
        raise ConfigError([Problem("argument", "TRANSFORMER", said)])
    for remark in known.remarks:
        click.echo(f"warning: {remark}", err=True)
    return known.networks[transformer]


def history(
    config: Path, network: Network, first: str | None, last: str | None
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Hours of the metering points that are named as the service points' profiles, or as they themselves, (h, p). [W]"""
    from scada.historian.service import open_reader
    from scada.metering.hourly import consumption

    settings = load(config)
    now = make_clock(config, settings).seconds()
    start, end = period(first, last, ZoneInfo(settings.site.timezone), now, DAY_H)
    directory = open_directory(settings)
    known = directory.point
    names = [
        profile if profile in known else name for name, profile in zip(network.points, network.profile, strict=True)
    ]
    problems = [Problem(str(config), name, "no metering point of that name") for name in names if name not in known]
    if problems:
        raise ConfigError(problems)
    reader = open_reader(history_dir(settings))
    try:
        hour, hours = start // HOUR_S, -(-end // HOUR_S) - start // HOUR_S
        found = consumption(directory, reader.intervals, names, hour, hours, now // HOUR_S)
    finally:
        reader.close()
    wrong = [name for name, unit in zip(names, found.units, strict=True) if unit != "kWh"]
    if wrong:
        raise ConfigError([Problem(str(config), name, "is no electricity; expected a point in kWh") for name in wrong])
    # What a dead line counted is evidence, not consumption.
    active = np.where(found.quality >= BAD, np.nan, found.values).T * 1000
    return tuple(utc((hour + index) * HOUR_S) for index in range(hours)), active
