"""The `scada` command. Each subcommand is a module of this package, imported only when it is asked for."""

import sys
from typing import Any

import click

from scada import __version__
from scada.cli.lazy import LazyGroup
from scada.errors import ScadaError

COMMANDS = {
    "balance": "scada.cli.balances:balance",
    "bench": "scada.cli.bench:bench",
    "check": "scada.cli.check:check",
    "collection": "scada.cli.collection:collection",
    "concentrator": "scada.cli.concentrator:concentrator",
    "demo": "scada.cli.demo:demo",
    "dial": "scada.cli.dial:dial",
    "dispatch": "scada.cli.dispatch:dispatch",
    "firmware": "scada.cli.firmware:firmware",
    "historian": "scada.cli.historian:historian",
    "keys": "scada.cli.keys:keys",
    "read": "scada.cli.read:read",
    "read-now": "scada.cli.read_now:read_now",
    "run": "scada.cli.run:run",
    "simulate": "scada.simulate.cli:simulate",
    "site": "scada.cli.life:site",
    "status": "scada.cli.status:status",
    "sums": "scada.cli.sums:sums",
    "supply": "scada.cli.supply:supply",
    "users": "scada.cli.users:users",
    "walkby": "scada.cli.walkby:walkby",
}


class Scada(LazyGroup):
    """`scada check` does not pay for the whole server."""

    COMMANDS = COMMANDS

    def invoke(self, ctx: click.Context) -> Any:
        """Our own errors are sentences for people, never tracebacks."""
        try:
            return super().invoke(ctx)
        except ScadaError as error:
            from scada.cli.output import tell

            sys.exit(tell(error))
        except BrokenPipeError:
            raise                       # click's own: whoever read us has enough
        except OSError as error:
            # A file that cannot be used is a person's business wherever it is met; errno and name say it all.
            click.echo(f"error: {error.filename or 'system'}: {error.strerror or error}", err=True)
            sys.exit(1)


@click.group(cls=Scada, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="scada")
def main() -> None:
    """SCADA-style integration server for electricity distribution and utility metering."""
