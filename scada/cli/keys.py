"""`scada keys`: the keys of concentrators and modules, in the encrypted key store. A key is never shown."""

import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Final

import click

from scada.cli.output import print_json, print_table
from scada.cli.site import person, registry_of
from scada.drivers.dmesh import backup
from scada.drivers.dmesh.group_keys import state_of
from scada.drivers.dmesh.key_ledger import FILE as LEDGER
from scada.drivers.dmesh.key_ledger import KeyLedger
from scada.drivers.dmesh.keystore import Holder, KeyStore, name_of
from scada.drivers.dmesh.numbers import KeyTarget
from scada.errors import ConfigError, Problem
from scada.lock import private_directory, private_files
from scada.settings import load

LINK_DIGITS: Final = 8
MODULE_DIGITS: Final = 16
KEY_DIGITS: Final = 32
NAMED: Final = 10                       # members without the key that are named in the table
CONFIG = click.argument("config", type=click.Path(path_type=Path, exists=True))
REPLACE = click.option("--replace", is_flag=True, help="The concentrator has a key already: it is not taken any more.")


@click.group()
def keys() -> None:
    """Keys of concentrators, modules and groups. A running server takes up every change within seconds."""


def store_of(config: Path) -> KeyStore:
    from scada.app import key_files

    private_files()
    settings = load(config)
    private_directory(settings.data_dir)
    return KeyStore.open(*key_files(settings))


def audited(config: Path, action: str, *holders: str) -> None:
    """Whose keys were changed, by whom; never the keys."""
    with registry_of(config) as database:
        for holder in holders:
            database.audit.append_now(person(), f"keys.{action}", holder)


@keys.command(name="list")
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def list_(config: Path, as_json: bool) -> None:
    """Who has a key, which one by its number, and how far a change of it has come."""
    store = store_of(config)
    rows = [
        {
            "holder": name_of(holder), "number": ring.active.number if ring.active else None,
            "new": ring.new.number if ring.new else None, "state": ring.state, "old_until": ring.until,
        }
        for holder, ring in store.rings().items()
    ]
    rows += [
        {"holder": f"group {number} epoch {epoch}", "number": epoch, "new": None, "state": "active", "old_until": None}
        for number, epoch in store.groups()
    ]
    if as_json:
        print_json(rows)
        return
    cells = [["" if value is None else str(value) for value in row.values()] for row in rows]
    print_table("keys", ("holder", "key", "new key", "state", "key before until (UTC s)"), cells)


