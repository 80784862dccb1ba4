"""What every command that shows data shares: a table for people, JSON for programs."""

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

import click
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from scada.errors import CommandRejected, ConfigError, ScadaError

PIPED_WIDTH: Final = 160


def print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def counted(n: int, one: str, many: str = "") -> str:
    """A number with its noun, in the singular where it is one."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def tell(error: ScadaError) -> int:
    """Say an error on stderr, every problem on a line of its own; returns the exit status that goes with it."""
    match error:
        case ConfigError():
            lines, status = [f"error: {problem}" for problem in error.problems], 2
        case CommandRejected():
            lines, status = [f"refused: {reason}" for reason in error.reasons], 3
        case _:
            lines, status = [f"error: {error}"], 1
    for line in lines:
        click.echo(line, err=True)
    return status


def one_of(as_json: bool, as_csv: bool) -> None:
    """Two formats at once would be neither."""
    if as_json and as_csv:
        raise click.UsageError("expected --json or --csv, not both")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> None:
    """
    A table; `numbers` are the columns to align right.

    Nothing is cut off: what does not fit goes on in the next line. What is piped is not squeezed into 80 columns.
    """
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    console.print(title, markup=False, highlight=False, soft_wrap=True)
    table = Table()
    for position, column in enumerate(columns):
        justify: JustifyMethod = "right" if position in numbers else "left"
        table.add_column(Text(column), justify=justify, no_wrap=position == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
