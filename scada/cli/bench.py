"""`scada bench`: measures this machine with the code that runs here."""

from collections.abc import Sequence
from importlib import import_module
from typing import Final

import click
from rich.progress import track

from scada.cli.output import print_json, print_table

AREAS: Final = {
    "server": {"bus": "scada.bench.bus", "demo": "scada.bench.demo", "registry": "scada.bench.registry"},
    "dmesh": {
        "decode": "scada.bench.decode",
        "fuzz": "scada.bench.fuzz",
        "commit": "scada.bench.commit",
        "ingest": "scada.bench.dmesh.ingest",
        "sessions": "scada.bench.dmesh.sessions",
        "fanout": "scada.bench.dmesh.fanout",
        "latency": "scada.bench.dmesh.latency",
        "faults": "scada.bench.dmesh.faults",
    },
    "historian": {
        "whole": "scada.bench.historian.whole",
        "frames": "scada.bench.historian.frames",
        "live": "scada.bench.historian.live",
        "influx": "scada.bench.historian.influx",
        "peers": "scada.bench.historian.peers",
    },
    "balance": {
        "losses": "scada.bench.balance.losses",
        "phases": "scada.bench.balance.phases",
        "advice": "scada.bench.balance.advice",
        "suspects": "scada.bench.balance.suspects",
        "city_suspects": "scada.bench.balance.city_suspects",
        "city_day": "scada.bench.balance.city_day",
        "city_night": "scada.bench.balance.city_night",
        "watching": "scada.bench.balance.watching",
    },
}
MODULES: Final = {name: module for area in AREAS.values() for name, module in area.items()}
USUAL: Final = ("decode", "fuzz", "bus", "commit", "demo")     # minutes, and no limits of the machine are touched


@click.command()
@click.argument("names", nargs=-1, type=click.Choice((*AREAS, *MODULES)))
@click.option("--json", "as_json", is_flag=True, help="Figures with their short ids as JSON.")
def bench(names: tuple[str, ...], as_json: bool) -> None:
    """
    Measure NAMES, or all of an area that none of its own follows: `dmesh ingest` is ingest alone.

    Area dmesh: decode, fuzz (a million mutated inputs at the DMLP receiver), commit (TCP to durable, whole server), ingest
    (a city of 1,400 concentrators), sessions (14,000 of them), fanout (a group command to them), latency (commands in the
    simulated radio), faults (readings lost or doubled over the whole catalogue). Area server: bus, registry (100,000
    meters), demo (memory and loop of the processes). Area historian: whole (a month and a day of a city, one meter
    read), frames (commit, journal, merge), live (ten thousand values a second), influx (needs influxd 1.x), peers
    (SQLite with a row a value, DuckDB, Parquet; the last two need duckdb and pyarrow). Area balance: losses (technical
    losses against OpenDSS and power-grid-model; needs dss-python; with the folder of a known feeder in SCADA_BENCH_DATA it
    says more), phases (identified on generated feeders), advice (240 consumers; what it saves by power flow, of the
    known feeder too), suspects (thieves found, honest people left alone, leaks) and city_suspects (a million meters), all
    but losses on the households of tests/bench; city_day (a day of a million meters balanced on a real store), city_night
    (twenty days of them read out of one, and searched for leaks) and watching (turns of the loop with a thousand
    transformers).
    Without NAMES: decode, fuzz, bus, commit, demo.
    """
    wanted = chosen(names or USUAL)
    figures = []
    for name in track(wanted, description="measuring", disable=as_json, transient=True):
        figures += import_module(MODULES[name]).measure()
    if as_json:
        print_json({figure.id: {"value": figure.value, "unit": figure.unit, "what": figure.what} for figure in figures})
    else:
        rows = [(figure.id, figure.what, shown(figure.value), figure.unit) for figure in figures]
        print_table("scada bench", ("id", "what", "value", "unit"), rows, numbers=(2,))


def chosen(names: Sequence[str]) -> list[str]:
    """What to measure, each once; an area stands for all of its own unless some of them are named too."""
    alone = [name for name in names if not set(AREAS.get(name, ())) & set(names)]
    return list(dict.fromkeys(one for name in alone for one in AREAS.get(name, (name,))))


def shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.3g}"
