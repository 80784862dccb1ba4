"""`scada balance losses`: what a low-voltage network loses, by section, conductor and consumer; see docs/losses.md."""

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track

from scada.cli.output import one_of, print_json
from scada.errors import ConfigError, Problem

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
BY = ("section", "consumer", "interval")
MANY = 5                                    # intervals that are named


@click.command()
@click.argument("registry", metavar="[CONFIG", type=FILE, required=False)
@click.argument("transformer", metavar="TRANSFORMER]", required=False)
@click.option("--network", "folder", type=FOLDER, help="Folder with lines.csv, linecodes.csv and so on.")
@click.option("--profiles", type=FILE, help="CSV with a column for every service point.")
@click.option("--unit", type=click.Choice(["kW", "W", "kWh", "Wh"]), default="kW", show_default=True, help="In the CSV.")
@click.option("--minutes", type=click.IntRange(1), default=60, show_default=True, help="From row to row of the CSV.")
@click.option("--config", type=FILE, help="Instead of a CSV: stored hours of metering points of the same names.")
@click.option("--from", "first", help="Of the stored hours: start, site time.")
@click.option("--to", "last", help="Of the stored hours: end, not included.")
@click.option("--fill-gaps", is_flag=True, help="A gap is its consumer's mean; else the interval is left out.")
@click.option("--minute-data", type=FILE, help="CSV of kW minute by minute, to fit a form factor; else the one shipped.")
@click.option("--no-form-factor", is_flag=True, help="Do not add what means over an interval hide.")
@click.option("--meshed", is_flag=True, help="By power-grid-model, without form factor and shares, as with loops.")
@click.option("--by", type=click.Choice(BY), default=BY[0], show_default=True, help="What a row of --csv is.")
@click.option("--recompute", "anew", nargs=2, metavar="FROM TO", help="Let the server compute stored losses anew.")
@click.option("--user", "-u", envvar="SCADA_USER", help="With --recompute: your user name.")
@click.option("--json", "as_json", is_flag=True, help="JSON, energies in kWh.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, energies in kWh.")
def losses(
    registry: Path | None, transformer: str | None, folder: Path | None, profiles: Path | None, unit: str, minutes: int,
    config: Path | None, first: str | None, last: str | None, fill_gaps: bool, minute_data: Path | None,
    no_form_factor: bool, meshed: bool, by: str, anew: tuple[str, str] | None, user: str | None, as_json: bool,
    as_csv: bool,
) -> None:
    """
    Technical losses of a low-voltage network over a period: what every section, conductor and consumer loses.

    The network is that of TRANSFORMER in the registry of CONFIG, with its stored hours, or that of a folder (--network).
    With --recompute the running server computes the stored losses of TRANSFORMER, or of all, in that time anew.
    """
    if anew is not None:
        from scada.cli.losses_anew import recompute

        if registry is None or user is None or any((folder, profiles, config, first, last, as_json, as_csv)):
            raise click.UsageError("--recompute goes with CONFIG, TRANSFORMER and --user, and nothing else")
        recompute(registry, transformer, *anew, user)
        return
    from scada.balancing.network import filled, over, read_network
    from scada.balancing.network.profiles import read_profiles
    from scada.cli.losses_inputs import form_factor, history, of_registry
    from scada.cli.losses_shown import as_text, said, table

    one_of(as_json, as_csv)
    if registry is not None:
        if transformer is None or folder or config or profiles:
            raise click.UsageError("expected CONFIG and TRANSFORMER, without --network, --config and --profiles")
        network, config = of_registry(registry, transformer, meshed), registry
    elif folder is None:
        raise click.UsageError("expected CONFIG and TRANSFORMER, or --network")
    elif (profiles is None) == (config is None):
        raise click.UsageError("expected --profiles or --config, one of them")
    else:
        network = read_network(folder, meshed)
    meshed |= network.looped
    if profiles is not None:
        when, active = read_profiles(profiles, network, unit, minutes)
    else:
        assert config is not None
        minutes, (when, active) = 60, history(config, network, first, last)
    active, share = filled(active) if fill_gaps else (active, 0.0)
    form, of_form = (None, "none") if meshed or no_form_factor else form_factor(network, minutes, minute_data)

    def progress(blocks: Iterable[slice]) -> Iterable[slice]:
        console = Console(stderr=True)
        return track(
            list(blocks), description="computing", console=console, disable=not console.is_terminal, transient=True
        )

    found = over(network, active, minutes, form, meshed=meshed, progress=progress)
    if len(found.collapsed):
        some = ", ".join(when[index] for index in found.collapsed[:MANY]) + (" …" if len(found.collapsed) > MANY else "")
        click.echo(f"left out, no voltages found (is the load right?): {len(found.collapsed)} intervals, {some}", err=True)
    if not found.known.any():
        expected = "no interval in which the power of all service points is known; see --fill-gaps"
        raise ConfigError([Problem(str(profiles or config), "", expected)])
    if as_json:
        print_json(said(network, found, share, of_form))
    elif as_csv:
        csv.writer(sys.stdout).writerows(table(network, found, when, by))
    else:
        as_text(network, found, share, of_form)
