"""The whole simulated field as a process, over real sockets: against a DMLP server of the codec and pyModbusTCP."""

import contextlib
import json
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyModbusTCP.client import ModbusClient

from scada.clock import HOUR_S, NS, TimeMap
from scada.drivers.dmesh import profile as profiles
from scada.drivers.dmesh import profile_decode
from scada.drivers.dmesh.messages import (
    ArchAck,
    CommandReport,
    GetModules,
    ModuleJoined,
    ModuleList,
    Packet,
    ProfileMessage,
)
from scada.drivers.dmesh.sets import indices
from scada.simulate.district import make_district
from scada.simulate.truth import Truth, read_truth
from tests.nursery import Process
from tests.simulate.peer import Peer, command, group_set, key_put
from tests.system.harness import run_apart, run_here

START = "2026-03-01T05:00Z"
HOUR = 1_772_341_200 // HOUR_S
PATIENCE_S = 60


class Server:
    """Takes connections of concentrators, acknowledges what it was told to, and can hang up."""

    def __init__(self, keys: Path) -> None:
        self._keys = keys
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.peers: list[Peer] = []
        self.held: dict[tuple[int, int], int] = {}          # (link, archive) -> cursor
        self.blocks: list[tuple[int, int, int, profiles.Profile]] = []
        self.acknowledge = True
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def hang_up(self) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._sockets.clear()

    def close(self) -> None:
        self._listener.close()
        self.hang_up()

    def newest(self, link: int) -> Peer | None:
        up = [peer for peer in self.peers if peer.proven and peer.hello is not None and peer.hello.link_id == link]
        return up[-1] if up else None

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        first = self._receive(connection)
        if not first:
            return
        link = int.from_bytes(first[6:10], "big")
        key = bytes.fromhex(json.loads(self._keys.read_text())[f"{link:08x}"])

        def write(data: bytes) -> None:
            with contextlib.suppress(OSError):              # hung up meanwhile: the acknowledgement is lost
                connection.sendall(data)

        peer = Peer(key, write, cursor=max((cursor for (one, _), cursor in self.held.items() if one == link), default=0))
        peer.on_packet = lambda packet: self._took(peer, packet)
        self.peers.append(peer)
        data = first
        while data:
            peer.receive(data)
            data = self._receive(connection)

    @staticmethod
    def _receive(connection: socket.socket) -> bytes:
        try:
            return connection.recv(65536)
        except OSError:
            return b""

    def _took(self, peer: Peer, packet: Packet) -> None:
        if len(peer.got) == 1:
            peer.send(GetModules(), request=True)
        if isinstance(packet.message, ProfileMessage) and self.acknowledge and peer.hello is not None:
            block = profile_decode.decode(packet.message.block)
            assert isinstance(block, profiles.Profile)
            place = peer.hello.link_id, peer.hello.archive_id
            self.held[place] = max(self.held.get(place, 0), packet.message.record)
            self.blocks.append((*place, packet.message.record, block))
            peer.send(ArchAck(self.held[place], 4))


def wait_for(what: Callable[[], Any]) -> Any:
    """The first true answer; fails if none comes."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


class Running:
    """A simulator process with its server."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.folder, self.truth_file = folder, folder / "truth.jsonl"
        self.server = Server(folder / "keys.json")
        self.before = (folder / "field.log").read_text() if (folder / "field.log").exists() else ""
        self.process = Process(
            folder, "field", "simulate", "--server", f"127.0.0.1:{self.server.port}",
            "--modbus-port", "0", "--keys", str(folder / "keys.json"), "--truth", str(self.truth_file),
            "--start", START, "--speed", "600", "--clock", str(folder / "clock.json"), *more,
        )
        wait_for(lambda: "\n" in self.said)
        self.modbus_port = int(self.said.split("on port ")[1].split(",")[0])

    @property
    def truth(self) -> Truth:
        return read_truth(self.truth_file)

    @property
    def said(self) -> str:
        return self.process.output[len(self.before):]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        return self.process.stop(how, PATIENCE_S), self.said.partition("\n")[2]

    def close(self) -> None:
        self.process.kill()
        self.server.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    one = Running(tmp_path)
    yield one
    one.close()


def test_hourly_data_comes_in_and_the_truth_says_exactly_what_was_acknowledged(running: Running) -> None:
    """Two hours of two subnets, a hang-up in the middle: what the server took is what the truth calls acknowledged."""
    server = running.server
    wait_for(lambda: len({link for link, *_ in server.blocks}) == 2)
    server.hang_up()
    wait_for(lambda: {block.first_hour for *_, block in server.blocks} >= {HOUR, HOUR + 1})
    wait_for(lambda: running.truth.cursors == server.held)
    status, errors = running.stop()
    euis = {
        (peer.hello.link_id, entry.index): entry.eui for peer in server.peers if peer.hello is not None
        for page in (*peer.of(ModuleList), *peer.of(ModuleJoined)) for entry in page.modules
    }
    taken = {
        (euis[link, int(index)], int(channel), block.first_hour + hour): int(block.counts[row, hour])
        for link, _, _, block in server.blocks
        for row, (index, channel) in enumerate(zip(block.index, block.channel, strict=True))
        for hour in range(block.counts.shape[1])
    }
    truth = running.truth

    assert (status, errors) == (0, "")
    assert len(server.peers) >= 4
    assert truth.cursors == server.held
    assert truth.acknowledged() == taken
    assert all(truth.counted[key] == pulses for key, pulses in taken.items())


