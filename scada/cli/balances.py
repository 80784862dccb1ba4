"""`scada balance`: a group's balance, and what else is worked out of balances; each a module of its own."""

from typing import Final

import click

from scada.cli.lazy import LazyGroup

OWN: Final = "show"
COMMANDS: Final = {
    "cases": "scada.cli.cases:cases",
    "fit": "scada.cli.form_fit:fit",
    "kept-leaks": "scada.cli.kept_leaks:kept_leaks",
    "leaks": "scada.cli.leaks:leaks",
    "losses": "scada.cli.losses:losses",
    "orders": "scada.cli.orders:orders",
    "phases": "scada.cli.phases:phases",
    "voltage": "scada.cli.voltage:voltage",
    "recalibration": "scada.cli.recalibration:recalibration",
    OWN: "scada.cli.balance:balance",
    "simultaneity": "scada.cli.simultaneity:simultaneity",
    "suspects": "scada.cli.suspects:suspects",
}


class Balance(LazyGroup):
    """What begins with none of its words is what it was before there were any: CONFIG and GROUP."""

    COMMANDS = COMMANDS

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in COMMANDS and args[0] not in ctx.help_option_names:
            args = [OWN, *args]
        return super().parse_args(ctx, args)


@click.group(cls=Balance)
def balance() -> None:
    """
    Balances of groups, technical losses of networks, phases of consumers, and who may be behind the rest.

    `scada balance CONFIG GROUP` is `scada balance show CONFIG GROUP`.
    """
