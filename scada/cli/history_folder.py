"""The folder of history that a configuration names, and the progress bar of those who read all of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from scada.cli.read import history_dir
from scada.errors import StartError
from scada.settings import Settings


def folder(settings: Settings) -> Path:
    directory = history_dir(settings)
    if not directory.is_dir():
        raise StartError("historian", f"{directory} holds no history")
    return directory


def spools(settings: Settings) -> list[Path]:
    return [settings.path(one.spool_dir, "spool") / f"{one.name}.sqlite" for one in settings.historian.influx]


@contextmanager
def bar(what: str, total: float, column: Any) -> Iterator[Callable[[str, float], None]]:
    """A bar, on stderr, where somebody sees it, with the file that is being read."""
    columns = (TextColumn("{task.description}"), BarColumn(), column, TextColumn("{task.fields[file]}", markup=False))
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total, file="")

        def advance(name: str, done: float) -> None:
            progress.update(task, advance=done, file=name)

        yield advance
