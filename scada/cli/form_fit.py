"""`scada balance fit`: a form factor fitted to minute data and kept in the registry, for a transformer's losses."""

from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import DEFAULTS, FormFactor, calibrate, of_hours
from scada.balancing.network.of_site import form_of
from scada.balancing.network.profiles import read_columns
from scada.cli.output import print_json, print_table
from scada.cli.site import person, registry_of
from scada.errors import ConfigError, Problem
from scada.registry.form_factors import with_form

HOUR: Final = 60
GROUPS: Final = (1, 5, 20, 40)              # numbers of consumers whose k² is shown
Values = dict[str, Any]


@click.command()
@click.argument("config", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("transformer")
@click.option("--minute-data", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="CSV of kW minute by minute: first column when, then a column for every consumer.")
@click.option("--source", default="", help="Where the data are from, in words; else the file's name and how much is in it.")
@click.option("--shipped", is_flag=True, help="Forget it: the form factor that is shipped is taken again.")
@click.option("--dry-run", is_flag=True, help="Fit and show only.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def fit(
    config: Path, transformer: str, minute_data: Path | None, source: str, shipped: bool, dry_run: bool, as_json: bool
) -> None:
    """
    Fit the form factor of TRANSFORMER's consumers to minute data, and keep it in the registry of CONFIG.

    The running server computes the losses of its network anew with it, 31 days back, and the balances that deduct them.
    The consumers may be others than those of the network, if they are like them. Hours with a gap are left out.
    """
    if (minute_data is None) != shipped:
        raise click.UsageError("expected --minute-data or --shipped, one of them")
    with registry_of(config) as database:
        known = {one.name: one for one in database.load().transformers}
        if transformer not in known:
            some = ", ".join(sorted(known)[:5]) or "none"
            raise ConfigError([Problem("argument", "TRANSFORMER", f"no transformer {transformer!r}; there are {some}")])
        values = {} if minute_data is None else _fitted(minute_data, source)
        make = partial(with_form, transformer=transformer, values=values)
        new = next(one for one in make(database.load()).transformers if one.name == transformer)
        if not dry_run:
            database.change(make, lambda: database.audit.note(person(), "transformer.form_factor", transformer, **values))
    form = of_hours(form_of(new))
    if as_json:
        print_json({"transformer": transformer, "kept": not dry_run, **(values or {"form_source": "shipped"})})
        return
    rows = [_row("shipped", DEFAULTS[HOUR]), *([] if shipped else [_row(new.form_source, form)])]
    print_table(f"form factor of {transformer}", ("of", "a", "b", "c", "doubt %", *(f"k² n={n}" for n in GROUPS)), rows,
                numbers=range(1, 9))
    kept = f"{transformer} has the {'first' if shipped else 'last'} of them"
    click.echo("nothing was kept (--dry-run)" if dry_run else kept)


def _fitted(path: Path, source: str) -> Values:
    whole, hours = _whole_hours(read_columns(path))
    try:
        form = calibrate(whole, HOUR)
    except ValueError:                              # of what it asks for, only this can be lacking here
        said = f"{whole.shape[1]} consumers, {hours} hours without a gap; expected two consumers, an hour, and some power"
        raise ConfigError([Problem(str(path), "", said)]) from None
    return {
        "form_alone": form.alone, "form_together": form.together, "form_alike": form.alike, "form_doubt": form.doubt,
        "form_minutes": HOUR, "form_source": source or f"{path.name}: {whole.shape[1]} consumers, {hours} hours",
    }


def _whole_hours(power: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Minutes of the hours in which every consumer is known, and how many hours those are."""
    hours = len(power) // HOUR
    by_hour = power[:hours * HOUR].reshape(hours, HOUR, power.shape[1])
    known = np.isfinite(by_hour).all(axis=(1, 2))
    return by_hour[known].reshape(-1, power.shape[1]), int(known.sum())


def _row(name: str, form: FormFactor) -> tuple[Any, ...]:
    figures = (f"{form.alone:.3f}", f"{form.together:.4f}", f"{form.alike:.3f}", f"{100 * form.doubt:.0f}")
    return (name, *figures, *(f"{1 + float(form.excess(n)):.2f}" for n in GROUPS))
