"""A group of commands of which each is imported only when it is asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import ClassVar

import click


class LazyGroup(click.Group):
    """`COMMANDS`: where each command is, as "module:attribute"."""

    COMMANDS: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.COMMANDS:
            return None
        module, attribute = self.COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command
