"""`scada keys`: keys go in, names come out, secrets never show."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scada.cli import main

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
