"""`scada bench`: measures this machine with the code that runs here."""

from importlib import import_module

import click
from rich.progress import track

from scada.cli.output import print_json, print_table

MEASUREMENTS = ("decode", "fuzz", "bus", "commit", "demo")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(MEASUREMENTS))
@click.option("--json", "as_json", is_flag=True, help="Figures with their short ids as JSON.")
def bench(names: tuple[str, ...], as_json: bool) -> None:
    """
    Measure NAMES, all by default: decode, fuzz (a million mutated inputs at the DMLP receiver), bus, commit (TCP to
    durable), demo (memory and loop of the processes).
    """
    figures = []
    for name in track(names or MEASUREMENTS, description="measuring", disable=as_json, transient=True):
        figures += import_module(f"scada.bench.{name}").measure()
    if as_json:
        print_json({figure.id: {"value": figure.value, "unit": figure.unit, "what": figure.what} for figure in figures})
    else:
        rows = [(figure.id, figure.what, shown(figure.value), figure.unit) for figure in figures]
        print_table("scada bench", ("id", "what", "value", "unit"), rows, numbers=(2,))


def shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.3g}"