def test_nothing_is_acknowledged_in_the_truth_that_the_server_did_not_acknowledge(running: Running) -> None:
    """Records are sent, none is acknowledged: the truth, read while it is written, says the same."""
    running.server.acknowledge = False
    wait_for(lambda: running.truth_file.exists() and running.truth.records)

    assert running.truth.acknowledged() == {}
    assert running.stop(signal.SIGINT)[0] == 0


def test_a_shed_over_the_socket_lowers_the_power_at_the_transformer(running: Running) -> None:
    """GROUP_COMMAND to real modules: loads switch, the report fills, the truth notes every switch."""
    link = 0xD0C00001
    peer: Peer = wait_for(lambda: running.server.newest(link))
    modules = {entry.index: entry for entry in wait_for(lambda: peer.of(ModuleList))[0].modules}
    loads = {module.eui for module in make_district().modules if module.actuator}
    members = {index: entry.eui for index, entry in modules.items() if entry.eui in loads}
    clock = TimeMap.load(running.folder / "clock.json")
    peer.send(key_put(peer.key, 9, 1), request=True)
    peer.send(group_set(9, 1, members), request=True)
    peer.send(command(clock.site(time.time_ns()) // NS, group=9, off_for=900), request=True)
    report = wait_for(lambda: [one for one in peer.of(CommandReport) if one.final])[-1]

    executed = {members[index] for index in indices(report.executed)}
    assert len(executed) > len(members) // 2
    assert len(report.refused) >= 2                         # the red one and the one marked NEVER
    assert {eui for eui, supplied, _ in running.truth.loads if not supplied} >= executed


def test_an_independent_modbus_client_reads_a_consistent_meter(running: Running) -> None:
    """pyModbusTCP: voltages near 230 V, total = sum of phases, the energy register grows by power x site time."""
    client = ModbusClient("127.0.0.1", running.modbus_port, unit_id=1, timeout=5)

    def read(address: int, count: int = 2) -> list[float]:
        words = wait_for(lambda: client.read_input_registers(address, count))
        return [
            struct.unpack(">f", struct.pack(">HH", *words[at:at + 2]))[0] for at in range(0, count, 2)
        ]

    volts, watts = read(0x0000, 6), read(0x000C, 6)
    before = read(0x0048)[0]
    wait_for(lambda: read(0x0048)[0] > before + 0.02)
    client.write_single_register(0, 1)
    refused = client.last_except

    assert all(220 < one < 240 for one in volts)
    assert all(20 < one < 2500 for one in watts)            # secondary side of 200/5 A
    assert refused in (1, 2)
    client.close()


def energy(running: Running) -> float:
    """What the transformer meter's register shows. [kWh]"""
    client = ModbusClient("127.0.0.1", running.modbus_port, unit_id=1, timeout=5)
    words = wait_for(lambda: client.read_input_registers(0x0048, 2))
    client.close()
    return float(struct.unpack(">f", struct.pack(">HH", *words))[0])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_second_start_goes_on_with_every_register(tmp_path: Path, how: signal.Signals) -> None:
    """Also after a kill -9: the meter never falls and never jumps, and of every module's hours none is told differently."""
    first = Running(tmp_path, "--history", "48")
    wait_for(lambda: HOUR in {block.first_hour for *_, block in first.server.blocks})
    shown = energy(first)
    assert first.stop(how)[0] == (0 if how is signal.SIGTERM else -how)
    first.close()
    before = read_truth(first.truth_file).counted
    second = Running(tmp_path)                              # no history: the field knows where it stood
    try:
        grown = energy(second) - shown
        wait_for(lambda: any(block.first_hour >= HOUR + 2 for *_, block in second.server.blocks))
        told = {hour for *_, block in second.server.blocks for hour in range(block.first_hour, block.first_hour + 1)}
        after = second.truth.counted
    finally:
        second.close()

    assert 0 <= grown < 60                                  # the hours in between, under a transformer of 160 kVA
    assert before.items() <= after.items()
    hours = {hour for _, _, hour in after}
    assert hours == set(range(HOUR - 48, max(hours) + 1))   # not an hour is missing
    assert max(hours) >= max(told)                          # counted before it is told, perhaps an hour ago


def test_a_port_in_use_is_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    """The meter's port is taken: the process ends with one line that says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_apart("simulate", "--modbus-port", str(port), "--keys", str(tmp_path / "keys.json"))

    assert ended.returncode == 1
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--server", "nowhere"), "--server"),
        (("--start", "yesterday"), "--start"),
        (("--profiles", "x.csv"), "--loads"),
        (("--profiles", "x.csv", "--loads", "y.csv"), "y.csv"),
    ],
)
def test_what_a_person_typed_wrong_is_named(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """Exit status 2 and the option or file in the message."""
    ended = run_here("simulate", *words, "--keys", str(tmp_path / "keys.json"))

    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_site_file_is_written_and_nothing_is_started(tmp_path: Path) -> None:
    """--write-site writes one file and ends: no keys, no clock, no truth."""
    ended = run_apart("simulate", "--write-site", str(tmp_path / "site.yaml"), "--keys", str(tmp_path / "keys.json"))

    assert (ended.returncode, ended.stderr) == (0, "")
    assert [one.name for one in tmp_path.iterdir()] == ["site.yaml"]
