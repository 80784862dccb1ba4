"""How `scada balance losses` says what it found: tables for people, rows and JSON for programs. Energies in kWh."""

from collections.abc import Sequence
from typing import Any, Final

import click
import numpy as np

from scada.balancing.network import Network, Period
from scada.balancing.network.technical import CONDUCTORS
from scada.cli.output import print_table

SHOWN: Final = 15                           # sections and consumers, those who lose most
SECTIONS: Final = ("name", "from", "to", "length_m", *CONDUCTORS)
CONSUMERS: Final = ("name", "lines", "transformer", "lowest_v")
INTERVALS: Final = ("when", *CONDUCTORS, "transformer")

Row = tuple[Any, ...]


def sections(network: Network, found: Period) -> list[Row]:
    """As `SECTIONS`."""
    return [
        (name, network.nodes[one], network.nodes[other], metres, *row)
        for name, (one, other), metres, row in zip(
            network.sections, network.ends.tolist(), network.length.tolist(), (found.sections / 1000).tolist(), strict=True
        )
    ]


def consumers(network: Network, found: Period) -> list[Row]:
    """As `CONSUMERS`; None where nothing is known."""
    shares = np.full((len(network.points), 2), np.nan) if found.points is None else found.points / 1000
    rows = np.column_stack([shares, found.lowest]).tolist()
    return [
        (name, *(None if np.isnan(value) else value for value in row))
        for name, row in zip(network.points, rows, strict=True)
    ]


def table(network: Network, found: Period, when: Sequence[str], by: str) -> list[Row]:
    """Rows of a CSV file, the first its header."""
    if by == "section":
        return [SECTIONS, *sections(network, found)]
    if by == "consumer":
        return [CONSUMERS, *(tuple("" if value is None else value for value in row) for row in consumers(network, found))]
    energy = np.column_stack([found.lines, found.transformer]) * found.minutes / 60 / 1000
    rows = (["" if np.isnan(value) else value for value in row] for row in energy.tolist())
    return [INTERVALS, *((at, *row) for at, row in zip(when, rows, strict=True))]


def said(network: Network, found: Period, filled: float, form: str) -> dict[str, Any]:
    """All of it as JSON, but for the single intervals."""
    lines = found.sections.sum(axis=0) / 1000
    return {
        "intervals": len(found.known), "known": int(found.known.sum()), "collapsed": found.collapsed.tolist(),
        "filled": filled, "taken_kwh": found.taken / 1000, "lost_kwh": found.lost / 1000,
        "lines_kwh": dict(zip(CONDUCTORS, lines.tolist(), strict=True)),
        "transformer_kwh": found.lost / 1000 - float(lines.sum()),
        "hidden_kwh": found.hidden / 1000, "hidden_doubt_kwh": found.doubt / 1000,
        "form_factor": form,
        "sections": [dict(zip(SECTIONS, row, strict=True)) for row in sections(network, found)],
        "consumers": [dict(zip(CONSUMERS, row, strict=True)) for row in consumers(network, found)],
    }


def as_text(network: Network, found: Period, filled: float, form: str) -> None:
    """The whole, and who and what loses most."""
    lines, lost = found.sections.sum(axis=0) / 1000, found.lost / 1000
    share = f"{100 * found.lost / found.taken:.2f} % of what was taken" if found.taken > 0 else ""
    print_table("losses", ("of", "kWh", ""), [
        ("phases", f"{lines[:3].sum():,.3f}", ", ".join(f"{name} {value:,.3f}" for name, value in zip(
            CONDUCTORS[:3], lines[:3], strict=True))),
        ("neutral", f"{lines[3]:,.3f}", f"{100 * lines[3] / lines.sum():.1f} % of the lines" if lines.sum() else ""),
        ("transformer", f"{lost - lines.sum():,.3f}", ""),
        ("all", f"{lost:,.3f}", share),
        ("hidden in means", f"{found.hidden / 1000:,.3f}", f"± {found.doubt / 1000:,.3f}, a part of the above"),
        ("form factor", "", form),
    ], numbers=(1,))
    most = sorted(sections(network, found), key=lambda row: -sum(row[4:]))[:SHOWN]
    print_table("sections that lose most", ("name", "from", "to", "m", *(f"{name} kWh" for name in CONDUCTORS)), [
        (*row[:3], f"{row[3]:,.1f}", *(f"{value:,.4f}" for value in row[4:])) for row in most
    ], numbers=range(3, 8))
    if found.points is not None:
        who = sorted(consumers(network, found), key=lambda row: -(row[1] or 0))[:SHOWN]
        print_table("consumers who make most of it", ("name", "lines kWh", "transformer kWh", "lowest V"), [
            (row[0], *("" if value is None else f"{value:,.4f}" for value in row[1:3]),
             "" if row[3] is None else f"{row[3]:.1f}") for row in who
        ], numbers=(1, 2, 3))
    unknown = len(found.known) - int(found.known.sum())
    if unknown or filled:
        of = f"{unknown:,} of {len(found.known):,} intervals left out"
        click.echo(f"{of}; {100 * filled:.2f} % of the values filled", err=True)
