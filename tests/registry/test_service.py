"""The service: starts, changes in its thread, tells in the reactor, stops without leaving a thread."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import gatherResults

from scada.clock import NS
from scada.commands import Role
from scada.errors import CommandRejected, ConfigError, StartError, StorageError
from scada.ports import Health
from scada.registry import exchange
from scada.registry import service as service_module
from scada.registry.database import open_registry, url_of
from scada.registry.schema import writing
from scada.registry.service import LOOK_EVERY_S, RegistryService
from scada.settings import RegistrySettings
from scada.site import Directory, JoinedModule, ModuleState
from tests.fakes import site_clock
from tests.registry.reactor import ThreadedClock
from tests.registry.sites import ENGINEER, HIGH, a_site, same

LINK = 0x4A1000C1
Make = Callable[..., RegistryService]


@pytest.fixture
def reactor() -> ThreadedClock:
    return ThreadedClock()


@pytest.fixture
def make(tmp_path: Path, reactor: ThreadedClock) -> Iterator[Make]:
    made: list[RegistryService] = []

    def make(**settings: Any) -> RegistryService:
        made.append(RegistryService(RegistrySettings(**settings), tmp_path / "data", site_clock(reactor), reactor))
        return made[-1]

    yield make
    for service in made:
        reactor.wait(service.stop())
    assert threads() == []
    assert reactor.getDelayedCalls() == []


@pytest.fixture
def started(make: Make, reactor: ThreadedClock, tmp_path: Path) -> RegistryService:
    exchange.write(a_site(), tmp_path / "site.yaml")
    service = make(import_file=tmp_path / "site.yaml")
    reactor.wait(service.start())
    return service


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("PoolThread-registry")]


def health(service: RegistryService) -> Health:
    (one,) = service.health()
    return one


def test_the_first_start_imports_the_site_and_makes_the_administrator(started: RegistryService) -> None:
    """Both in the directory and in the audit; the password is handed over once."""
    password = started.initial_password

    assert same(started.directory.site, a_site())
    assert started.users.authenticate("admin", password or "") is not None
    assert [row.action for row in started.audit.page()] == ["user.add", "site.import"]
    assert started.audit.verify() is None


def test_the_second_start_imports_nothing_and_makes_nobody(
    started: RegistryService, make: Make, reactor: ThreadedClock, tmp_path: Path
) -> None:
    """What was changed since stays, also when the file is gone."""
    reactor.wait(started.set_module_states({HIGH: "lost"}))
    reactor.wait(started.stop())
    (tmp_path / "site.yaml").unlink()
    again = make(import_file=tmp_path / "site.yaml")
    reactor.wait(again.start())

    assert again.initial_password is None
    assert again.directory.module_of_eui[HIGH].state is ModuleState.LOST


def test_a_wrong_site_file_ends_the_start_with_every_problem(make: Make, reactor: ThreadedClock, tmp_path: Path) -> None:
    """And no thread is left."""
    (tmp_path / "site.yaml").write_text("modules: 7\npoints: 8\n")
    with pytest.raises(ConfigError) as caught:
        reactor.wait(make(import_file=tmp_path / "site.yaml").start())
    assert len(caught.value.problems) == 2
    assert threads() == []


def test_a_database_that_cannot_be_opened_ends_the_start_with_a_sentence(make: Make, reactor: ThreadedClock) -> None:
    """Not at construction: parts are made before they are started."""
    service = make(url="sqlite:////dev/null/x.sqlite")
    with pytest.raises(StartError, match="cannot be opened"):
        reactor.wait(service.start())


def test_listeners_hear_of_every_change_in_the_reactors_thread_until_they_leave(
    started: RegistryService, reactor: ThreadedClock
) -> None:
    """With the new directory, whose generation has risen."""
    heard: list[tuple[Directory, threading.Thread]] = []
    leave = started.subscribe(lambda directory: heard.append((directory, threading.current_thread())))
    (module,) = reactor.wait(started.module_joined([JoinedModule(10, LINK, 17, 1)]))
    reactor.wait(started.module_joined([JoinedModule(10, LINK, 17, 1)]))
    leave()
    reactor.wait(started.set_module_states({10: "lost"}))

    assert (module.name, module.state) == ("C01-017", ModuleState.ACTIVE)
    assert [thread for _, thread in heard] == [threading.current_thread()]
    assert heard[0][0].module_of_eui[10] == module
    assert [heard[0][0].site.generation, started.directory.site.generation] == [2, 3]


def test_a_listener_that_fails_keeps_nobody_from_hearing(started: RegistryService, reactor: ThreadedClock) -> None:
    """And the change is answered as done, because it is."""
    heard: list[Directory] = []
    started.subscribe(lambda _: 1 / 0)  # type: ignore[arg-type,return-value]
    started.subscribe(heard.append)
    (module,) = reactor.wait(started.module_joined([JoinedModule(10, LINK, 17, 1)]))

    assert heard[0].module_of_eui[10] == module


def test_adoption_through_the_port(started: RegistryService, reactor: ThreadedClock) -> None:
    """The module as it is now, or the reasons."""
    module = reactor.wait(started.adopt(ENGINEER, 3))

    assert module.state is ModuleState.ACTIVE
    assert started.directory.module_of_eui[3] == module
    with pytest.raises(CommandRejected, match="C02-001 is active"):
        reactor.wait(started.adopt(ENGINEER, 3))


def test_what_the_terminal_changes_is_seen_within_seconds(
    started: RegistryService, reactor: ThreadedClock, tmp_path: Path
) -> None:
    """Another process writes; the next look reads it and tells both kinds of listener."""
    sites: list[Directory] = []
    accounts: list[str] = []
    started.subscribe(sites.append)
    started.on_accounts(lambda: accounts.append("changed"))
    other = open_registry(url_of(RegistrySettings(), tmp_path / "data"))
    other.set_module_state(HIGH, ModuleState.LOST)
    other.users.add(ENGINEER, "ana", "correct horse battery", Role.VIEWER)
    other.close()
    reactor.advance(LOOK_EVERY_S)
    reactor.wait(started.audit.append(ENGINEER, "behind the look"))
    reactor.wait(started.audit.append(ENGINEER, "and what it read"))

    assert [directory.module_of_eui[HIGH].state for directory in sites] == [ModuleState.LOST]
    assert accounts == ["changed"]


def test_a_database_that_fails_is_told_by_health_until_it_works_again(
    started: RegistryService, reactor: ThreadedClock
) -> None:
    """The directory stays as it was."""
    with writing(started._database.engine()) as connection:
        connection.exec_driver_sql("ALTER TABLE revisions RENAME TO gone")
    reactor.advance(LOOK_EVERY_S)
    with pytest.raises(StorageError):
        reactor.wait(started.module_joined([JoinedModule(10, LINK, 17, 1)]))
    assert (health(started).ok, "no such table" in health(started).text) == (False, True)
    with writing(started._database.engine()) as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO revisions")
    reactor.advance(LOOK_EVERY_S)
    reactor.wait(started.set_module_states({HIGH: "lost"}))
    reactor.wait(started.audit.append(ENGINEER, "x"))

    assert health(started).ok
    assert same(started.directory.site, a_site()) is False


def test_a_module_heard_elsewhere_is_a_figure_and_a_sentence_of_health(
    started: RegistryService, reactor: ThreadedClock
) -> None:
    """Once, however often it is heard; what cannot be is counted too."""
    for _ in range(3):
        reactor.wait(started.module_joined([JoinedModule(HIGH, 0x4A1000C2, 9, 1), JoinedModule(5, 1, 1, 1)]))
    one = health(started)

    assert one.figures["modules_elsewhere"] == 1
    assert one.figures["modules_refused"] == 3
    assert one.text == "heard elsewhere than registered: C01-001: registered at C01, heard at C02"


def test_audit_rows_fire_when_they_are_durable_and_come_in_order(started: RegistryService, reactor: ThreadedClock) -> None:
    """Two hundred at once are few transactions and one chain."""
    before = started.audit.page(size=1)[0].number
    reactor.wait(gatherResults([started.audit.append(ENGINEER, "many", str(n)) for n in range(200)]))
    rows = started.audit.page(size=200)

    assert [row.target for row in reversed(rows)] == [str(n) for n in range(200)]
    assert rows[0].number == before + 200
    assert started.audit.verify() is None


def test_the_time_of_an_audit_row_is_when_it_happened_not_when_it_was_written(
    started: RegistryService, reactor: ThreadedClock
) -> None:
    """Real time at the call."""
    reactor.rightNow = 50.0
    durable = started.audit.append(ENGINEER, "x")
    reactor.rightNow = 80.0
    reactor.wait(durable)

    assert started.audit.page(size=1)[0].at == 50 * NS


def test_a_full_queue_refuses_and_counts(
    started: RegistryService, reactor: ThreadedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing grows without bound while the disk stands still."""
    monkeypatch.setattr(service_module, "MAX_JOBS", 2)
    held = [started.audit.append(ENGINEER, "held") for _ in range(3)]
    with pytest.raises(StorageError, match="audit rows are waiting"):
        reactor.wait(started.audit.append(ENGINEER, "too many"))
    one = started.set_module_states({HIGH: "lost"})
    with pytest.raises(StorageError, match="changes are waiting"):
        reactor.wait(started.set_module_states({HIGH: "active"}))
    reactor.wait(gatherResults([*held, one]))

    assert (health(started).figures["audit_refused"], health(started).figures["jobs_refused"]) == (1, 1)


def test_stop_lets_what_was_asked_for_finish_and_refuses_what_comes_after(
    started: RegistryService, reactor: ThreadedClock, tmp_path: Path
) -> None:
    """A change and an audit row under way are durable; later ones fail at once."""
    changed = started.set_module_states({HIGH: "lost"})
    written = [started.audit.append(ENGINEER, text) for text in ("first words", "second words", "last words")]
    reactor.wait(started.stop())
    reactor.wait(gatherResults([changed, *written]))
    for late in (started.set_module_states({HIGH: "active"}), started.audit.append(ENGINEER, "late")):
        with pytest.raises(StorageError, match="not running"):
            reactor.wait(late)
    database = open_registry(url_of(RegistrySettings(), tmp_path / "data"))

    assert database.load().modules[0].state is ModuleState.LOST
    assert database.audit.page(size=1)[0].action == "last words"
    database.close()
