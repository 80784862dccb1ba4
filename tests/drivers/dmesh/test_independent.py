"""Our end of the protocol against a concentrator that was written from docs/dmlp.md alone, over a real socket."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from scada.commands import Action
from scada.drivers.dmesh import crypto, session
from scada.drivers.dmesh.keyring import Key
from scada.drivers.dmesh.messages import (
    Command,
    CommandReport,
    CommandStatus,
    Error,
    GetParam,
    Hello,
    KeyActivate,
    KeyConfirm,
    KeyPut,
    Message,
    Packet,
    Ready,
    Result,
    TimeSet,
    signed,
)
from scada.drivers.dmesh.numbers import ClockMode, Code, Holder, KeyTarget, Reason
from scada.drivers.dmesh.outputs import Closed, Delivered, Up, sends
from scada.drivers.dmesh.sets import indices
from tests.drivers.dmesh.independent import PEER, Concentrator, concentrator
from tests.node import node

LINK_ID, EUI = 0x0000C0DE, 0xD1FC000000000001
FIRST, MODULE_KEY = Key(0, os.urandom(16)), os.urandom(16)
NEXT = Key(7, os.urandom(16))


class Server:
    """Our session on a blocking socket, with the keys it is told to try."""

    def __init__(self, *keys: Key) -> None:
        self.tries = list(keys)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.socket: socket.socket | None = None

    def keys(self, hello: Hello) -> list[Key]:
        return self.tries

    def ready(self, hello: Hello) -> Ready:
        return Ready(int(time.time()), 0, 0, 8, True)

    def time(self) -> tuple[int, bool]:
        return int(time.time()), True

    def accept(self) -> "Server":
        """The next connection, until its session is up."""
        self.cut()
        self.heard: list[Packet] = []
        self.outputs: list[Any] = []
        self.listener.settimeout(10)
        self.socket, _ = self.listener.accept()
        self.session = session.Session(session.Terms(), self, os.urandom(16), time.monotonic())
        self.wait(lambda: any(isinstance(one, Up) for one in self.outputs))
        return self

    def wait(self, condition: Any, limit: float = 10.0) -> None:
        ends = time.monotonic() + limit
        while not condition():
            if any(isinstance(one, Closed) for one in self.outputs):
                raise ConnectionError(str(self.outputs[-1]))
            assert time.monotonic() < ends, self.outputs[-5:]
            assert self.socket is not None
            self.socket.settimeout(0.05)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                self._do(self.session.advance(time.monotonic()))
                continue
            self._do(self.session.receive(data, time.monotonic()) if data else self.session.lost("cut"))

    def _do(self, outputs: list[Any]) -> None:
        assert self.socket is not None
        self.socket.sendall(sends(outputs))
        self.outputs += outputs
        for one in outputs:
            if isinstance(one, Delivered):
                self.heard.append(one.packet)
                if isinstance(one.packet.message, CommandReport) and one.packet.corr:
                    self._do(self.session.answer(one.packet.corr, Result(Code.OK)))

    def ask(self, message: Message) -> Any:
        """Its answer."""
        corr, outputs = self.session.request(message)
        self._do(outputs)
        return self.answers(corr, 1)[0]

    def answers(self, corr: int, count: int) -> list[Message]:
        def found() -> list[Message]:
            return [one.message for one in self.heard if one.corr == corr and not isinstance(one.message, CommandReport)]

        self.wait(lambda: len(found()) >= count)
        return found()

    def report(self, command: Command) -> CommandReport:
        """The final one of a command."""

        def found() -> list[CommandReport]:
            reports = [one.message for one in self.heard if isinstance(one.message, CommandReport)]
            return [one for one in reports if one.command_id == command.command_id and one.final]

        self.wait(found)
        return found()[-1]

    def cut(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(FIRST)
    yield made
    made.cut()
    made.listener.close()


@pytest.fixture
def peer(tmp_path: Path, server: Server) -> Iterator[Concentrator]:
    """It has one module, whose key both ends know, and dials."""
    with concentrator(
        tmp_path, port=server.port, link_id=LINK_ID, link_key=FIRST.secret.hex(), t3=1,
        modules=[{"index": 5, "eui": f"{EUI:016x}", "channels": 1, "adapter": "AD220/50", "key": MODULE_KEY.hex()}],
    ) as made:
        made.do("dial")
        yield made


def command(action: Action, ctr: int, holder: Holder = Holder.NONE, key: bytes = MODULE_KEY, **changes: Any) -> Command:
    late = int(time.time()) + 60
    return signed(attrs.evolve(Command(os.urandom(16), 5, EUI, action, late, ctr, holder), **changes), key)


def test_it_reads_and_writes_every_golden_frame() -> None:
    """Byte for byte, its MACs, and none with a bit wrong; what it knows of the fields it reads from the page's CDDL."""
    done = subprocess.run([node(), str(PEER / "golden.mjs")], capture_output=True, text=True, timeout=60, check=False)
    golden = json.loads((Path(__file__).parents[2] / "golden/dmlp/messages.json").read_text(encoding="utf-8"))

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert f"{len(golden['messages'])} messages, {len(golden['variants'])} variants" in done.stdout


