"""`scada site install`: meters put into service by a CSV file, line by line, with their photos."""

import json
from pathlib import Path
from typing import Any, Final

import attrs
import click

from scada import settings as configuration
from scada.cli.site import AS_JSON, CONFIG, person, registry_of, site
from scada.dial import Installation
from scada.dial_file import read_installations
from scada.dials.photos import PhotoStore
from scada.dials.service import FOLDER
from scada.errors import CommandRejected, ConfigError, Problem
from scada.registry.exchange import text_of

REFUSED: Final = 3                      # exit status: some lines were refused


@site.command("install")
@CONFIG
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--photos", type=click.Path(file_okay=False, path_type=Path),
              help="Folder of the photos that FILE names.  [default: that of FILE]")
@AS_JSON
def install(config: Path, file: Path, photos: Path | None, as_json: bool) -> None:
    """
    Put the meters of FILE into service, as the installer's page does.

    CSV with the columns eui, serial, constant, dial, time, and if wanted channel, medium, point, photo and key. A file
    with lines that cannot be read changes nothing; a line that is refused is named, and the others are done. The same
    file again does nothing twice.
    """
    with registry_of(config) as database:
        wishes, problems = read_installations(text_of(file), str(file))
        folder = photos or file.parent
        problems += [
            Problem(str(file), f"line {line}", f"no photo {one.photo} in {folder}", line)
            for line, one in wishes if one.photo and not _photo(folder, one.photo).is_file()
        ]
        if problems:
            raise ConfigError(problems)
        loaded = configuration.load(config)
        store = PhotoStore(loaded.data_dir / FOLDER, loaded.dials.photos_mb << 20)
        done: list[dict[str, Any]] = []
        refused: list[Problem] = []
        for line, wish in wishes:
            try:
                _, made = database.install(person(), _with_photo(wish, folder, store))
            except CommandRejected as error:
                refused += [Problem(str(file), f"line {line}", reason, line) for reason in error.reasons]
                continue
            done.append({
                "line": line, "module": made.module.name, "state": made.module.state, "point": made.period.point,
                "serial": made.period.serial, "again": made.again,
            })
    if as_json:
        click.echo(json.dumps({"installed": done, "refused": [str(one) for one in refused]}))
    else:
        new = sum(not one["again"] for one in done)
        click.echo(f"{new} meters installed, {len(done) - new} were installed already, {len(refused)} refusals")
        for problem in refused:
            click.echo(f"error: {problem}", err=True)
    if refused:
        raise SystemExit(REFUSED)


def _photo(folder: Path, name: str) -> Path:
    """A file of the folder itself: a name with a path in it names nothing."""
    return folder / (name if Path(name).name == name else "-")


def _with_photo(wish: Installation, folder: Path, store: PhotoStore) -> Installation:
    if not wish.photo:
        return wish
    return attrs.evolve(wish, photo=store.keep(_photo(folder, wish.photo).read_bytes()))
