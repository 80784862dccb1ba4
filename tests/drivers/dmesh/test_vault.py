"""What every backend of the key store must do: one suite, run against the file and against a table."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scada.drivers.dmesh.keystore import KeyStore
from scada.drivers.dmesh.vault import FileVault, Vault
from scada.errors import StorageError
from tests.drivers.dmesh.vaults import TableVault

Open = Callable[[], Vault]
KEY = bytes(range(16))


@pytest.fixture(params=["file", "table"])
def again(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same content once more, as another process would."""
    if request.param == "file":
        return lambda: FileVault(tmp_path / "keys.store")
    return lambda: TableVault(tmp_path / "keys.sqlite")


def put(vault: Vault, data: bytes) -> None:
    with vault.alone():
        vault.replace(data)


def test_an_empty_vault_says_so_and_has_a_name_for_people(again: Open) -> None:
    vault = again()

    assert (vault.stamp(), vault.read()) == (None, None)
    assert "keys" in vault.name


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(st.binary(min_size=1, max_size=4096))
def test_what_is_replaced_is_read_whole_by_everybody(again: Open, data: bytes) -> None:
    """Any bytes, and by who opens it later."""
    put(again(), data)

    assert again().read() == data


def test_the_stamp_changes_with_every_replacement_and_with_nothing_else(again: Open) -> None:
    """Also where the content has the same length, or is the same: it was sealed anew."""
    writer, reader = again(), again()
    stamps = []
    for data in (b"one", b"two", b"two", b"a longer one"):
        put(writer, data)
        stamps.append(reader.stamp())
        assert reader.stamp() == stamps[-1] == writer.stamp()

    assert None not in stamps
    assert len(set(stamps)) == len(stamps)


def test_whoever_is_inside_is_alone_and_readers_do_not_wait_for_him(again: Open) -> None:
    """The second writer comes after the first has left; a reader has the old content meanwhile."""
    put(again(), b"before")
    seen: list[object] = []
    inside, leave, second = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        vault = again()
        with vault.alone():
            inside.set()
            leave.wait(10)
            vault.replace(b"first")

    def then() -> None:
        vault = again()
        with vault.alone():
            seen.append(vault.read())
            second.set()

    threads = [threading.Thread(target=one) for one in (first, then)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    waited = not second.wait(0.2)
    read = again().read()
    leave.set()
    for one in threads:
        one.join(10)

    assert waited
    assert read == b"before"
    assert seen == [b"first"]


def test_whoever_fails_inside_leaves_what_was_and_lets_the_next_one_in(again: Open) -> None:
    vault = again()
    put(vault, b"before")
    with pytest.raises(RuntimeError), vault.alone():
        raise RuntimeError

    put(again(), b"after")

    assert vault.read() == b"after"


def test_two_stores_over_one_vault_share_everything_and_lose_nothing(again: Open, tmp_path: Path) -> None:
    """The server and the command line; the whole behaviour of the store rests on the port alone."""
    master = tmp_path / "master.key"
    server, terminal = KeyStore.over(again(), master), KeyStore.over(again(), master)
    terminal.add_link(1, KEY)
    group = server.group_key(3, 1)
    counters = [server.next_counter(1000), terminal.next_counter(900), server.next_counter(1000)]
    terminal.revoke_group(3, 1)

    assert server.link_key(1) == KEY
    assert server.groups() == ()
    assert server.group_key(3, 1) != group
    assert len(set(counters)) == 3
    assert KeyStore.over(again(), master).names() == ("link 00000001", "group 3 epoch 1")
    assert KEY not in (again().read() or b"")


def test_many_writers_at_once_lose_no_key(again: Open, tmp_path: Path) -> None:
    """Each reads the newest inside, and writes before he leaves."""
    master = tmp_path / "master.key"
    KeyStore.over(again(), master).add_link(0, KEY)

    def add(first: int) -> None:
        store = KeyStore.over(again(), master)
        for number in range(first, first + 4):
            store.add_link(number, KEY)

    threads = [threading.Thread(target=add, args=(first,)) for first in (1, 11, 21)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)

    assert len(KeyStore.over(again(), master).rings()) == 13


def test_a_file_that_cannot_be_read_is_a_sentence_and_disturbs_no_key_already_known(tmp_path: Path) -> None:
    """A folder in its place, as a slip of a backup script leaves it."""
    path = tmp_path / "keys.store"
    store = KeyStore.open(path, tmp_path / "master.key")
    store.add_link(1, KEY)
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match="the key store cannot be read"):
        FileVault(path).read()

    assert store.link_key(1) == KEY
    assert "cannot be read" in store.problem