@keys.command()
@CONFIG
@click.argument("groups", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def status(config: Path, groups: tuple[str, ...], as_json: bool) -> None:
    """How far the keys of GROUPS (names of load groups; all without) have come to their members, and who lacks them."""
    settings = load(config)
    ledger = KeyLedger(settings.path(None, LEDGER))
    with registry_of(config) as database:
        directory = database.directory(database.load())
    if unknown := [one for one in groups if one not in directory.load_group]:
        raise ConfigError([Problem("argument", "GROUPS", f"no load group {', '.join(unknown)}; expected names")])
    ledger.open(read_only=True)
    wanted = [one for one in directory.site.load_groups if not groups or one.name in groups]
    states = [state_of(directory, one, ledger.held, ledger.in_use) for one in wanted]
    ledger.close()
    named = directory.module_of_eui
    rows = [
        {
            "group": state.group, "epoch": state.epoch, "concentrator": share.concentrator, "in_use": share.in_use,
            "held": share.held, "members": share.members, "missing": [named[eui].name for eui in share.missing],
        }
        for state in states for share in state.shares
    ]
    if as_json:
        print_json(rows)
        return
    cells = [
        (state.group, str(state.epoch), share.concentrator, str(share.in_use or "-"), f"{share.held} of {share.members}",
         _some([named[eui].name for eui in share.missing]))
        for state in states for share in state.shares
    ]
    print_table("group keys", ("group", "epoch", "concentrator", "in use", "hold it", "lack it"), cells)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


@keys.command()
@CONFIG
@click.argument("holder")
@click.option("--out", required=True, type=click.Path(path_type=Path),
              help="New file (0600) that takes the key to its holder; it is shown nowhere else.")
@REPLACE
def add(config: Path, holder: str, out: Path, replace: bool) -> None:
    """Make a new key for HOLDER (link id of a concentrator, 8 hex digits, or EUI of a module, 16), to be carried there."""
    whose = parse_holder(holder, "argument", "HOLDER")
    store = store_of(config)
    if store.ring(whose) is not None and not replace:
        found = f"{holder} has a key; expected --replace if it gets the new one"
        raise ConfigError([Problem("argument", "HOLDER", found)])
    key = secrets.token_bytes(KEY_DIGITS // 2)
    write_new(out, json.dumps({holder: key.hex()}).encode() + b"\n")   # first: one that reached nobody locks its holder out
    try:
        store.add([(whose, key)])
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    audited(config, "add", name_of(whose))
    click.echo(f"{holder}: key stored, and written to {out}")


@keys.command()
@CONFIG
@click.argument("holders", nargs=-1)
@click.option("--all-links", is_flag=True, help="Every concentrator that has a key and no change under way.")
def rotate(config: Path, holders: tuple[str, ...], all_links: bool) -> None:
    """Lay up new keys for HOLDERS (link ids or EUIs); the server takes them there, at once or at the next session."""
    store = store_of(config)
    whose = [parse_holder(one, "argument", "HOLDERS") for one in dict.fromkeys(holders)]
    if all_links:
        rings = store.rings().items()
        whose += [one for one, ring in rings if one[0] is KeyTarget.LINK and ring.new is None and one not in whose]
    if not whose:
        raise ConfigError([Problem("argument", "HOLDERS", "nobody is named; expected link ids, EUIs or --all-links")])
    store.begin(whose, int(time.time()))
    audited(config, "rotate", *map(name_of, whose))
    click.echo(f"{len(whose)} new key(s) laid up; `scada keys list` shows how far they have come")


@keys.command()
@CONFIG
@click.argument("holder")
@click.option("--old", is_flag=True, help="Only the key before, whose grace has not passed yet.")
def revoke(config: Path, holder: str, old: bool) -> None:
    """Forget the keys of HOLDER: a link id, an EUI, or group:NUMBER:EPOCH (its next command makes another key)."""
    store = store_of(config)
    if holder.startswith("group:"):
        number, epoch = _group(holder)
        found, name = store.revoke_group(number, epoch), f"group {number} epoch {epoch}"
    else:
        whose = parse_holder(holder, "argument", "HOLDER")
        name, ring = name_of(whose), store.ring(whose)
        if old and ring is not None and ring.old is not None and ring.until is None:
            said = f"{name}: its new key has not proven itself yet; expected a session under it first"
            raise ConfigError([Problem("argument", "HOLDER", said)])
        found = ring is not None and (not old or ring.old is not None)
        if found and old:
            store.change(whose, lambda held: held.without_old() if held.until is not None else None)
        elif found:
            store.revoke(whose)
    if not found:
        raise ConfigError([Problem("argument", "HOLDER", f"{name} has no such key; expected one of `scada keys list`")])
    audited(config, "revoke", name)
    click.echo(f"{name}: {'key before ' if old else ''}revoked")


@keys.command(name="import")
@CONFIG
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def import_(config: Path, file: Path) -> None:
    """Take the keys in FILE (JSON: link id or EUI → key, all hex), all or none."""
    try:
        given = json.loads(file.read_text(encoding="ascii"))
    except OSError as error:
        raise ConfigError([Problem(str(file), "", f"cannot be read: {error.strerror}")]) from None
    except ValueError as error:
        raise ConfigError([Problem(str(file), "", f"not JSON: {error}")]) from None
    if not isinstance(given, dict):
        raise ConfigError([Problem(str(file), "", "expected an object of link ids and keys")])
    parsed: list[tuple[Holder, bytes]] = []
    problems: list[Problem] = []
    for holder, key in given.items():
        try:
            whose = parse_holder(holder, str(file), str(holder))
            parsed.append((whose, parse_hex(key, KEY_DIGITS, str(file), f"{holder} (key)")))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    store_of(config).add(parsed)
    audited(config, "import", *(name_of(whose) for whose, _ in parsed))
    click.echo(f"{file}: {len(parsed)} key(s) stored")


@keys.command(name="backup")
@CONFIG
@click.option("--out", required=True, type=click.Path(path_type=Path), help="New file (0600) for the backup.")
def backup_(config: Path, out: Path) -> None:
    """Write all keys to a file that a passphrase opens (asked for, or the first line of standard input)."""
    store = store_of(config)
    write_new(out, backup.sealed(store.exported(), passphrase(confirm=True)))
    audited(config, "backup", str(out))
    click.echo(f"{out}: {len(store.names())} key(s)")


@keys.command()
@CONFIG
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option("--replace", is_flag=True, help="Lose the keys that are here already.")
def restore(config: Path, file: Path, replace: bool) -> None:
    """Take over all keys of a backup, on this or another server; the server they come from must not run any more."""
    from scada.cli.run import make_clock

    store = store_of(config)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError([Problem(str(file), "", f"cannot be read: {error.strerror}")]) from None
    raw = backup.opened(data, passphrase(confirm=False), str(file))
    count = store.restore(raw, make_clock(config, load(config)).seconds(), replace=replace)
    audited(config, "restore", str(file))
    click.echo(f"{file}: {count} key(s) restored; command counters begin ahead of all that were given out")


def passphrase(*, confirm: bool) -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm))
    return sys.stdin.readline().rstrip("\r\n")


def write_new(path: Path, data: bytes) -> None:
    """A new file for its owner alone, durable; an existing one may be the only copy of another key."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise ConfigError([Problem(str(path), "", "is there already; expected the name of a new file")]) from None
    except OSError as error:
        raise ConfigError([Problem(str(path), "", f"cannot be written: {error.strerror}")]) from None


def parse_holder(text: str, where: str, key: str) -> Holder:
    """A link id or an EUI, told apart by their length."""
    if len(text) == MODULE_DIGITS:
        return KeyTarget.MODULE, int.from_bytes(parse_hex(text, MODULE_DIGITS, where, key), "big")
    return KeyTarget.LINK, int.from_bytes(parse_hex(text, LINK_DIGITS, where, key), "big")


def parse_hex(text: object, digits: int, where: str, key: str) -> bytes:
    """Bytes of a hex string of exactly `digits`; the error never repeats what might be a secret."""
    if isinstance(text, str) and len(text) == digits:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    raise ConfigError([Problem(where, key, f"expected {digits} hex digits")])


def _group(text: str) -> tuple[int, int]:
    _, number, epoch = (*text.split(":"), "", "")[:3]
    if not number.isdigit() or not epoch.isdigit():
        raise ConfigError([Problem("argument", "HOLDER", f"{text}: expected group:NUMBER:EPOCH, e.g. group:3:1")])
    return int(number), int(epoch)
