"""`scada status`: how a running server is, part by part."""

from pathlib import Path

import click

from scada.cli.client import Api
from scada.cli.output import print_json, print_table
from scada.cli.periods import utc


@click.command()
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def status(config: Path, as_json: bool) -> None:
    """Show the state of every part of the server that runs with CONFIG; exit status 1 if a part is not well."""
    said = Api.of(config).get("/healthz")
    if as_json:
        print_json(said)
    else:
        rows = [
            (
                part["part"],
                "ok" if part["ok"] else "NOT WELL",
                part["text"],
                ", ".join(f"{name} {value:g}" for name, value in part.get("figures", {}).items()),
            )
            for part in said["parts"]
        ]
        title = f"{said['site']}, site time {utc(said['site_time_ms'] // 1000)}"
        print_table(title, ("part", "state", "what", "figures"), rows)
    if not said["ok"]:
        raise SystemExit(1)
