"""`scada keys`: keys go in, names come out, secrets never show."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from scada.cli.site import registry_of
from scada.drivers.dmesh.keystore import KeyStore

SECRET = "00112233445566778899aabbccddeeff"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "scada.yaml"
    path.write_text("site: {name: North}\n", encoding="utf-8")
    return path


def keys(*words: str) -> Result:
    return CliRunner().invoke(main, ["keys", *words])


def test_imported_keys_are_listed_by_holder_and_never_shown(config: Path) -> None:
    """Neither the list nor the store on disk contains the key."""
    file = config.parent / "keys.json"
    file.write_text(json.dumps({"00010203": SECRET}), encoding="ascii")
    done = keys("import", str(config), str(file))
    listed = keys("list", str(config), "--json")

    assert done.exit_code == 0, done.output
    assert "00010203" in listed.output
    for said in (done.output, listed.output):
        assert SECRET not in said
    for stored in (config.parent / "data").rglob("*"):
        assert SECRET.encode() not in stored.read_bytes()
        assert bytes.fromhex(SECRET) not in stored.read_bytes()
        assert stored.stat().st_mode & 0o077 == 0


def test_a_bad_file_names_every_bad_line_and_stores_nothing(config: Path) -> None:
    """All problems at once; what might be a secret is not repeated."""
    file = config.parent / "keys.json"
    file.write_text(json.dumps({"00010203": SECRET, "xyz": SECRET, "00010204": "short-secret"}), encoding="ascii")
    done = keys("import", str(config), str(file))

    assert done.exit_code == 2
    assert "xyz: expected 8 hex digits" in done.stderr
    assert "00010204 (key): expected 32 hex digits" in done.stderr
    assert "short-secret" not in done.output + done.stderr
    assert "00010203" not in keys("list", str(config), "--json").output


def test_a_new_key_is_written_for_the_concentrator_alone(config: Path) -> None:
    """Mode 0600, and never over an existing file."""
    out = config.parent / "key.json"
    done = keys("add", str(config), "0000abcd", "--out", str(out))

    assert done.exit_code == 0, done.output
    assert out.stat().st_mode & 0o777 == 0o600
    assert len(json.loads(out.read_text())["0000abcd"]) == 32


def test_a_key_that_cannot_be_handed_over_is_not_stored(config: Path, tmp_path: Path) -> None:
    """A file that exists, a folder that does not: a sentence, and the store is as it was."""
    taken = tmp_path / "taken.json"
    taken.write_text("another key", encoding="ascii")
    over = keys("add", str(config), "0000abcd", "--out", str(taken))
    nowhere = keys("add", str(config), "0000abcd", "--out", str(tmp_path / "no" / "key.json"))

    assert (over.exit_code, nowhere.exit_code) == (2, 2)
    assert "is there already; expected the name of a new file" in over.stderr
    assert "cannot be written: No such file or directory" in nowhere.stderr
    assert taken.read_text(encoding="ascii") == "another key"
    assert keys("list", str(config), "--json").output == "[]\n"


def test_a_key_in_use_is_replaced_only_on_demand(config: Path, tmp_path: Path) -> None:
    """Or a slip of the finger would lock a concentrator out."""
    keys("add", str(config), "0000abcd", "--out", str(tmp_path / "first.json"))
    again = keys("add", str(config), "0000ABCD", "--out", str(tmp_path / "second.json"))
    wanted = keys("add", str(config), "0000ABCD", "--out", str(tmp_path / "third.json"), "--replace")

    assert again.exit_code == 2
    assert "0000ABCD has a key; expected --replace" in again.stderr
    assert not (tmp_path / "second.json").exists()
    assert wanted.exit_code == 0, wanted.output


def test_a_folder_is_no_key_file(config: Path) -> None:
    """A sentence, no traceback."""
    done = keys("import", str(config), str(config.parent))

    assert done.exit_code == 2
    assert "cannot be read: Is a directory" in done.stderr


def test_the_data_directory_is_private_from_the_first_command_on(config: Path) -> None:
    """Keys or accounts may be entered before the server ever ran."""
    listed = CliRunner().invoke(main, ["users", "list", str(config)])

    assert listed.exit_code == 0, listed.output
    assert (config.parent / "data").stat().st_mode & 0o777 == 0o700


def test_a_data_directory_that_cannot_be_is_told_in_a_sentence(config: Path) -> None:
    """No traceback."""
    config.write_text("site: {name: North}\ndata_dir: /proc/nowhere\n", encoding="utf-8")
    done = keys("list", str(config))

    assert done.exit_code == 1
    assert "error: data directory: /proc/nowhere: No such file or directory (check data_dir and its owner)" in done.stderr


def backed_up(config: Path, passphrase: str = "a long passphrase") -> Path:
    out = config.parent / "keys.backup"
    done = CliRunner().invoke(main, ["keys", "backup", str(config), "--out", str(out)], input=passphrase + "\n")
    assert done.exit_code == 0, done.output + done.stderr
    return out


def second_server(tmp_path: Path) -> Path:
    path = tmp_path / "second" / "scada.yaml"
    path.parent.mkdir()
    path.write_text("site: {name: North}\n", encoding="utf-8")
    return path


def opened(config: Path) -> KeyStore:
    return KeyStore.open(config.parent / "data" / "keys.store", config.parent / "data" / "master.key")


def test_a_change_of_keys_is_laid_up_once_and_seen_in_the_list(config: Path, tmp_path: Path) -> None:
    """The server carries it out; a second one before that is refused, and so is one for a stranger."""
    keys("add", str(config), "0000abcd", "--out", str(tmp_path / "key.json"))
    done = keys("rotate", str(config), "--all-links")
    again = keys("rotate", str(config), "0000abcd")
    stranger = keys("rotate", str(config), "00000001")
    nobody = keys("rotate", str(config))
    (row,) = json.loads(keys("list", str(config), "--json").output)

    assert done.exit_code == 0, done.stderr
    assert row["state"] == "new key waits"
    assert row["new"] > row["number"] == 0
    assert "under way already" in again.stderr
    assert "has no key" in stranger.stderr
    assert "expected link ids, EUIs or --all-links" in nobody.stderr


def test_a_revoked_key_is_gone_and_the_audit_names_the_deed(config: Path, tmp_path: Path) -> None:
    """Link, module and group; what is not there is told in a sentence."""
    keys("add", str(config), "0000abcd", "--out", str(tmp_path / "key.json"))
    keys("add", str(config), "00124b0000000001", "--out", str(tmp_path / "module.json"))
    opened(config).group_key(3, 1)
    done = [keys("revoke", str(config), one).exit_code for one in ("0000abcd", "00124b0000000001", "group:3:1")]
    missing, odd = keys("revoke", str(config), "0000abcd"), keys("revoke", str(config), "group:x")
    with registry_of(config) as database:
        rows = [(row.action, row.target) for row in database.audit.page()]

    assert done == [0, 0, 0]
    assert keys("list", str(config), "--json").output == "[]\n"
    assert "has no such key" in missing.stderr
    assert "expected group:NUMBER:EPOCH" in odd.stderr
    assert rows[:3] == [
        ("keys.revoke", "group 3 epoch 1"), ("keys.revoke", "module 00124b0000000001"), ("keys.revoke", "link 0000abcd")
    ]
    assert ("keys.add", "link 0000abcd") in rows


def test_a_second_server_takes_over_all_keys_and_uses_no_counter_again(config: Path, tmp_path: Path) -> None:
    """Though the first went on after the backup, with a clock that was half an hour ahead."""
    keys("add", str(config), "0000abcd", "--out", str(tmp_path / "key.json"))
    first = opened(config)
    group = first.group_key(3, 1)
    copy = backed_up(config)
    used = first.next_counter(int(time.time()) + 1800)
    second = second_server(tmp_path)
    done = CliRunner().invoke(main, ["keys", "restore", str(second), str(copy)], input="a long passphrase\n")
    store = opened(second)

    assert done.exit_code == 0, done.stderr
    assert copy.stat().st_mode & 0o777 == 0o600
    assert (first.link_key(0xABCD) or b"none") not in copy.read_bytes()
    assert store.names() == first.names()
    assert store.link_key(0xABCD) == first.link_key(0xABCD)
    assert store.group_key(3, 1) == group
    assert store.next_counter(int(time.time())) > used


def test_a_backup_opens_only_whole_and_with_its_passphrase(config: Path, tmp_path: Path) -> None:
    """And does not push out keys that are there, unless told to."""
    keys("add", str(config), "0000abcd", "--out", str(tmp_path / "key.json"))
    short = CliRunner().invoke(main, ["keys", "backup", str(config), "--out", str(tmp_path / "x")], input="short\n")
    copy = backed_up(config)
    second = second_server(tmp_path)

    def restore(target: Path, words: str, *more: str) -> Result:
        return CliRunner().invoke(main, ["keys", "restore", str(target), str(copy), *more], input=words + "\n")

    wrong, occupied = restore(second, "another passphrase"), restore(config, "a long passphrase")
    wanted = restore(config, "a long passphrase", "--replace")
    copy.write_bytes(copy.read_bytes()[:-1])
    cut = restore(second, "a long passphrase")
    copy.write_bytes(b"something else")
    odd = restore(second, "a long passphrase")

    assert "expected 12 characters or more" in short.stderr
    assert "does not open with this passphrase" in wrong.stderr
    assert "expected --replace" in occupied.stderr
    assert wanted.exit_code == 0, wanted.stderr
    assert "or it is damaged" in cut.stderr
    assert "expected a file of `scada keys backup`" in odd.stderr
    assert not (tmp_path / "x").exists()
    assert keys("list", str(second), "--json").output == "[]\n"