def test_a_supply_is_off_until_the_last_holder_lets_go(server: Server, peer: Concentrator) -> None:
    """COMMAND under the module's own key, each with the result the page asks for."""
    server.accept()
    server.ask(TimeSet(int(time.time()), ClockMode.STEP))
    debt, crew = command(Action.SUPPLY_OFF, 1, Holder.DEBT), command(Action.SUPPLY_OFF, 2, Holder.LOCKOUT)
    paid, done = command(Action.SUPPLY_ON, 3, Holder.DEBT), command(Action.SUPPLY_ON, 4, Holder.LOCKOUT)
    answers, reports, supplied = [], [], []
    for one in (debt, crew, paid, done):
        answers.append(server.ask(one).code)
        reports.append(server.report(one))
        supplied.append(peer.do("state")["modules"][0]["supplied"])

    assert answers == [Code.ACCEPTED] * 4
    assert [list(indices(one.executed)) for one in reports] == [[5]] * 4
    assert [list(indices(one.held)) for one in reports] == [[], [], [5], []]
    assert supplied == [False, False, False, True]


def test_a_command_is_refused_by_whoever_must_refuse_it(server: Server, peer: Concentrator) -> None:
    """By the concentrator: not its owner, contradictory, late, known. By the module: no clock, wrong MAC, old counter."""
    server.accept()
    early = command(Action.SUPPLY_OFF, 1, Holder.DANGER)
    server.ask(early)
    no_clock = server.report(early)
    server.ask(TimeSet(int(time.time()), ClockMode.STEP))
    forged, old = command(Action.SUPPLY_ON, 9, Holder.DEBT, os.urandom(16)), command(Action.SUPPLY_ON, 1, Holder.DEBT)
    server.ask(forged)
    server.ask(old)
    codes = [server.ask(one).code for one in (
        command(Action.SUPPLY_OFF, 5, Holder.DEBT, eui=EUI + 1), command(Action.SUPPLY_OFF, 6), command(Action.SHED, 7),
        command(Action.SUPPLY_OFF, 8, Holder.DEBT, not_after=1), early,
    )]
    refused = [server.report(one).refused[0].code for one in (forged, old)]

    assert codes == [Code.INTERLOCK, Code.BAD_ARGUMENT, Code.BAD_ARGUMENT, Code.EXPIRED, Code.DUPLICATE]
    assert no_clock.refused[0].code == Code.INTERLOCK
    assert refused == [Code.CRYPTO, Code.DENIED]
    assert peer.do("state")["modules"][0]["log"] == []


def test_a_request_that_comes_again_is_answered_again_and_executed_once(server: Server, peer: Concentrator) -> None:
    """By its corr; and a frame that was recorded and is played again is not even that."""
    server.accept()
    server.ask(TimeSet(int(time.time()), ClockMode.STEP))
    shed = command(Action.SHED, 1, off_for_s=60)
    corr, outputs = server.session.request(shed)
    server._do(outputs)
    server._do(server.session.send(shed, corr))
    again = server.answers(corr, 2)
    assert server.socket is not None
    server.socket.sendall(sends(outputs))
    state = peer.until(lambda now: now["counts"]["replay"], "the replay to be counted")
    server.report(shed)

    assert again == [Result(Code.ACCEPTED)] * 2
    assert len(server.answers(corr, 2)) == 2
    assert state["counts"]["replay"] == 1
    assert len(peer.do("state")["modules"][0]["log"]) == 1


