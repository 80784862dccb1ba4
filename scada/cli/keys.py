"""`scada keys`: the link keys of concentrators, in the encrypted key store. A key is never shown."""

import json
import os
import secrets
from pathlib import Path

import click

from scada.cli.output import print_json, print_table
from scada.drivers.dmesh.keystore import KeyStore
from scada.errors import ConfigError, Problem
from scada.lock import private_directory, private_files
from scada.settings import load

LINK_DIGITS, KEY_DIGITS = 8, 32


@click.group()
def keys() -> None:
    """Keys of concentrators. Changes take effect at the concentrator's next dial-in, also while the server runs."""


def store_of(config: Path) -> KeyStore:
    from scada.app import key_files

    private_files()
    settings = load(config)
    private_directory(settings.data_dir)
    return KeyStore.open(*key_files(settings))


@keys.command(name="list")
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def list_(config: Path, as_json: bool) -> None:
    """The link ids that have a key."""
    names = list(store_of(config).names())
    print_json(names) if as_json else print_table("keys", ("holder",), [(name,) for name in names])


@keys.command()
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.argument("link_id")
@click.option("--out", required=True, type=click.Path(path_type=Path),
              help="New file (0600) that takes the key to the concentrator; it is shown nowhere else.")
@click.option("--replace", is_flag=True, help="The concentrator has a key already: it is not taken any more.")
def add(config: Path, link_id: str, out: Path, replace: bool) -> None:
    """Make a new key for the concentrator LINK_ID (8 hex digits)."""
    number = parse_hex(link_id, LINK_DIGITS, "argument", "LINK_ID")
    store = store_of(config)
    if f"link {number.hex()}" in store.names() and not replace:
        found = f"{link_id} has a key; expected --replace if its concentrator gets the new one"
        raise ConfigError([Problem("argument", "LINK_ID", found)])
    key = secrets.token_bytes(KEY_DIGITS // 2)
    write_key(out, json.dumps({link_id: key.hex()}))      # first: a key that reached nobody locks a concentrator out
    try:
        store.add_link(int.from_bytes(number, "big"), key)
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    click.echo(f"{link_id}: key stored, and written to {out}")


def write_key(path: Path, text: str) -> None:
    """A new file for its owner alone; an existing one may be the only copy of another key."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(text + "\n")
    except FileExistsError:
        raise ConfigError([Problem(str(path), "", "is there already; expected the name of a new file")]) from None
    except OSError as error:
        raise ConfigError([Problem(str(path), "", f"cannot be written: {error.strerror}")]) from None


@keys.command(name="import")
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def import_(config: Path, file: Path) -> None:
    """Take the keys in FILE (JSON: link id → key, both hex), all or none."""
    try:
        given = json.loads(file.read_text(encoding="ascii"))
    except OSError as error:
        raise ConfigError([Problem(str(file), "", f"cannot be read: {error.strerror}")]) from None
    except ValueError as error:
        raise ConfigError([Problem(str(file), "", f"not JSON: {error}")]) from None
    if not isinstance(given, dict):
        raise ConfigError([Problem(str(file), "", "expected an object of link ids and keys")])
    parsed: list[tuple[int, bytes]] = []
    problems: list[Problem] = []
    for link_id, key in given.items():
        try:
            number = parse_hex(link_id, LINK_DIGITS, str(file), str(link_id))
            parsed.append((int.from_bytes(number, "big"), parse_hex(key, KEY_DIGITS, str(file), f"{link_id} (key)")))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    store = store_of(config)
    for link, secret in parsed:
        store.add_link(link, secret)
    click.echo(f"{file}: {len(parsed)} key(s) stored")


def parse_hex(text: object, digits: int, where: str, key: str) -> bytes:
    """Bytes of a hex string of exactly `digits`; the error never repeats what might be a secret."""
    if isinstance(text, str) and len(text) == digits:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    raise ConfigError([Problem(where, key, f"expected {digits} hex digits")])
