"""The key store: encrypted, durable, shared with the command line, and it never shows a key."""

import fcntl
import os
import threading
from pathlib import Path

import pytest

from scada.drivers.dmesh.keystore import KeyStore
from scada.drivers.dmesh.vault import FileVault
from scada.errors import ConfigError, StorageError

KEY = bytes(range(16))


def store(folder: Path) -> KeyStore:
    return KeyStore.open(folder / "keys.store", folder / "master.key")


def test_a_first_start_makes_the_master_key_for_its_owner_alone(tmp_path: Path) -> None:
    """0600, 64 hex digits; the store itself as well."""
    store(tmp_path).add_link(1, KEY)

    for name in ("master.key", "keys.store"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert len((tmp_path / "master.key").read_text().strip()) == 64


def test_keys_survive_and_are_nowhere_in_the_clear(tmp_path: Path) -> None:
    """Opened again it holds the same; the file shows neither key nor link id."""
    one = store(tmp_path)
    one.add_link(0x00010203, KEY)
    group = one.group_key(3, 1)
    again = store(tmp_path)

    assert again.link_key(0x00010203) == KEY
    assert again.group_key(3, 1) == group
    assert KEY not in (tmp_path / "keys.store").read_bytes()
    assert again.names() == ("link 00010203", "group 3 epoch 1")


def test_a_group_key_is_new_in_every_epoch_and_the_same_within_one(tmp_path: Path) -> None:
    """Who left the group must not be able to command it."""
    one = store(tmp_path)

    assert one.group_key(3, 1) == one.group_key(3, 1)
    assert one.group_key(3, 1) != one.group_key(3, 2)


def test_a_key_added_by_another_process_is_seen_at_the_next_dial_in(tmp_path: Path) -> None:
    """`scada keys add` while the server runs; and neither overwrites what the other wrote."""
    server, cli = store(tmp_path), store(tmp_path)
    unknown = server.link_key(5)
    cli.add_link(5, KEY)
    server.group_key(1, 1)
    cli.add_link(6, KEY)

    assert unknown is None
    assert server.link_key(5) == server.link_key(6) == KEY
    assert "group 1 epoch 1" in cli.names()


def test_a_random_key_is_made_where_none_is_given(tmp_path: Path) -> None:
    """And handed back once, to be put into the concentrator."""
    one = store(tmp_path)

    assert len(one.add_link(1)) == 16
    assert one.add_link(1) != one.add_link(1)


def test_another_master_key_is_refused_in_a_plain_sentence(tmp_path: Path) -> None:
    """Not with nonsense keys."""
    store(tmp_path).add_link(1, KEY)
    (tmp_path / "master.key").write_text("00" * 32)

    with pytest.raises(ConfigError, match="does not open with this master key"):
        store(tmp_path)


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    """One bit anywhere is noticed."""
    store(tmp_path).add_link(1, KEY)
    path = tmp_path / "keys.store"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))

    with pytest.raises(ConfigError, match="damaged"):
        store(tmp_path)


def test_a_lost_master_key_is_not_silently_replaced(tmp_path: Path) -> None:
    """A new one would lock every concentrator out."""
    store(tmp_path).add_link(1, KEY)
    (tmp_path / "master.key").unlink()

    with pytest.raises(ConfigError, match="expected the master key"):
        store(tmp_path)


def test_a_master_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """0644 is not a secret."""
    store(tmp_path)
    os.chmod(tmp_path / "master.key", 0o644)

    with pytest.raises(ConfigError, match="0600"):
        store(tmp_path)


def test_the_environment_overrides_the_master_key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SCADA_MASTER_KEY in hex; no file is made then. A bad value is refused without being repeated."""
    monkeypatch.setenv("SCADA_MASTER_KEY", "11" * 32)
    store(tmp_path).add_link(1, KEY)
    made = (tmp_path / "master.key").exists()
    monkeypatch.setenv("SCADA_MASTER_KEY", "secret-but-wrong")

    assert not made
    with pytest.raises(ConfigError, match="64 hex digits") as caught:
        store(tmp_path)
    assert "secret-but-wrong" not in str(caught.value)


def test_command_counters_only_grow(tmp_path: Path) -> None:
    """Within a second, across restarts, and when the clock went back."""
    one = store(tmp_path)
    first = [one.next_counter(1000) for _ in range(3)]
    again = store(tmp_path)
    later = [again.next_counter(900), again.next_counter(1000), again.next_counter(5000)]

    assert first[0] >= 1000 << 16
    assert first + later == sorted(set(first + later))
    assert later[-1] == 5000 << 16


def test_a_store_restored_from_a_backup_still_grows(tmp_path: Path) -> None:
    """Time stands in the upper bits."""
    backup = (store(tmp_path).next_counter(1000), (tmp_path / "keys.store").read_bytes())[1]
    used = store(tmp_path).next_counter(2000)
    (tmp_path / "keys.store").write_bytes(backup)

    assert store(tmp_path).next_counter(2061) > used


def test_nothing_secret_stands_in_its_repr(tmp_path: Path) -> None:
    """Log lines show reprs."""
    one = store(tmp_path)
    one.add_link(1, KEY)

    assert repr(KEY) not in repr(one) + repr(vars(one))
    assert KEY.hex() not in repr(vars(one))


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """A folder that is a file: StorageError, and the key is not there afterwards either."""
    one = store(tmp_path)
    one._vault = FileVault(tmp_path / "master.key" / "keys.store")

    with pytest.raises(StorageError, match="cannot be written"):
        one.add_link(1, KEY)


def test_a_link_key_is_answered_while_somebody_writes(tmp_path: Path) -> None:
    """The loop asks for it at every dial-in; a writer holds the lock over the disk's sync, or waits for another process."""
    one = store(tmp_path)
    one.add_link(1, KEY)
    with open(tmp_path / "keys.lock", "a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)                    # another process is at it
        writer = threading.Thread(target=one.next_counter, args=(1_772_459_040,))
        writer.start()
        asked = threading.Event()
        reader = threading.Thread(target=lambda: one.link_key(1) == KEY and asked.set())
        reader.start()
        answered, waits = asked.wait(10.0), writer.is_alive()
    writer.join()
    reader.join()

    assert answered
    assert waits


def test_a_reader_that_puts_back_an_older_content_costs_no_key(tmp_path: Path) -> None:
    """The loop reads without the lock and may hold what was true a moment ago; who writes goes by the file."""
    one = store(tmp_path)
    stale = one._held
    first = one.group_key(1, 1)
    one._held = stale                                       # a reader that was overtaken by this write
    one.group_key(2, 1)

    assert store(tmp_path).group_key(1, 1) == first
