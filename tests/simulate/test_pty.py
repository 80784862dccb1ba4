"""The simulated field on a pseudo-terminal: two concentrators on one line, polled, over the real protocol."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial
from click.testing import CliRunner

from scada.cli import main
from scada.drivers.dmesh import messages, profile_decode
from scada.drivers.dmesh import profile as profiles
from scada.drivers.dmesh.frame import Frame
from scada.drivers.dmesh.frame import encode as encode_frame
from scada.drivers.dmesh.messages import ArchAck, LinkStats, ProfileMessage, Topology, Wake
from scada.simulate.truth import read_truth
from tests.simulate.peer import Peer

PATIENCE_S = 60.0
LINKS = (0xD0C00001, 0xD0C00002)


class Poller:
    """The server's side of a line: asks one concentrator after the other, acknowledges what comes."""

    def __init__(self, name: Path, keys: Path) -> None:
        self.name, self.port = name, serial.Serial(str(name), 9600, timeout=0.05)
        secrets = {int(link, 16): key for link, key in json.loads(keys.read_text()).items()}
        self.peers = {link: Peer(bytes.fromhex(secrets[link]), lambda data: self.port.write(data)) for link in LINKS}
        self.kinds: set[type] = set()
        self.cursor = dict.fromkeys(LINKS, 0)
        self.readings: dict[tuple[int, int, int], int] = {}         # link, index, hour -> pulses of the first channel

    def open_again(self) -> None:
        """As a server does whose port was gone for a moment."""
        self.port.close()
        self.port = serial.Serial(str(self.name), 9600, timeout=0.05)

    def round(self) -> None:
        """Each has its turn, and all the time it needs: nobody else speaks meanwhile."""
        for link, peer in self.peers.items():
            if peer.proven:
                corr = peer.send(Wake(link), request=True)
                self._listen(peer, lambda peer=peer, corr=corr: bool(peer.answer(corr)))    # type: ignore[misc]
            else:
                self.port.write(encode_frame(Frame(link, messages.encode(Wake(link)))))
                self._listen(peer, lambda peer=peer: peer.proven)           # type: ignore[misc]
                continue
            for one in peer.of(ProfileMessage):
                self._take(link, one)
            self.kinds |= {type(packet.message) for packet in peer.got}
            peer.got.clear()
            peer.send(ArchAck(self.cursor[link], 4))

    def _listen(self, peer: Peer, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done() and time.monotonic() < end:
            peer.receive(self.port.read(1) + self.port.read(self.port.in_waiting))

    def _take(self, link: int, one: ProfileMessage) -> None:
        block = profile_decode.decode(one.block)
        assert isinstance(block, profiles.Profile)
        self.cursor[link] = max(self.cursor[link], one.record)
        for row, (index, channel) in enumerate(zip(block.index.tolist(), block.channel.tolist(), strict=True)):
            for column, count in enumerate(block.counts[row].tolist() if channel == 0 else []):
                self.readings[link, index, block.first_hour + column] = count


@pytest.fixture
def line(tmp_path: Path) -> Iterator[tuple[Poller, "subprocess.Popen[str]"]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "scada", "simulate", "--pty", str(tmp_path / "line"), "--modbus-port", "0",
         "--keys", str(tmp_path / "keys.json"), "--truth", str(tmp_path / "truth.jsonl"), "--speed", "600",
         "--history", "3"],
        stdout=subprocess.PIPE, text=True,
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    end = time.monotonic() + PATIENCE_S
    while not (tmp_path / "line").exists() and time.monotonic() < end:
        time.sleep(0.02)
    poller = Poller(tmp_path / "line", tmp_path / "keys.json")
    assert f"2 concentrators on the serial line {tmp_path / 'line'}" in said
    yield poller, process
    poller.port.close()
    if process.poll() is None:
        process.kill()
    process.communicate()


def test_two_concentrators_deliver_their_archives_over_a_pseudo_terminal(
    line: tuple[Poller, "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    """Every hour as the truth has it; a server that let go of the port finds it again; the name goes at the end."""
    poller, process = line
    end = time.monotonic() + PATIENCE_S
    while min(poller.cursor.values()) < 3 and time.monotonic() < end:
        poller.round()
    poller.open_again()
    while min(poller.cursor.values()) < 6 and time.monotonic() < end:
        poller.round()
    process.send_signal(signal.SIGTERM)
    status = process.wait(PATIENCE_S)
    archived = {
        (record[0], key[2], count) for record, pulses in read_truth(tmp_path / "truth.jsonl").records.items()
        for key, count in pulses.items() if key[1] == 0
    }

    assert min(poller.cursor.values()) >= 6
    assert len(poller.readings) > 200
    assert {(link, hour, count) for (link, _, hour), count in poller.readings.items()} <= archived
    assert {Topology, LinkStats} <= poller.kinds
    assert status == 0
    assert not (tmp_path / "line").is_symlink()


@pytest.mark.parametrize("more", [("--serial", "/dev/ttyS9"), ("--listen", "4000")])
def test_the_field_speaks_in_one_way_at_a_time(tmp_path: Path, more: tuple[str, ...]) -> None:
    """Two of them are a mistake, and named."""
    done = CliRunner().invoke(main, ["simulate", "--pty", str(tmp_path / "line"), *more])

    assert done.exit_code == 2
    assert "expected one of" in str(done.exception) + done.output
