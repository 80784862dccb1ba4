"""Waiting at a terminal until something that goes on in the server is over."""

import time
from collections.abc import Callable
from typing import Any, Final

import click

INTERRUPTED: Final = 130                # as a shell has it
Found = dict[str, Any]                  # what the API says of it


def follow(
    found: Found, again: Callable[[], Found], *, over: Callable[[Found], bool], line: Callable[[Found], str],
    every_s: float, without_us: str,
) -> Found:
    """
    Ask again until it is over; on stderr a line for every change.

    Ctrl-C ends the waiting, never what is waited for: `without_us` says so, and where to look for how it went.
    """
    told = ""
    try:
        while True:
            if (now := line(found)) != told:
                told = now
                click.echo(now, err=True)
            if over(found):
                return found
            time.sleep(every_s)
            found = again()
    except KeyboardInterrupt:
        click.echo(f"\n{without_us}", err=True)
        raise SystemExit(INTERRUPTED) from None