def test_what_it_does_not_do_it_says(server: Server, peer: Concentrator) -> None:
    """ERROR UNKNOWN; and a command it never had is UNKNOWN too."""
    server.accept()
    refused, unknown = server.ask(GetParam()), server.ask(CommandStatus(os.urandom(16)))

    assert isinstance(refused, Error)
    assert (refused.code, refused.type) == (Code.UNKNOWN, GetParam.TYPE)
    assert unknown.code == Code.UNKNOWN


@pytest.mark.parametrize("cut", ["KEY_CONFIRM", "RESULT"])
def test_a_key_change_that_breaks_off_at_its_answer_locks_nobody_out(server: Server, peer: Concentrator, cut: str) -> None:
    """Before KEY_CONFIRM or RESULT arrives: whichever key we try, it opens; the next KEY_ACTIVATE ends the change."""
    server.accept()
    put = KeyPut(KeyTarget.LINK, LINK_ID, NEXT.number, crypto.wrap(FIRST.secret, NEXT.secret))
    activate = KeyActivate(KeyTarget.LINK, LINK_ID, NEXT.number, 3600)
    server._do(server.session.request(put)[1])
    if cut == "RESULT":
        server.wait(lambda: any(isinstance(one.message, KeyConfirm) for one in server.heard))
        server._do(server.session.request(activate)[1])
    field = "next" if cut == "KEY_CONFIRM" else "active"
    peer.until(lambda now: now["link_key"][field] == NEXT.number, "the key")
    proven = []
    for keys in ([FIRST, NEXT], [NEXT, FIRST]):
        server.tries = keys
        server.accept()
        proven.append(server.session.key)
    last = server.ask(activate)
    again = server.ask(KeyPut(KeyTarget.LINK, LINK_ID, NEXT.number, crypto.wrap(NEXT.secret, os.urandom(16))))

    assert proven == [FIRST, NEXT]
    assert last == Result(Code.OK)
    assert again.code == Code.DENIED
    assert peer.do("state")["link_key"] == {"active": 7, "next": None, "previous": 0, "proven": 7}


def test_it_asks_who_is_silent_and_gives_up_on_who_does_not_answer(
    server: Server, peer: Concentrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PING after t3; two without an answer, and it closes and dials again."""
    monkeypatch.setattr(session, "T3_RANGE", (1, 240))
    server.accept()
    server.wait(lambda: peer.do("state")["counts"]["pongs"])
    silent = time.monotonic()
    connection = server.socket
    server.socket = None                                    # nobody reads it any more
    server.accept()
    assert connection is not None
    connection.close()

    assert 1.5 < time.monotonic() - silent < 8
    assert peer.do("state")["counts"]["ends"] == [f"we closed {int(Reason.TIMEOUT)}"]


def test_it_goes_away_when_it_is_told_to_and_stays_away_as_long(server: Server, peer: Concentrator) -> None:
    """`retry_after` of a CLOSE."""
    server.accept()
    server._do(server.session.close(Reason.STORAGE, "full", 1))
    peer.until(lambda now: now["counts"]["ends"], "CLOSE to be taken")     # before our socket goes, which could overtake it
    told = time.monotonic()
    server.accept()

    assert time.monotonic() - told > 0.8
    assert peer.do("state")["counts"]["ends"] == [f"closed {int(Reason.STORAGE)}"]


def test_a_server_without_its_key_is_refused(server: Server, peer: Concentrator) -> None:
    """It checks MAC_S before it proves anything itself."""
    server.tries = [Key(0, os.urandom(16))]
    with pytest.raises(ConnectionError):
        server.accept()
    (closed,) = [one for one in server.outputs if isinstance(one, Closed)]

    assert (closed.reason, closed.was_up) == (Reason.BAD_KEY, False)
