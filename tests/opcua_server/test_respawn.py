"""A start of the OPC UA process that fails is tried again, as a process that ended is."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from scada.bus import TagBus
from scada.errors import StartError
from scada.opcua_server import child, service
from scada.opcua_server.child import LinkProtocol
from scada.opcua_server.service import OpcuaService
from scada.settings import OpcuaSettings
from tests.fakes import site_clock
from tests.ports import free_port


class Pool:
    """Runs at once what others give to threads."""

    def callInThreadWithCallback(self, done: Any, function: Any, *args: Any) -> None:
        done(True, function(*args))


class Reactor(Clock):
    def callFromThread(self, function: Any, *args: Any) -> None:
        function(*args)


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A service that listens; `spawned` has one entry an attempt; the next attempts fail while `broken` is set."""
    one: Any = SimpleNamespace(reactor=Reactor(), spawned=[], broken=False)
    clock = site_clock(one.reactor)

    def spawn(_reactor: Any, process: Any, link: LinkProtocol) -> Any:
        one.spawned.append(one.reactor.seconds())
        if one.broken:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        link.makeConnection(StringTransport())
        one.child = process
        return SimpleNamespace(pid=4711, signalProcess=lambda _: None)

    monkeypatch.setattr(service, "spawn", spawn)
    users: Any = SimpleNamespace(credentials=tuple, account=lambda _: None)
    nothing: Any = None
    pool: Any = Pool()
    one.service = OpcuaService(
        OpcuaSettings(host="127.0.0.1", port=free_port()), "Demo", tmp_path,
        clock, one.reactor, TagBus(clock, one.reactor), nothing, nothing, users,
        nothing, pool,
    )
    return one


def listening(one: Any) -> None:
    one.service._on_frame(SimpleNamespace(kind="listening", header={}))


def test_a_start_that_fails_for_want_of_descriptors_is_tried_again_with_the_same_pauses(started: Any) -> None:
    """One failed fork used to be the end of OPC UA until somebody restarted the whole server."""
    began: Deferred[None] = started.service.start()
    listening(started)
    assert started.service._started is None
    began.addErrback(lambda failure: pytest.fail(str(failure)))
    started.broken = True
    started.child._on_end("signal 9")
    for _ in range(8):
        started.reactor.advance(1.0)

    assert started.spawned == [0.0, 1.0, 3.0, 7.0]
    (health,) = started.service.health()
    assert not health.ok
    assert "it cannot be started: Too many open files" in health.text
    assert health.figures["restarts"] == 4
    started.broken = False
    started.reactor.pump([1.0] * 10)
    listening(started)
    assert started.service.pid == 4711
    assert next(iter(started.service.health())).ok


def test_a_first_start_that_fails_is_a_start_error_and_leaves_nothing_running(started: Any) -> None:
    """The operator sits in front of it: he reads why."""
    started.broken = True
    failed: list[Any] = []
    started.service.start().addErrback(failed.append)

    (failure,) = failed
    assert failure.type is StartError
    assert "Too many open files" in str(failure.value)
    assert started.reactor.getDelayedCalls() == []


def test_a_spawn_that_fails_leaks_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tried again for ever, a leak would use up what the rest of the server needs."""
    taken: list[Any] = []

    class Refuses:
        def adoptStreamConnection(self, fd: int, _family: int, factory: Any) -> None:
            link = factory.buildProtocol(None)
            link.makeConnection(StringTransport())
            taken.append(link)

        def spawnProcess(self, *_args: Any, **_more: Any) -> Any:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def open_now() -> int:
        return len(os.listdir("/proc/self/fd"))

    link = LinkProtocol(lambda _: None, lambda: None)
    before = open_now()
    with pytest.raises(OSError, match="temporarily unavailable"):
        child.spawn(Refuses(), child.ChildProtocol(lambda _: None), link)
    assert open_now() == before
    assert taken == [link]
    assert link.transport.disconnected
